"""Scrapes on a thread of its own, so that a tick finds minutes of samples and waits for no pod."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition, Thread

from autoscaler.core.signals import Signals
from autoscaler.daemon.clock import Clock
from autoscaler.sources.readings import ReplicaCounts
from autoscaler.sources.scrape import ScrapeSource


class Scraper:
    """A scrape source that keeps itself fresh. Implements `sources.base.Source`.

    Args:
        source: What scrapes and evaluates; closed with this.
        interval_s: Seconds between scrapes.
        clock: Where the time comes from.
        after: What to let go of once the last scrape has ended.
    """

    def __init__(self, source: ScrapeSource, interval_s: float, clock: Clock, after: Callable[[], None]) -> None:
        self._source = source
        self._interval_s = interval_s
        self._clock = clock
        self._after = after
        self._rounds = 0
        self._closed = False
        self._changed = Condition()
        self._thread = Thread(target=self._run, name="scraper", daemon=True)
        self._thread.start()

    def read(self, now_s: float) -> Signals:
        """Evaluate every signal on what was scraped; see `Source.read`."""
        return self._source.read(now_s)

    def read_replicas(self, now_s: float) -> ReplicaCounts:
        """Count the replicas that report."""
        return self._source.read_replicas(now_s)

    def wait_for(self, rounds: int, timeout_s: float) -> None:
        """Wait until so many scrapes are done, or the time is up; a rate needs two."""
        with self._changed:
            self._changed.wait_for(lambda: self._rounds >= rounds, timeout_s)

    def close(self) -> None:
        """End the thread and let go of connections."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        self._source.close()
        self._after()

    def _run(self) -> None:
        due_s = self._clock.now_s()
        while True:
            self._source.scrape(self._clock.now_s())
            due_s = max(due_s + self._interval_s, self._clock.now_s())
            with self._changed:
                self._rounds += 1
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._closed, due_s - self._clock.now_s())
                if self._closed:
                    return
