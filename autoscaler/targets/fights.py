"""Does somebody else change what we set? A pure law over what was written and what is there now: a count, or a switch.

One foreign change is taken as it is: the next decision starts from it. A second one within the window is a fight, and
whoever fights loses replicas at every tick: writing stops until nobody else has changed it for a while.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

WINDOW_S = 1800.0
"""How long a foreign change of a count is remembered, and how long it must be left alone before writing goes on."""
REVERTS = 2
"""Foreign changes within the window that stop writing."""
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class WriteMemory(Generic[Value]):
    """What is remembered of one count or switch.

    Attributes:
        expected: What is there unless somebody else changes it; None where it is not ours.
        reverts_at_s: When foreign changes were seen, within the window.
        culprit: Who made the last of them.
        frozen: Whether writing has stopped.
    """

    expected: Value | None = None
    reverts_at_s: tuple[float, ...] = ()
    culprit: str = ""
    frozen: bool = False


def observe(
    memory: WriteMemory[Value],
    present: Value,
    writer: str,
    now_s: float,
    *,
    window_s: float = WINDOW_S,
    same: Callable[[Value, Value], bool] = operator.eq,
) -> WriteMemory[Value]:
    """Compare what is there with what was written.

    Args:
        memory: What is remembered.
        present: What is there now.
        writer: Who set it, by the server's record; empty where it has none.
        now_s: Time in seconds that never goes backwards.
        window_s: How long a foreign change is remembered.
        same: Whether two amount to the same.
    """
    recent = tuple(at_s for at_s in memory.reverts_at_s if now_s - at_s < window_s)
    culprit = memory.culprit
    is_ours = memory.expected is not None and same(present, memory.expected)
    if memory.expected is not None and not is_ours:
        recent = (*recent, now_s)
        culprit = writer or "somebody whom the server does not record"
    frozen = bool(recent) and (memory.frozen or len(recent) >= REVERTS)
    # What others set after us is theirs to change again; while frozen each change counts, to see them stop.
    expected = present if frozen or is_ours else None
    return WriteMemory(expected, recent, culprit if recent else "", frozen)


def wrote(memory: WriteMemory[Value], value: Value) -> WriteMemory[Value]:
    """Remember a write that was applied."""
    return replace(memory, expected=value)


def lost_track(memory: WriteMemory[Value]) -> WriteMemory[Value]:
    """Remember that a write may or may not have been applied: what is read next is nobody's fault."""
    return replace(memory, expected=None)


def explain(memory: WriteMemory[Value], now_s: float, *, what: str = "the count", window_s: float = WINDOW_S) -> str:
    """Why writing has stopped and how it goes on; empty where it has not.

    Args:
        memory: What is remembered.
        now_s: As for `observe`.
        what: What is written.
        window_s: As for `observe`.
    """
    if not memory.frozen:
        return ""
    left_s = max(window_s - (now_s - memory.reverts_at_s[-1]), 0.0)
    return (
        f"frozen: {memory.culprit} changes {what} back after it was written here; stop one of the two. Writing goes "
        f"on by itself once {what} has been left alone for another {left_s / 60:.0f} min, or at once after a restart"
    )
