"""The last hour of each service, for the charts of the status page; it is gone with the process."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock

from autoscaler.core.decision import Decision
from autoscaler.core.policy import Role
from autoscaler.core.signals import Scope
from autoscaler.daemon.tick import Tick, Trouble

_KEPT_S = 3600.0
# Closer than a chart can show; a little less than the usual interval, so that none of its ticks is left out.
_LEAST_GAP_S = 14.0


@dataclass(frozen=True, slots=True)
class Instant:
    """What a chart shows of one tick.

    Attributes:
        at_s: Unix time.
        ready: Replicas that served, per role.
        desired: Replicas to have, per role.
        ttft_s: Time to first token at the objective's percentile; None where unknown.
        tpot_s: Time per output token likewise.
    """

    at_s: float
    ready: Mapping[Role, int]
    desired: Mapping[Role, int]
    ttft_s: float | None
    tpot_s: float | None


class Recent:
    """Remembers the latest ticks of every service; a reporter, and safe to read while it is told."""

    def __init__(self) -> None:
        self._instants: dict[str, deque[Instant]] = {}
        self._lock = Lock()

    def report(self, tick: Tick) -> list[Trouble]:
        """Remember a tick that came to a decision, and forget what is older than an hour."""
        if tick.decision is not None:
            with self._lock:
                kept = self._instants.setdefault(tick.service, deque())
                if len(kept) > 1 and kept[-1].at_s - kept[-2].at_s < _LEAST_GAP_S:
                    kept.pop()
                kept.append(_instant(tick.decision))
                self._forget(tick.decision.at_s - _KEPT_S)
        return []

    def of(self, service: str) -> tuple[Instant, ...]:
        """What is remembered of a service, oldest first."""
        with self._lock:
            return tuple(self._instants.get(service, ()))

    def _forget(self, before_s: float) -> None:
        for service, kept in list(self._instants.items()):
            while kept and kept[0].at_s < before_s:
                kept.popleft()
            if not kept:
                del self._instants[service]


def _instant(decision: Decision) -> Instant:
    seen = decision.signals.get(Scope.SERVICE, {})
    ttft, tpot = seen.get("ttft_s"), seen.get("tpot_s")
    return Instant(
        decision.at_s,
        {role: decided.ready for role, decided in decision.roles.items()},
        {role: decided.desired for role, decided in decision.roles.items()},
        ttft.usable if ttft is not None else None,
        tpot.usable if tpot is not None else None,
    )
