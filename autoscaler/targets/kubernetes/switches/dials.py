"""What a stack writes for on, off and a threshold, and what such a value means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

from autoscaler.targets.switch import ALWAYS_TOKENS, NEVER_TOKENS, Position, Setting


class RefusedError(Exception):
    """A setting that a switch does not have; says why and what it has."""


class Dial(Protocol):
    """Converts between the neutral setting and a stack's value."""

    def meaning(self, value: Any) -> tuple[Position, float | None]:
        """Position and threshold in tokens that a value stands for; UNKNOWN for one that nobody knows."""
        ...

    def value(self, setting: Setting) -> int | str:
        """The value that stands for a setting.

        Raises:
            RefusedError: There is none.
        """
        ...


@dataclass(frozen=True, slots=True)
class TokenDial:
    """A threshold in tokens.

    Attributes:
        always: The value for all prompts.
        never: The value for none; a number above any prompt, or a special one such as 0.
        on_tokens: The threshold that on means.
    """

    always: int
    never: int
    on_tokens: float = ALWAYS_TOKENS

    def meaning(self, value: Any) -> tuple[Position, float | None]:
        """See `Dial.meaning`."""
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            return Position.UNKNOWN, None
        if value == self.never or (self.never > self.always and value > self.never):
            return Position.OFF, NEVER_TOKENS
        return Position.ON, ALWAYS_TOKENS if value == self.always else float(value)

    def value(self, setting: Setting) -> int | str:
        """See `Dial.value`."""
        tokens = _tokens(setting, self.on_tokens)
        if tokens == NEVER_TOKENS:
            return self.never
        if math.isnan(tokens) or tokens < 0:
            raise RefusedError(f"a threshold of {tokens:g} tokens is none: 0 means all prompts, infinity none")
        return self.always if tokens == ALWAYS_TOKENS else max(math.ceil(tokens), 1)


@dataclass(frozen=True, slots=True)
class NameDial:
    """Names of modes.

    Attributes:
        on: Names that mean on, the one to write first; empty where on cannot be written.
        off: Names that mean off, likewise.
        refused: Why a position cannot be written.
    """

    on: tuple[str, ...]
    off: tuple[str, ...]
    refused: str = ""

    def meaning(self, value: Any) -> tuple[Position, float | None]:
        """See `Dial.meaning`."""
        if value in self.on:
            return Position.ON, None
        return (Position.OFF, None) if value in self.off else (Position.UNKNOWN, None)

    def value(self, setting: Setting) -> int | str:
        """See `Dial.value`."""
        if not isinstance(setting, Position) and setting not in {ALWAYS_TOKENS, NEVER_TOKENS}:
            raise RefusedError(f"no threshold of {setting:g} tokens: this switch is on or off")
        on = _tokens(setting, ALWAYS_TOKENS) != NEVER_TOKENS
        if on and self.refused:
            raise RefusedError(self.refused)
        return (self.on if on else self.off)[0]


def written_as(position: Position, threshold_tokens: float | None) -> Setting | None:
    """The setting that a value's meaning amounts to; None for a value that nobody knows."""
    if position is Position.UNKNOWN:
        return None
    return position if threshold_tokens is None else threshold_tokens


def _tokens(setting: Setting, on_tokens: float) -> float:
    if isinstance(setting, Position):
        if setting is Position.UNKNOWN:
            raise RefusedError("unknown is no setting: it is on, off, or a threshold in tokens")
        return on_tokens if setting is Position.ON else NEVER_TOKENS
    return setting
