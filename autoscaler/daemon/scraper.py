"""Scrapes on a thread of its own, so that a tick finds minutes of samples and waits for no pod."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from threading import Condition, Thread
from typing import Protocol

from autoscaler.core.signals import Signals
from autoscaler.daemon.clock import Clock
from autoscaler.sources.answers import Answer
from autoscaler.sources.readings import ReplicaCounts, all_absent
from autoscaler.sources.scrape import ScrapeSource
from autoscaler.stacks.queries import ServiceQueries

_PATIENCE_S = 0.2
_FOR_RATES = 3  # a rate needs two samples, a trend three
_SLOW_PAGES_S = 20.0


class Closeable(Protocol):
    """Holds connections."""

    def close(self) -> None:
        """Let go of them."""
        ...


class Scraper:
    """A scrape source that keeps itself fresh. Implements `sources.base.Source`.

    Args:
        source: What scrapes and evaluates; closed with this.
        interval_s: Seconds between scrapes.
        clock: Where the time comes from.
        owned: What to close with the source, such as the connection that finds its pods.
    """

    def __init__(self, source: ScrapeSource, interval_s: float, clock: Clock, owned: Sequence[Closeable] = ()) -> None:
        self._source = source
        self._interval_s = interval_s
        self._clock = clock
        self._owned = owned
        self._rounds = 0
        self._defect = ""
        self._closed = False
        self._changed = Condition()
        self._thread = Thread(target=self._run, name="scraper", daemon=True)
        self._thread.start()

    def read(self, now_s: float) -> Signals:
        """Evaluate every signal on what was scraped; see `Source.read`."""
        defect = self._defect
        return all_absent(self._source.queries, defect) if defect else self._source.read(now_s)

    def read_replicas(self, now_s: float) -> ReplicaCounts:
        """Count the replicas that report."""
        return self._source.read_replicas(now_s)

    @property
    def queries(self) -> ServiceQueries:
        """The queries in the dialect that the service was last heard in."""
        return self._source.queries

    def ask(self, expressions: Iterable[str], now_s: float, /) -> Mapping[str, Answer]:
        """Answer any expressions from what was scraped."""
        return self._source.ask(expressions, now_s)

    def wait_for_rates(self) -> None:
        """Wait until there are scrapes enough to tell rates and trends from, for as long as slow pages may take."""
        self.wait_for(_FOR_RATES, _FOR_RATES * self._interval_s + _SLOW_PAGES_S)

    def wait_for(self, rounds: int, timeout_s: float) -> None:
        """Wait until so many scrapes are done, or the time is up."""
        with self._changed:
            self._changed.wait_for(lambda: self._rounds >= rounds, timeout_s)

    def close(self) -> None:
        """Let go of connections; a scrape under way, which sick pods may hold up, does so when it ends."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(_PATIENCE_S)

    def _scrape(self) -> str:
        """Scrape once; says what went wrong that nobody foresaw: it must not end the thread, which nothing restarts."""
        try:
            self._source.scrape(self._clock.now_s())
        except Exception as error:  # noqa: BLE001 - nothing restarts the thread
            return f"scraping failed: {error!r}; this is a defect, please report it"
        return ""

    def _run(self) -> None:
        try:
            self._scrape_until_closed()
        finally:
            self._source.close()
            for item in self._owned:
                item.close()

    def _scrape_until_closed(self) -> None:
        due_s = self._clock.now_s()
        while True:
            self._defect = self._scrape()
            due_s = max(due_s + self._interval_s, self._clock.now_s())
            with self._changed:
                self._rounds += 1
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._closed, due_s - self._clock.now_s())
                if self._closed:
                    return
