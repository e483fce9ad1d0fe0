"""Follows the policies while the daemon runs: what is good takes effect, what is bad changes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
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
    """

    def __init__(
        self, store: Policies, loop: Loop, workload: Callable[[ScalingPolicy], Workload], clock: Clock, log: Log
    ) -> None:
        self._store = store
        self._loop = loop
        self._workload = workload
        self._clock = clock
        self._log = log
        self._troubles = TroubleLog(log)
        self.failures: Mapping[str, str] = {}

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
        troubles = [
            *_refusals(self._store.errors, in_force=bool(workloads)),
            *(_failure(name, why) for name, why in self.failures.items()),
        ]
        self._troubles.update(troubles, self._clock.now_s())
        return [*(str(error) for error in self._store.errors), *self.failures.values()]


def _refusals(errors: tuple[Problem, ...], *, in_force: bool) -> list[Trouble]:
    by_file: dict[str, list[str]] = defaultdict(list)
    for error in errors:
        by_file[error.file or "policies"].append(str(error))
    meanwhile = "the last good policies stay in force" if in_force else "no policy is in force"
    return [Trouble(Dependency.POLICY, file, "; ".join([*words, meanwhile])) for file, words in by_file.items()]


def _failure(service: str, why: str) -> Trouble:
    return Trouble(Dependency.POLICY, service, f"{why}; the last good policy stays in force")
