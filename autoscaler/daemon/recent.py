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

_MOST = 240


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
        """Remember a tick that came to a decision."""
        if tick.decision is not None:
            with self._lock:
                self._instants.setdefault(tick.service, deque(maxlen=_MOST)).append(_instant(tick.decision))
        return []

    def of(self, service: str) -> tuple[Instant, ...]:
        """What is remembered of a service, oldest first."""
        with self._lock:
            return tuple(self._instants.get(service, ()))


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
