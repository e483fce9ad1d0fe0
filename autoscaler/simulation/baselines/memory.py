"""What a controller remembers from one decision to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from autoscaler.simulation.run import Memory

T = TypeVar("T")


def recall(memory: Memory, key: str, make: Callable[[], T]) -> T:
    """What is remembered under a key, made at the first time."""
    return memory.setdefault(key, make())  # type: ignore[return-value]  # a key is used with one type only


class Trail:
    """Numbers of the past with their times, oldest first."""

    __slots__ = ("_items",)

    def __init__(self) -> None:
        self._items: list[tuple[float, float]] = []

    def start(self, now_s: float, value: float) -> None:
        """Remember a number if nothing was ever remembered."""
        if not self._items:
            self._items.append((now_s, value))

    def add(self, now_s: float, value: float, keep_s: float) -> None:
        """Remember a number and forget what is older than `keep_s`."""
        self._items = [item for item in self._items if item[0] > now_s - keep_s]
        self._items.append((now_s, value))

    def since(self, after_s: float) -> list[float]:
        """Numbers younger than an instant."""
        return [value for at_s, value in self._items if at_s > after_s]

    def mean(self, after_s: float) -> float | None:
        """Their mean; None without any."""
        values = self.since(after_s)
        return sum(values) / len(values) if values else None
