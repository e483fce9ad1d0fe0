"""Follows the policies while the daemon runs: what is good takes effect, what is bad changes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from autoscaler.config import LoadedPolicy, Problem, ReloadReport, ScalingPolicy
from autoscaler.daemon.clock import Clock
from autoscaler.daemon.logs import Log
from autoscaler.daemon.loop import Loop, Workload
from autoscaler.daemon.tick import Dependency, Trouble
from autoscaler.daemon.troubles import TroubleLog


class Policies(Protocol):
    """Policies that may change while the daemon runs: the last good version of each is what counts."""

    @property
    def policies(self) -> Mapping[str, LoadedPolicy]:
        """The last good policy of every service."""
        ...

    @property
    def errors(self) -> tuple[Problem, ...]:
        """All errors that stand now."""
        ...

    def reload(self) -> ReloadReport:
        """Look at them again. Never raises for a bad policy."""
        ...


class PolicyFollower:
    """Keeps the loop at the last good policies.

    Args:
        store: The policies.
        loop: What runs them.
        workload: Makes a workload of a policy.
        clock: Where the time comes from.
        log: Where to say what is wrong with a policy, and what is doubtful.

    Attributes:
        failures: Why the last good policy of a service could not be put to work.
        outdated: Services that run by an earlier policy than the one that is there.
        troubles: What is wrong with policies now, and what is in force meanwhile.
    """

    def __init__(
        self, store: Policies, loop: Loop, workload: Callable[[ScalingPolicy], Workload], clock: Clock, log: Log
    ) -> None:
        self._store = store
        self._loop = loop
        self._workload = workload
        self._clock = clock
        self._log = log
        self._said = TroubleLog(log)
        self.troubles: Sequence[Trouble] = ()
        self.failures: Mapping[str, str] = {}
        self.outdated: frozenset[str] = frozenset()

    @property
    def services(self) -> frozenset[str]:
        """The services of the last good policies."""
        return frozenset(self._store.policies)

    def follow(self) -> list[str]:
        """Look at the files again and put what is good to work.

        Returns:
            Everything that is wrong now, in words.
        """
        report = self._store.reload()
        for service in (*report.added, *report.changed):
            for warning in self._store.policies[service].warnings:
                self._log.warning("policy doubtful", service=service, message=str(warning))
        workloads = {service: self._workload(loaded.policy) for service, loaded in self._store.policies.items()}
        self.failures = self._loop.apply(workloads)
        self.outdated = self._outdated()
        self.troubles = [*self._refusals(), *self._failures()]
        self._said.update(self.troubles, self._clock.now_s())
        return [*(str(error) for error in self._store.errors), *self.failures.values()]

    def _refusals(self) -> list[Trouble]:
        """What is wrong with a file or folder, and whether policies of it run nevertheless."""
        running = [loaded.file for service, loaded in self._store.policies.items() if service in self._loop.services]
        in_force = {str(place) for file in running for place in (file, file.parent)}
        by_place: dict[str, list[str]] = defaultdict(list)
        for error in self._store.errors:
            by_place[error.file or "policies"].append(str(error))
        troubles = []
        for place, words in by_place.items():
            last_good = place in in_force
            meanwhile = "the last good policies stay in force" if last_good else "no policy of it is in force"
            troubles.append(Trouble(Dependency.POLICY, place, "; ".join([*words, meanwhile])))
        return troubles

    def _outdated(self) -> frozenset[str]:
        refused = {error.file for error in self._store.errors}
        policies = self._store.policies.items()
        kept = {service for service, loaded in policies if {str(loaded.file), str(loaded.file.parent)} & refused}
        return frozenset(kept | self.failures.keys()) & self._loop.services

    def _failures(self) -> list[Trouble]:
        """Policies that could not be put to work, and whether earlier ones run instead."""
        troubles = []
        for service, why in self.failures.items():
            last_good = service in self._loop.services
            meanwhile = "the last good policy stays in force" if last_good else "no policy is in force"
            troubles.append(Trouble(Dependency.POLICY, service, f"{why}; {meanwhile}"))
        return troubles
