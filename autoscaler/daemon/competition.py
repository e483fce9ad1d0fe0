"""Others who set what we set: looked for before each write and every so often, and given way to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Generic, TypeVar

from autoscaler.config import ScalingPolicy
from autoscaler.core.policy import Role
from autoscaler.daemon.clock import Clock
from autoscaler.daemon.leadership import LED_BY_ANOTHER
from autoscaler.daemon.logs import Log
from autoscaler.daemon.places import place_of_switch, places, switch_spec, target_specs
from autoscaler.stacks.load import stack_of
from autoscaler.targets.base import Outcome, PoolReading, Target, WriteResult
from autoscaler.targets.kubernetes.client import KubeClient
from autoscaler.targets.kubernetes.competitors import Competition, Memory, find_competitors, find_switch_competitors
from autoscaler.targets.kubernetes.specs.problems import SpecError
from autoscaler.targets.kubernetes.switches.build import switch_field, switch_objects

SEARCH_EVERY_S = 600.0
# What could not be looked at is looked at again sooner, for nobody knows; so is whoever was found, for they may go.
SEARCH_AGAIN_S = 60.0
# Writes of one tick share a look.
_FRESH_S = 5.0
_Subject = TypeVar("_Subject")


class Lookout(Generic[_Subject]):
    """Looks for others every so often, and remembers whom it found.

    What cannot be looked at, for want of a right, stops nothing and is logged: it is no proof of a competitor.

    Args:
        search: Looks for others, per subject.
        clock: Where the time comes from.
        log: Where to say what could not be looked at.

    Attributes:
        conflicts: Per subject who else sets it and how to proceed, as of the last look.
    """

    def __init__(self, search: Callable[[], Mapping[_Subject, Competition]], clock: Clock, log: Log) -> None:
        self._search = search
        self._clock = clock
        self._log = log
        self._due_s = self._seen_s = float("-inf")
        self._said: set[str] = set()
        self.conflicts: Mapping[_Subject, tuple[str, ...]] = {}

    def look(self) -> Mapping[_Subject, tuple[str, ...]]:
        """The conflicts; looks again where that is due."""
        return self.conflicts if self._clock.now_s() < self._due_s else self.look_now()

    def look_now(self) -> Mapping[_Subject, tuple[str, ...]]:
        """The conflicts as they are now."""
        now_s = self._clock.now_s()
        if now_s - self._seen_s < _FRESH_S:
            return self.conflicts
        self._seen_s = now_s
        found = self._search()
        unchecked = {line for competition in found.values() for line in competition.unchecked}
        for line in sorted(unchecked - self._said):
            self._log.warning("competitors unknown", message=line)
        self._said = unchecked
        self.conflicts = {
            subject: tuple(map(str, competition.conflicts))
            for subject, competition in found.items()
            if competition.conflicts
        }
        self._due_s = now_s + (SEARCH_AGAIN_S if unchecked or self.conflicts else SEARCH_EVERY_S)
        return self.conflicts


class UncontestedTarget:
    """Writes only where nobody else does. Implements `targets.base.Target`.

    Args:
        target: The target to read and write.
        lookout: Looks for others, per role.
        may_write: Whether we are the one who writes; asked after each look, which may take a while.
    """

    def __init__(self, target: Target, lookout: Lookout[Role], may_write: Callable[[], bool] = lambda: True) -> None:
        self._target = target
        self._lookout = lookout
        self._may_write = may_write

    def read(self) -> PoolReading:
        """Read every pool; one that others write has a blocker that names them."""
        conflicts = self._lookout.look()
        reading = self._target.read()
        blockers = dict(reading.blockers)
        for role, others in conflicts.items():
            blockers[role] = (*blockers.get(role, ()), *others)
        return replace(reading, blockers=blockers)

    def write(self, role: Role, replicas: int, *, basis: str, dry_run: bool) -> WriteResult:
        """Set one pool's replica count, unless somebody else does; see `Target.write`."""
        others = self._lookout.look_now().get(role)
        if others:
            return WriteResult(Outcome.REFUSED, "; ".join(others))
        if not self._may_write():
            return LED_BY_ANOTHER
        return self._target.write(role, replicas, basis=basis, dry_run=dry_run)

    def close(self) -> None:
        """Let go of connections."""
        self._target.close()


def competitors(
    policy: ScalingPolicy, client: KubeClient, memories: Mapping[Role, Memory] | None = None
) -> dict[Role, Competition]:
    """Who else sets the counts of a policy's targets. Never raises for a sick API server.

    Args:
        policy: The policy.
        client: Connection to the cluster.
        memories: Per role what the last search has read, for whoever searches again and again.
    """
    where, specs = places(policy), target_specs(policy)
    known = memories or {}
    return {role: find_competitors(client, specs[role], where[role], role, known.get(role)) for role in specs}


def switch_competitors(policy: ScalingPolicy, client: KubeClient, memory: Memory | None = None) -> Competition:
    """Who else sets the switch of a policy; nobody sets one without an object of its own but as a count.

    Args:
        policy: The policy.
        client: Connection to the cluster.
        memory: What the last search has read, for whoever searches again and again.
    """
    if policy.spec.switch is None:
        return Competition()
    spec, place = switch_spec(policy, stack_of(policy)), place_of_switch(policy, policy.spec.switch)
    try:
        path = switch_field(spec, place)
    except SpecError as error:
        return Competition(unchecked=(str(error),))
    if path is None:
        return Competition()
    return find_switch_competitors(client, switch_objects(spec, place)[0], path, memory)
