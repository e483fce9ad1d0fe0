"""What every target offers: the replica counts of a service's pools, read and written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from autoscaler.core.policy import Role
from autoscaler.core.snapshot import PoolState


@dataclass(frozen=True, slots=True)
class PoolReading:
    """Replica states as read, and why a role's could not be.

    Attributes:
        pools: State per role that could be read.
        errors: Per unreadable role what failed and what to do about it.
        basis: Per readable role an opaque token of the object version that was read; a write passes it back.
        writers: Per role who set the count last, where the server records it.
        blockers: Per role why a write would be refused now.
        gpus_per_replica: Per role the accelerators that one replica asks for, where its pods show it.
        by_hand: Roles whose writes send nothing and only say what a person has to change.
    """

    pools: Mapping[Role, PoolState]
    errors: Mapping[Role, str] = field(default_factory=dict)
    basis: Mapping[Role, str] = field(default_factory=dict)
    writers: Mapping[Role, str] = field(default_factory=dict)
    blockers: Mapping[Role, tuple[str, ...]] = field(default_factory=dict)
    gpus_per_replica: Mapping[Role, float] = field(default_factory=dict)
    by_hand: frozenset[Role] = frozenset()


class Outcome(StrEnum):
    """What became of a write."""

    APPLIED = "applied"
    DRY_RUN = "dry_run"
    CONFLICT = "conflict"  # the object changed since it was read: decide again on the next tick
    FORBIDDEN = "forbidden"
    MISSING = "missing"
    REJECTED = "rejected"  # the server understood and refused (422, admission)
    REFUSED = "refused"  # by us, and nothing was sent: the stack would not bear it
    DEFERRED = "deferred"  # by us, and the count is as it was: those who leave have to be gone first, or another leads
    FROZEN = "frozen"  # somebody else keeps changing the count: we have stopped, and nothing was sent
    INSTRUCTED = "instructed"  # there is no API for it: the message says what a person has to change
    UNAVAILABLE = "unavailable"  # 5xx, 429, timeout, connection: unknown whether it was applied


@dataclass(frozen=True, slots=True)
class WriteResult:
    """Outcome of one write, with the words for the log, the Event and the metric."""

    outcome: Outcome
    message: str


class Target(Protocol):
    """Reads and writes the replica counts of one service."""

    def read(self) -> PoolReading:
        """Read every pool. Never raises for a sick API server: the role is missing, with the reason."""
        ...

    def write(self, role: Role, replicas: int, *, basis: str, dry_run: bool) -> WriteResult:
        """Set one pool's replica count if the object is still the one that was read.

        Args:
            role: The pool.
            replicas: The new count.
            basis: The token that `read` gave for this role; a changed object is a CONFLICT, never overwritten.
            dry_run: Let the server validate and persist nothing (`dryRun=All`).
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
