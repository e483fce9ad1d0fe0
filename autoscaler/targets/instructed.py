"""A role whose count no API changes: what is decided becomes words for a person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from autoscaler.targets.base import Outcome, WriteResult
from autoscaler.targets.role import RoleReader, RoleReading

Words = Callable[[int, int], str]
"""From the present count and the wanted one to the exact change to make."""


class InstructedRole:
    """Reads one way and writes by telling. Implements `targets.role.RoleTarget`; it sends nothing.

    Args:
        reader: Where the present count comes from.
        refusal: Why a count is outside of what the stack bears; empty where it is not.
        words: The change to make.
    """

    def __init__(self, reader: RoleReader, refusal: Callable[[int], str], words: Words) -> None:
        self._reader = reader
        self._refusal = refusal
        self._words = words
        self._current = 0

    def read(self) -> RoleReading:
        """Read the role; see `RoleTarget.read`."""
        reading = self._reader.read()
        self._current = reading.state.current
        return replace(reading, by_hand=True)

    def write(self, replicas: int, *, basis: str, dry_run: bool) -> WriteResult:  # noqa: ARG002  # nothing is sent
        """Say what a person has to change; see `RoleTarget.write`."""
        refusal = self._refusal(replicas)
        if refusal:
            return WriteResult(Outcome.REFUSED, refusal)
        return WriteResult(Outcome.INSTRUCTED, self._words(self._current, replicas))
