"""The disaggregation switch of a stack: one neutral setting, whatever the stack calls it.

The setting is a threshold in prompt tokens: prompts at least that long are prefilled apart. 0 means all of them,
infinity none. Stacks write both ends differently, and some the opposite way; each actuator converts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from autoscaler.core.policy import Role
from autoscaler.targets.base import Outcome, Target, WriteResult

ALWAYS_TOKENS = 0.0
NEVER_TOKENS = math.inf


class Position(StrEnum):
    """Whether any request is prefilled apart."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SwitchReading:
    """Where the switch stands.

    Attributes:
        position: UNKNOWN while it cannot be read, and while a change is on its way to the router.
        threshold_tokens: Prompts at least this long are prefilled apart; None where the stack has no threshold.
        detail: The same in words, with what was looked at and what is wrong.
        shown: Whether the stack shows its switch at all; if not, only the traffic tells where it stands.
        written: Where it has been set to, in force or not; None where that is not known.
        writer: Who set it last, by the server's record; empty where it has none.
    """

    position: Position
    threshold_tokens: float | None
    detail: str
    shown: bool = True
    written: Setting | None = None
    writer: str = ""

    @property
    def is_unread(self) -> bool:
        """Whether the stack shows a switch and it could not be read: not one that is on its way to the router."""
        return self.shown and self.position is Position.UNKNOWN and self.written is None


Setting = Position | float
"""ON, OFF, or a threshold in tokens. ON is what the user has said that on means."""


class Switch(Protocol):
    """Reads and sets the disaggregation switch of one service."""

    def read(self) -> SwitchReading:
        """Read the switch. Never raises for a sick API server."""
        ...

    def set(self, setting: Setting, *, dry_run: bool) -> WriteResult:
        """Move the switch; setting what is set already changes nothing, and finishes what was left half done.

        Args:
            setting: Where to.
            dry_run: Let the server validate and persist nothing.
        """
        ...


class NoSwitch:
    """For a stack that has none. Implements `Switch`.

    Args:
        reason: Why there is none.
    """

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def read(self) -> SwitchReading:
        """See `Switch.read`; it is never shown."""
        return SwitchReading(Position.UNKNOWN, None, self._reason, shown=False)

    def set(self, setting: Setting, *, dry_run: bool) -> WriteResult:  # noqa: ARG002  # there is nothing to set
        """See `Switch.set`; it is always refused."""
        return WriteResult(Outcome.REFUSED, self._reason)


class InstructedSwitch:
    """For a switch that no API moves. Implements `Switch`; it sends nothing.

    Args:
        words: The exact change to make for each position.
    """

    def __init__(self, words: Mapping[Position, str]) -> None:
        self._words = words

    def read(self) -> SwitchReading:
        """See `Switch.read`; it is never known."""
        detail = "the stack does not show its switch: a person moves it"
        return SwitchReading(Position.UNKNOWN, None, detail, shown=False)

    def set(self, setting: Setting, *, dry_run: bool) -> WriteResult:  # noqa: ARG002  # nothing is sent
        """See `Switch.set`; the message is the change to make."""
        position = position_of(setting)
        words = self._words.get(position)
        if words is None:
            return WriteResult(Outcome.REFUSED, f"there is no instruction for {setting}")
        wanted = f" (threshold {setting:g} tokens)" if isinstance(setting, float) and math.isfinite(setting) else ""
        return WriteResult(Outcome.INSTRUCTED, f"{words}{wanted}")


class PrefillZeroSwitch:
    """For a stack that prefills on decode as soon as there is no prefill replica. Implements `Switch`.

    Args:
        target: Where the prefill count is read and written.
    """

    def __init__(self, target: Target) -> None:
        self._target = target

    def read(self) -> SwitchReading:
        """See `Switch.read`; on means that a prefill replica is ready."""
        reading = self._target.read()
        pool = reading.pools.get(Role.PREFILL)
        if pool is None:
            reason = reading.errors.get(Role.PREFILL, "there is no prefill pool")
            return SwitchReading(Position.UNKNOWN, None, f"prefill replicas unknown: {reason}")
        counts = f"{pool.current} prefill replicas asked for, {pool.ready} ready"
        written, writer = Position.ON if pool.current else Position.OFF, reading.writers.get(Role.PREFILL, "")
        if bool(pool.current) is not bool(pool.ready):
            return SwitchReading(Position.UNKNOWN, None, f"on its way: {counts}", written=written, writer=writer)
        threshold_tokens = ALWAYS_TOKENS if pool.current else NEVER_TOKENS
        return SwitchReading(written, threshold_tokens, counts, written=written, writer=writer)

    def set(self, setting: Setting, *, dry_run: bool) -> WriteResult:
        """See `Switch.set`; off takes prefill to 0, on is the first ready prefill replica, which the pool provides."""
        reading = self._target.read()
        pool = reading.pools.get(Role.PREFILL)
        if pool is None:
            reason = reading.errors.get(Role.PREFILL, "there is no prefill pool")
            return WriteResult(Outcome.UNAVAILABLE, f"prefill replicas unknown: {reason}")
        position = position_of(setting)
        if setting is not position and setting not in {ALWAYS_TOKENS, NEVER_TOKENS}:
            return WriteResult(Outcome.REFUSED, f"no threshold of {setting:g} tokens: this switch is on or off")
        if position is Position.OFF and pool.current:
            return self._target.write(Role.PREFILL, 0, basis=reading.basis[Role.PREFILL], dry_run=dry_run)
        if position is Position.ON and not pool.current:
            return WriteResult(Outcome.REFUSED, "on needs a prefill replica: grow the prefill pool first")
        return WriteResult(Outcome.APPLIED, f"the switch is {position} already: {pool.current} prefill replicas")


def same_setting(one: Setting, other: Setting) -> bool:
    """Whether two settings amount to the same; stacks write whole tokens, and on is any threshold."""
    if isinstance(one, Position) or isinstance(other, Position):
        return position_of(one) is position_of(other)
    return one == other or abs(one - other) < 1


def position_of(setting: Setting) -> Position:
    """The position that a setting amounts to."""
    if isinstance(setting, Position):
        return setting
    return Position.OFF if setting == NEVER_TOKENS else Position.ON
