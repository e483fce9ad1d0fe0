"""Scrapes in the background, more often than ticks read."""

from __future__ import annotations

import threading
from collections.abc import Callable

from autoscaler.core.signals import Signals
from autoscaler.sources.readings import ReplicaCounts
from autoscaler.sources.scrape import ScrapeSource


class PeriodicScrape:
    """A `ScrapeSource` with a thread that scrapes it, for use as a `Source`.

    Args:
        source: What to scrape and read; closed with this.
        interval_s: Seconds from one scrape to the next.
        now_s: Gives the Unix time.
    """

    def __init__(self, source: ScrapeSource, interval_s: float, now_s: Callable[[], float]) -> None:
        self._source = source
        self._interval_s = interval_s
        self._now_s = now_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scrape-loop", daemon=True)
        self._thread.start()

    def read(self, now_s: float) -> Signals:
        """Evaluate every signal on what was scraped; see `Source.read`."""
        return self._source.read(now_s)

    def read_replicas(self, now_s: float) -> ReplicaCounts:
        """Count the replicas that report."""
        return self._source.read_replicas(now_s)

    def close(self) -> None:
        """End the thread and let go of connections."""
        self._over.set()
        self._thread.join()
        self._source.close()

    def _run(self) -> None:
        while not self._over.is_set():
            started_s = self._now_s()
            self._source.scrape(started_s)
            self._over.wait(max(self._interval_s - (self._now_s() - started_s), 0.0))
