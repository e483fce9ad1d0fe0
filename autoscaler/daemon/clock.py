"""Time for the daemon: wall time that never jumps.

Windows, rates and ages are intervals. Measured on the wall clock, a correction by NTP or by hand would let a shrink
through early or hold a growth for hours. So the wall clock is read once, and from then on only a monotonic clock moves
the time. It counts time asleep, so that a suspended machine does not wake up in the past.

What others date by their own clocks, such as samples in Prometheus and hours of the day, is another matter: for that an
instant is told as the wall clock has it, so that one that was wrong when we started does no harm once it is set right.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Where the daemon takes its time from."""

    def now_s(self) -> float:
        """Unix time in seconds, never going backwards."""
        ...


class WallClock(Clock, Protocol):
    """A clock that knows what others call its instants."""

    def wall_s(self, at_s: float) -> float:
        """An instant of this clock as the wall clock has it now, in Unix seconds."""
        ...


def _boottime_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SteadyClock:
    """Unix time at construction plus monotonic time since then.

    Args:
        wall: Reads the wall clock in Unix seconds.
        monotonic: Reads a clock that only moves forward, in seconds from anywhere.
    """

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = _boottime_s) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._started_wall_s = wall()
        self._started_monotonic_s = monotonic()

    def now_s(self) -> float:
        """Unix time in seconds, never going backwards."""
        return self._started_wall_s + (self._monotonic() - self._started_monotonic_s)

    def wall_s(self, at_s: float) -> float:
        """An instant of this clock as the wall clock has it now, in Unix seconds."""
        return at_s + self.wall_ahead_s()

    def wall_ahead_s(self) -> float:
        """How far the wall clock was moved forward since construction; negative when it was moved back."""
        return self._wall() - self.now_s()
