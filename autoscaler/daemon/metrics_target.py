"""Replica counts from metrics, for whoever has no access to the cluster yet: they can be read, not written."""

from __future__ import annotations

from typing import Protocol

from autoscaler.core.policy import Role
from autoscaler.daemon.clock import Clock
from autoscaler.sources.readings import ReplicaCounts
from autoscaler.targets.base import Outcome, PoolReading, WriteResult


class ReplicaSource(Protocol):
    """Knows replica counts from metrics."""

    def read_replicas(self, now_s: float) -> ReplicaCounts:
        """Read the state of every role, or why it could not be read."""
        ...


class MetricsTarget:
    """Reads the pools of one service from its metrics. Implements `targets.base.Target`.

    Args:
        source: Where the counts come from; closed by whoever owns it.
        clock: Where the time comes from.
    """

    def __init__(self, source: ReplicaSource, clock: Clock) -> None:
        self._source = source
        self._clock = clock

    def read(self) -> PoolReading:
        """Read every pool; see `Target.read`."""
        counts = self._source.read_replicas(self._clock.now_s())
        return PoolReading(counts.pools, counts.errors, dict.fromkeys(counts.pools, ""))

    def write(self, role: Role, replicas: int, *, basis: str, dry_run: bool) -> WriteResult:  # noqa: ARG002 - a refusal
        """Refuse: metrics are no way to a cluster."""
        message = f"{role.value} cannot be set to {replicas} replicas: no cluster is configured, pass --kubeconfig"
        return WriteResult(Outcome.REJECTED, message)

    def close(self) -> None:
        """Nothing to let go of."""
