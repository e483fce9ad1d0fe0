"""What a decision remembers: small, versioned, serialisable, so that a restarted daemon goes on where it stopped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autoscaler.core.policy import Role

STATE_VERSION = 1


class StateError(ValueError):
    """Stored state that cannot be used: corrupt, or of a version that this build does not know."""


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


def to_json(state: State) -> dict[str, Any]:
    """Plain data of a state, ready for `json.dumps`."""
    return {
        "version": STATE_VERSION,
        "started_at_s": state.started_at_s,
        "unusable_since_s": state.unusable_since_s,
        "roles": {
            role.value: {
                "proposals": [[item.at_s, item.value] for item in memory.proposals],
                "changes": [[item.at_s, item.value] for item in memory.changes],
            }
            for role, memory in state.roles.items()
        },
    }


def from_json(data: object, now: float) -> State:
    """Read back what `to_json` wrote.

    Instants in the future (the clock was set back, or the state comes from another machine) are moved to `now`, so
    that no window can last longer than its length.

    Args:
        data: Parsed JSON.
        now: Unix time.

    Raises:
        StateError: Not a state, or of a version that this build does not know.
    """
    if not isinstance(data, dict) or "version" not in data:
        raise StateError("stored state is not a mapping with a version")
    if data["version"] != STATE_VERSION:
        raise StateError(f"stored state has version {data['version']}, this build knows {STATE_VERSION}")
    try:
        return State(
            started_at_s=_instant(data["started_at_s"], now),
            unusable_since_s=_instant(data["unusable_since_s"], now),
            roles={
                Role(name): RoleState(_history(memory["proposals"], now), _history(memory["changes"], now))
                for name, memory in data["roles"].items()
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StateError(f"stored state is corrupt: {error!r}") from error


def _instant(value: float | None, now: float) -> float | None:
    return None if value is None else min(_finite(value), now)


def _history(items: list[list[float]], now: float) -> tuple[Timed, ...]:
    return tuple(Timed(min(_finite(at_s), now), _finite(value)) for at_s, value in items)


def _finite(value: float) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} is no number")
    return number
