"""Does somebody else change the count that we set? A pure law over what was written and what is there now.

One foreign change is taken as it is: the next decision starts from it. A second one within the window is a fight, and
whoever fights loses replicas at every tick: writing stops until nobody else has changed the count for a while.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

WINDOW_S = 1800.0
"""How long a foreign change is remembered, and how long the count must be left alone before writing goes on."""
REVERTS = 2
"""Foreign changes within the window that stop writing."""


@dataclass(frozen=True, slots=True)
class WriteMemory:
    """What is remembered of one count.

    Attributes:
        expected: The count that is there unless somebody else changes it; None where it is not ours.
        reverts_at_s: When foreign changes were seen, within the window.
        culprit: Who made the last of them.
        frozen: Whether writing has stopped.
    """

    expected: int | None = None
    reverts_at_s: tuple[float, ...] = ()
    culprit: str = ""
    frozen: bool = False


def observe(memory: WriteMemory, present: int, writer: str, now_s: float) -> WriteMemory:
    """Compare the count that is there with the one that was written.

    Args:
        memory: What is remembered.
        present: The count now.
        writer: Who set it, by the server's record; empty where it has none.
        now_s: Time in seconds that never goes backwards.
    """
    recent = tuple(at_s for at_s in memory.reverts_at_s if now_s - at_s < WINDOW_S)
    culprit = memory.culprit
    if memory.expected is not None and present != memory.expected:
        recent = (*recent, now_s)
        culprit = writer or "somebody whom the server does not record"
    frozen = bool(recent) and (memory.frozen or len(recent) >= REVERTS)
    # A number that others set after ours is theirs to change again; while frozen each change counts, to see them stop.
    expected = present if frozen or present == memory.expected else None
    return WriteMemory(expected, recent, culprit if recent else "", frozen)


def wrote(memory: WriteMemory, replicas: int) -> WriteMemory:
    """Remember a write that was applied."""
    return replace(memory, expected=replicas)


def lost_track(memory: WriteMemory) -> WriteMemory:
    """Remember that a write may or may not have been applied: the next count read is nobody's fault."""
    return replace(memory, expected=None)


def explain(memory: WriteMemory, now_s: float) -> str:
    """Why writing has stopped and how it goes on; empty where it has not."""
    if not memory.frozen:
        return ""
    left_s = max(WINDOW_S - (now_s - memory.reverts_at_s[-1]), 0.0)
    return (
        f"frozen: {memory.culprit} changes the count back after it was written here; stop one of the two. Writing goes "
        f"on by itself once the count has been left alone for another {left_s / 60:.0f} min, or at once after a restart"
    )
