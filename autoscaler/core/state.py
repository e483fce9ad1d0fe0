"""What a decision remembers: small, versioned, serialisable, so that a restarted daemon goes on where it stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from autoscaler.core.policy import Role

STATE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Timed:
    """A number at an instant (Unix seconds)."""

    at_s: float
    value: float


@dataclass(frozen=True, slots=True)
class RoleState:
    """Memory of one pool.

    Attributes:
        proposals: Numbers proposed within the longest window, oldest first.
        changes: Signed changes decided within the longest rate period, oldest first.
    """

    proposals: tuple[Timed, ...] = ()
    changes: tuple[Timed, ...] = ()


@dataclass(frozen=True, slots=True)
class State:
    """Memory of one service.

    Attributes:
        started_at_s: When this memory began; nothing shrinks for one window after.
        roles: Memory per pool.
        unusable_since_s: Since when the signals have been unusable; None while they are fine.
    """

    started_at_s: float | None = None
    roles: Mapping[Role, RoleState] = field(default_factory=dict)
    unusable_since_s: float | None = None
