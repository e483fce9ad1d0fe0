"""What was forecast for now: forecasts are kept until their time comes, and compared with what came."""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.core.decision import Evidence

# Errors below one replica buy nothing.
_LEAST_REPLICAS = 1.0
# Forecasts closer than this tell nothing new.
_GRAIN_S = 15.0
# A horizon of two hours at one each 15 s; beyond, the oldest are dropped.
_MOST_PENDING = 480
# One tick may be late or fail.
_MOST_INTERVALS = 2.0


@dataclass(frozen=True, slots=True)
class Hindsight:
    """Forecasts of one pool that wait for their time, and the latest one whose time has come.

    Attributes:
        pending: Pairs of Unix time and demand forecast for it, in replicas, in the order of their times.
        due: What was forecast for now; None before the first horizon has passed, and where nothing was.
        due_at_s: The time that it was forecast for.
        came: Demand now; None where it cannot be told.
    """

    pending: tuple[tuple[float, float], ...] = ()
    due: float | None = None
    due_at_s: float = float("-inf")
    came: float | None = None

    @property
    def error_ratio(self) -> float | None:
        """Demand that came less the one forecast, as a share of the larger: from -1 to 1."""
        if self.due is None or self.came is None:
            return None
        return (self.came - self.due) / max(self.came, self.due, _LEAST_REPLICAS)

    def after(self, evidence: Evidence, at_s: float, interval_s: float) -> Hindsight:
        """What is known after one more decision; such are made each `interval_s`."""
        pending, due, due_at_s = self.pending, self.due, self.due_at_s
        while pending and pending[0][0] <= at_s:
            (due_at_s, due), pending = pending[0], pending[1:]
        if at_s - due_at_s > _MOST_INTERVALS * max(interval_s, _GRAIN_S):
            due = None  # it was for another time than this one
        if evidence.forecast is not None and evidence.horizon_s is not None:
            pending = _with(pending, at_s + evidence.horizon_s, evidence.forecast)
        return Hindsight(pending, due, due_at_s, evidence.demand)


def _with(pending: tuple[tuple[float, float], ...], for_s: float, forecast: float) -> tuple[tuple[float, float], ...]:
    """One forecast more: whoever looks less far ahead has the word on what an earlier one looked further for."""
    earlier = tuple(one for one in pending if one[0] < for_s)
    if len(earlier) == len(pending) and earlier and for_s - earlier[-1][0] < _GRAIN_S:
        return pending
    return (*earlier, (for_s, forecast))[-_MOST_PENDING:]
