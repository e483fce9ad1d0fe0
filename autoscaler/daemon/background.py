"""A reporter in a thread of its own: whoever is slow to be told holds no tick up."""

from __future__ import annotations

import time
from collections.abc import Collection
from queue import Empty, Full, Queue
from threading import Lock, Thread

from autoscaler.daemon.reporters import Reporter, told
from autoscaler.daemon.tick import Dependency, Tick, Trouble

_MOST_WAITING = 1000
PATIENCE_S = 2.0
"""How long what is under way may take to end."""


def close_together(reporters: Collection[BackgroundReporter], patience_s: float = PATIENCE_S) -> None:
    """Close several; however many of them hang, it takes no longer than `patience_s`."""
    for reporter in reporters:
        reporter.stop()
    until_s = time.monotonic() + patience_s
    for reporter in reporters:
        reporter.join(max(until_s - time.monotonic(), 0.0))


class BackgroundReporter:
    """Hands ticks to a reporter without waiting for it. Implements `Reporter`.

    What comes back is what the reporter said of the service the last time. When it falls behind by more than
    `most_waiting` ticks, the ones that come are dropped, and a trouble says so.

    Args:
        reporter: Who does the telling.
        name: Of it, for the trouble.
        most_waiting: Ticks that may wait.

    Attributes:
        dropped: Ticks that were.
    """

    def __init__(self, reporter: Reporter, name: str, *, most_waiting: int = _MOST_WAITING) -> None:
        self._reporter = reporter
        self._name = name
        self.dropped = 0
        self._waiting: Queue[Tick | None] = Queue(most_waiting)
        self._said: dict[str, list[Trouble]] = {}
        self._lock = Lock()
        self._thread = Thread(target=self._run, name=f"reporter {name}", daemon=True)
        self._thread.start()

    def report(self, tick: Tick) -> list[Trouble]:
        """Hand a tick over; see `Reporter.report`."""
        try:
            self._waiting.put_nowait(tick)
        except Full:
            with self._lock:
                self.dropped += 1
            message = f"{self._name} is too slow: {self._waiting.maxsize} ticks wait to be told, this one is dropped"
            return [Trouble(Dependency.WEBHOOK, self._name, message)]
        with self._lock:
            return self._said.get(tick.service, [])

    def close(self, patience_s: float = PATIENCE_S) -> None:
        """Tell no more; what still waits is dropped, what is under way may take `patience_s` to end."""
        self.stop()
        self.join(patience_s)

    def stop(self) -> None:
        """Tell no more, without waiting for what is under way."""
        while True:
            try:
                self._waiting.get_nowait()
            except Empty:
                break
        self._waiting.put(None)

    def join(self, patience_s: float) -> None:
        """Wait for what is under way; `stop` comes first."""
        self._thread.join(patience_s)

    def _run(self) -> None:
        while (tick := self._waiting.get()) is not None:
            said = told(self._reporter, tick, self._name)
            with self._lock:
                self._said[tick.service] = said
