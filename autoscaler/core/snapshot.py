"""A snapshot: all signals and all replica states of one service at one instant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.core.policy import Role
from autoscaler.core.signals import Scope, Signal, Signals


@dataclass(frozen=True, slots=True)
class PoolState:
    """The replicas of one role, as the cluster reports them.

    Attributes:
        current: Replicas asked for (`spec.replicas`), what a decision starts from.
        ready: Replicas that serve.
        unschedulable: Replicas that found no node.
        failing: Replicas that crash or cannot pull their image.
        terminating: Replicas that drain; they still hold their GPUs.
        updating: A rollout is under way, so counts are in motion for another reason.
        startup_times_s: Startup times of replicas that became ready since the last snapshot.
    """

    current: int
    ready: int
    unschedulable: int = 0
    failing: int = 0
    terminating: int = 0
    updating: bool = False
    startup_times_s: tuple[float, ...] = ()

    @property
    def starting(self) -> int:
        """Replicas asked for that do not serve yet."""
        return max(self.current - self.ready, 0)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known of a service at one instant.

    Attributes:
        service: Name of the service.
        at_s: Unix time of the observation in seconds.
        pools: Replica state per role; a role whose state could not be read is missing, and `pool_errors` says why.
        signals: Canonical signals by scope and name.
        pool_errors: Why a role's replica state is unknown.
        disaggregated: Position of the stack's switch as read back; None where unknown or not read.
        threshold_tokens: Its prompt-length threshold as read back; None where it has none or shows none.
    """

    service: str
    at_s: float
    pools: Mapping[Role, PoolState]
    signals: Signals
    pool_errors: Mapping[Role, str]
    disaggregated: bool | None = None
    threshold_tokens: float | None = None

    def signal(self, scope: Scope, name: str) -> Signal | None:
        """The signal, or None where the stack does not know it."""
        return self.signals.get(scope, {}).get(name)

    def usable(self, scope: Scope, name: str) -> float | None:
        """The signal's value if it may be used, else None."""
        found = self.signal(scope, name)
        return found.usable if found is not None else None
