"""Times the stretches of a tick, for metrics and traces."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from autoscaler.daemon.tick import Dependency, Phase


class Stopwatch:
    """Runs from its creation.

    Args:
        clock: Seconds that never go backwards.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_s = clock()
        self._phases: list[Phase] = []

    @property
    def phases(self) -> tuple[Phase, ...]:
        """What has been timed, in the order in which it ended."""
        return tuple(self._phases)

    @contextmanager
    def phase(self, name: str, dependency: Dependency | None = None) -> Iterator[None]:
        """Time what is done inside, also where it fails."""
        began_s = self._clock()
        try:
            yield
        finally:
            self._phases.append(Phase(name, dependency, began_s - self._began_s, self._clock() - began_s))
