"""A target that notices when somebody else writes the same counts, and stops rather than fights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from autoscaler.core.policy import Role
from autoscaler.targets.base import Outcome, PoolReading, Target, WriteResult
from autoscaler.targets.fights import WriteMemory, explain, lost_track, observe, wrote

_UNKNOWN = frozenset({Outcome.UNAVAILABLE})


class GuardedTarget:
    """Watches another target. Implements `targets.base.Target`.

    Args:
        target: The target to read and write.
        clock_s: Seconds that never go backwards.
    """

    def __init__(self, target: Target, clock_s: Callable[[], float]) -> None:
        self._target = target
        self._clock_s = clock_s
        self._memory: dict[Role, WriteMemory[int]] = {}

    def read(self) -> PoolReading:
        """Read every pool; a frozen one has a blocker that names the culprit."""
        reading = self._target.read()
        now_s = self._clock_s()
        blockers = dict(reading.blockers)
        for role, pool in reading.pools.items():
            memory = observe(self._recalled(role), pool.current, reading.writers.get(role, ""), now_s)
            self._memory[role] = memory
            if memory.frozen:
                blockers[role] = (*blockers.get(role, ()), explain(memory, now_s))
        return replace(reading, blockers=blockers)

    def write(self, role: Role, replicas: int, *, basis: str, dry_run: bool) -> WriteResult:
        """Set one pool's replica count, unless it is frozen; see `Target.write`."""
        memory = self._recalled(role)
        if memory.frozen:
            return WriteResult(Outcome.FROZEN, explain(memory, self._clock_s()))
        result = self._target.write(role, replicas, basis=basis, dry_run=dry_run)
        if result.outcome is Outcome.APPLIED:
            self._memory[role] = wrote(memory, replicas)
        elif result.outcome in _UNKNOWN and not dry_run:
            self._memory[role] = lost_track(memory)
        return result

    def close(self) -> None:
        """Let go of connections."""
        self._target.close()

    def _recalled(self, role: Role) -> WriteMemory[int]:
        return self._memory.get(role, WriteMemory())
