"""One role's replica count behind one seam, so that a service may hold its roles in objects of different kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from autoscaler.core.policy import Role
from autoscaler.core.snapshot import PoolState
from autoscaler.targets.base import PoolReading, Target, WriteResult


class UnreadableError(Exception):
    """A role's state cannot be told; says what failed and what to do about it."""


@dataclass(frozen=True, slots=True)
class RoleReading:
    """One role as read.

    Attributes:
        state: Its replicas.
        basis: Opaque token of the object version; a write passes it back.
        writer: Who set the count last, as the API server records it; empty where that is not recorded.
        blockers: Why a write would be refused now; nothing means that it would not.
        gpus_per_replica: Accelerators that one replica asks for; None where its pods do not show it.
        by_hand: Whether a write sends nothing and only says what a person has to change.
    """

    state: PoolState
    basis: str = ""
    writer: str = ""
    blockers: tuple[str, ...] = ()
    gpus_per_replica: float | None = None
    by_hand: bool = False


class RoleReader(Protocol):
    """Reads the replica count of one role."""

    def read(self) -> RoleReading:
        """Read the role.

        Raises:
            UnreadableError: It cannot be told.
        """
        ...


class RoleTarget(RoleReader, Protocol):
    """Reads and writes the replica count of one role."""

    def write(self, replicas: int, *, basis: str, dry_run: bool) -> WriteResult:
        """Set the count if the object is still the one that was read; see `Target.write`."""
        ...


class RoleTargets:
    """The roles of one service, each with a target of its own. Implements `targets.base.Target`.

    Args:
        roles: The target of each role.
        close: Lets go of the connections that the roles share.
    """

    def __init__(self, roles: Mapping[Role, RoleTarget], close: Callable[[], None]) -> None:
        self._roles = dict(roles)
        self._close = close

    def read(self) -> PoolReading:
        """Read every pool; see `Target.read`."""
        readings: dict[Role, RoleReading] = {}
        errors: dict[Role, str] = {}
        for role, target in self._roles.items():
            try:
                readings[role] = target.read()
            except UnreadableError as error:
                errors[role] = str(error)
        return PoolReading(
            pools={role: reading.state for role, reading in readings.items()},
            errors=errors,
            basis={role: reading.basis for role, reading in readings.items()},
            writers={role: reading.writer for role, reading in readings.items() if reading.writer},
            blockers={role: reading.blockers for role, reading in readings.items() if reading.blockers},
            gpus_per_replica={
                role: reading.gpus_per_replica
                for role, reading in readings.items()
                if reading.gpus_per_replica is not None
            },
            by_hand=frozenset(role for role, reading in readings.items() if reading.by_hand),
        )

    def write(self, role: Role, replicas: int, *, basis: str, dry_run: bool) -> WriteResult:
        """Set one pool's replica count; see `Target.write`."""
        return self._roles[role].write(replicas, basis=basis, dry_run=dry_run)

    def close(self) -> None:
        """Let go of connections."""
        self._close()


class RoleOf:
    """One role of another target: where counts come from metrics, say. Implements `RoleReader`."""

    def __init__(self, target: Target, role: Role) -> None:
        self._target = target
        self._role = role

    def read(self) -> RoleReading:
        """Read the whole target and keep the role; see `RoleReader.read`."""
        reading = self._target.read()
        if self._role not in reading.pools:
            raise UnreadableError(reading.errors.get(self._role, f"there is no {self._role} pool"))
        return RoleReading(reading.pools[self._role], reading.basis.get(self._role, ""))
