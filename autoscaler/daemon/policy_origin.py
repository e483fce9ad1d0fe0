"""Where policies come from, and what follows from that: files are told about on workloads, objects on themselves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from autoscaler.config.store import PolicyStore
from autoscaler.core.policy import Role
from autoscaler.daemon.clock import Clock
from autoscaler.daemon.event_reporter import Subject
from autoscaler.daemon.follower import Policies
from autoscaler.daemon.places import target_aims
from autoscaler.daemon.reporters import Reporter
from autoscaler.daemon.status_reporter import StatusApi, StatusReporter
from autoscaler.daemon.tenancy import Tenancy
from autoscaler.daemon.tick import Dependency, Trouble
from autoscaler.daemon.watched_policies import WatchedPolicies
from autoscaler.kube.crd import policy_ref
from autoscaler.kube.watching import WatchApi, Watching


class PolicyOrigin(Protocol):
    """Where policies come from.

    Attributes:
        policies: The policies.
        reporters: Whom ticks are told to because of it.
        strict: Whether what is wrong with a policy at the start keeps the daemon from starting.
    """

    policies: Policies
    reporters: Sequence[Reporter]
    strict: bool

    def subjects(self, service: str, role: Role) -> Sequence[Subject]:
        """What Events about a role are about."""
        ...

    def start(self) -> None:
        """Begin to look."""
        ...

    def followed(self, failures: Mapping[str, str], running: Collection[str]) -> list[Trouble]:
        """Told after each reload why policies could not be put to work, and which services run.

        Returns:
            What is wrong with the origin.
        """
        ...

    def missing(self) -> list[str]:
        """What is missing before the policies are known, in words."""
        ...

    def close(self) -> None:
        """Look no more."""
        ...


class FileOrigin:
    """Policies in files."""

    strict = True

    def __init__(self, paths: Sequence[Path]) -> None:
        self.policies: Policies = PolicyStore(paths)
        self.reporters: Sequence[Reporter] = ()

    def subjects(self, service: str, role: Role) -> Sequence[Subject]:
        """The workload."""
        return _workload(self.policies, service, role)

    def start(self) -> None:
        """Files need no beginning."""

    def followed(self, failures: Mapping[str, str], running: Collection[str]) -> list[Trouble]:  # noqa: ARG002 - logged
        """Nobody else to tell."""
        return []

    def missing(self) -> list[str]:
        """Whether there is any policy."""
        return [] if self.policies.policies else ["no policy is loaded"]

    def close(self) -> None:
        """Nothing to let go of."""


class ClusterApi(WatchApi, StatusApi, Protocol):
    """What policies in the cluster ask of the API server."""


class ClusterOrigin:
    """Policies as objects of the cluster; a daemon without any is one that waits for its first.

    Args:
        api: The cluster.
        namespace: Where to look; empty for all namespaces.
        tenancy: What a policy may do.
        clock: Where the time comes from.
    """

    strict = False

    def __init__(self, api: ClusterApi, namespace: str, *, tenancy: Tenancy, clock: Clock) -> None:
        self._clock = clock
        self._watching = Watching(api, policy_ref(namespace))
        self._watched = WatchedPolicies(self._watching, tenancy)
        self._status = StatusReporter(api, self._watched)
        self.policies: Policies = self._watched
        self.reporters: Sequence[Reporter] = (self._status,)

    def subjects(self, service: str, role: Role) -> Sequence[Subject]:
        """The policy object, and the workload."""
        policy = self._watched.object_of(service)
        own = [Subject(policy.ref, policy.uid, is_policy=True)] if policy is not None else []
        return [*own, *_workload(self.policies, service, role)]

    def start(self) -> None:
        """Begin to watch."""
        self._watching.start()

    def followed(self, failures: Mapping[str, str], running: Collection[str]) -> list[Trouble]:
        """Write into refused objects why they are."""
        troubles = self._status.follow(failures, running, self._clock.now_s())
        if self._watching.trouble:
            troubles.append(Trouble(Dependency.POLICY, "scalingpolicies", self._watching.trouble))
        return troubles

    def missing(self) -> list[str]:
        """Whether the objects could be listed."""
        if self._watched.synced:
            return []
        return [f"the scaling policies could not be listed yet: {self._watching.trouble or 'asking'}"]

    def close(self) -> None:
        """Watch no more."""
        self._watching.close()


def _workload(policies: Policies, service: str, role: Role) -> list[Subject]:
    loaded = policies.policies.get(service)
    aimed = target_aims(loaded.policy).get(role) if loaded is not None else None
    return [Subject(aimed.ref)] if aimed is not None else []
