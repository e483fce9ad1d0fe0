"""What was forecast for now: forecasts are kept until their time comes, and compared with what came."""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.core.decision import Evidence

# Errors below one replica buy nothing.
_LEAST_REPLICAS = 1.0
# A horizon of two hours at a tick each 15 s; beyond, the oldest are dropped.
_MOST_PENDING = 480


@dataclass(frozen=True, slots=True)
class Hindsight:
    """Forecasts of one pool that wait for their time, and the latest one whose time has come.

    Attributes:
        pending: Pairs of Unix time and demand forecast for it, in replicas, oldest first.
        due: What was forecast for now; None before the first horizon has passed.
        came: Demand now; None where it cannot be told.
    """

    pending: tuple[tuple[float, float], ...] = ()
    due: float | None = None
    came: float | None = None

    @property
    def error_ratio(self) -> float | None:
        """Demand that came less the one forecast, as a share of the larger: from -1 to 1."""
        if self.due is None or self.came is None:
            return None
        return (self.came - self.due) / max(self.came, self.due, _LEAST_REPLICAS)

    def after(self, evidence: Evidence, at_s: float) -> Hindsight:
        """What is known after one more decision."""
        pending, due = self.pending, self.due
        while pending and pending[0][0] <= at_s:
            due, pending = pending[0][1], pending[1:]
        if evidence.forecast is not None and evidence.horizon_s is not None:
            pending = (*pending, (at_s + evidence.horizon_s, evidence.forecast))[-_MOST_PENDING:]
        return Hindsight(pending, due, evidence.demand)
