"""A target that looks for others who set the same counts, before the first write and every so often, and gives way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from autoscaler.core.policy import Role
from autoscaler.daemon.clock import Clock
from autoscaler.daemon.logs import Log
from autoscaler.targets.base import Outcome, PoolReading, Target, WriteResult
from autoscaler.targets.kubernetes.competitors import Competition

SEARCH_EVERY_S = 600.0
# What could not be looked at is looked at again sooner: until then nobody knows.
SEARCH_AGAIN_S = 60.0


class UncontestedTarget:
    """Writes only where nobody else does. Implements `targets.base.Target`.

    What cannot be looked at, for want of a right, stops nothing and is logged: it is no proof of a competitor.

    Args:
        target: The target to read and write.
        search: Looks for others, per role.
        clock: Where the time comes from.
        log: Where to say what could not be looked at.
    """

    def __init__(
        self, target: Target, search: Callable[[], Mapping[Role, Competition]], clock: Clock, log: Log
    ) -> None:
        self._target = target
        self._search = search
        self._clock = clock
        self._log = log
        self._found: Mapping[Role, Competition] = {}
        self._due_s = float("-inf")
        self._said: set[str] = set()

    def read(self) -> PoolReading:
        """Read every pool; one that others write has a blocker that names them."""
        self._look()
        reading = self._target.read()
        blockers = dict(reading.blockers)
        for role, competition in self._found.items():
            if competition.conflicts:
                blockers[role] = (*blockers.get(role, ()), *(str(conflict) for conflict in competition.conflicts))
        return replace(reading, blockers=blockers)

    def write(self, role: Role, replicas: int, *, basis: str, dry_run: bool) -> WriteResult:
        """Set one pool's replica count, unless somebody else does; see `Target.write`."""
        competition = self._found.get(role)
        if competition is not None and competition.conflicts:
            return WriteResult(Outcome.REFUSED, "; ".join(str(conflict) for conflict in competition.conflicts))
        return self._target.write(role, replicas, basis=basis, dry_run=dry_run)

    def close(self) -> None:
        """Let go of connections."""
        self._target.close()

    def _look(self) -> None:
        now_s = self._clock.now_s()
        if now_s < self._due_s:
            return
        self._found = self._search()
        unchecked = {line for competition in self._found.values() for line in competition.unchecked}
        for line in sorted(unchecked - self._said):
            self._log.warning("competitors unknown", message=line)
        self._said = unchecked
        self._due_s = now_s + (SEARCH_AGAIN_S if unchecked else SEARCH_EVERY_S)
