"""Signals from the pods' own metrics pages, without a Prometheus server.

The pages go into a store that keeps the last minutes, and the same expressions are evaluated on it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import promql_parser
from promql_parser import Expr, MatrixSelector, VectorSelector

from autoscaler.core.signals import Signals
from autoscaler.sources.answers import Answer, Element
from autoscaler.sources.dialect import Listener
from autoscaler.sources.endpoints import Endpoint, Endpoints, EndpointsError
from autoscaler.sources.page import MOST_AT_ONCE, Page, PageFetcher
from autoscaler.sources.promql import (
    EvaluationError,
    ExpositionError,
    ExpositionParser,
    PromqlError,
    SampleStore,
    SeriesLimitError,
    check,
    evaluate,
)
from autoscaler.sources.promql.labels import Labels, make_labels
from autoscaler.sources.readings import (
    ReplicaCounts,
    all_absent,
    read_replicas,
    read_signals,
    replica_expressions,
    signal_expressions,
)
from autoscaler.stacks.errors import StackError
from autoscaler.stacks.queries import ServiceQueries

_LOOKBACK_S = 300.0
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class ScrapeStats:
    """What one round of scraping came to.

    Attributes:
        pages: Pages that were read.
        failures: By address what failed.
        discovery_error: Why the pages could not be found out; those of the last time were read.
    """

    pages: int = 0
    failures: Mapping[str, str] = field(default_factory=dict)
    discovery_error: str = ""

    @property
    def trouble(self) -> str:
        """In words what is wrong; empty when all pages were read."""
        parts = [self.discovery_error] if self.discovery_error else []
        if self.failures:
            named = "; ".join(f"{url}: {reason}" for url, reason in list(self.failures.items())[:_MOST_NAMED])
            parts.append(f"{len(self.failures)} of {self.pages + len(self.failures)} pages failed: {named}")
        return "; ".join(parts)


class ScrapeSource:
    """Reads all signals of one service from its pods. `scrape` collects, `read` evaluates; either from any thread.

    Args:
        queries: What to evaluate.
        endpoints: Where the pages are; asked before every scrape.
        timeout_s: Longest wait for one page, and for all pages together twice as much.
        clock: Monotonic seconds.

    Raises:
        StackError: An expression can be evaluated by a Prometheus server only.
    """

    def __init__(
        self,
        queries: ServiceQueries,
        endpoints: Endpoints,
        *,
        timeout_s: float = 3.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.last_scrape = ScrapeStats(discovery_error="nothing was scraped yet")
        self._listener = Listener(queries)
        self._endpoints = endpoints
        self._timeout_s = timeout_s
        self._expressions = {text: _checked(text) for text in self._listener.texts()}
        self._store = SampleStore(_LOOKBACK_S + max(map(_reach_s, self._expressions.values()), default=0.0))
        self._lock = threading.Lock()
        self._parsers: dict[str, ExpositionParser] = {}
        self._known: tuple[Endpoint, ...] = ()
        self._scraped_s = 0.0
        self._fetcher = PageFetcher(timeout_s, clock)
        self._workers = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="scrape")

    def scrape(self, now_s: float) -> ScrapeStats:
        """Read all pages once and keep their samples. Never raises for a sick pod.

        Args:
            now_s: Unix time that the samples get; one before the last scrape's counts as that.
        """
        discovery_error = ""
        known = self._known
        try:
            known = tuple(self._endpoints())
        except EndpointsError as error:
            discovery_error = str(error)
        fetched = self._fetch(known)
        with self._lock:
            self._scraped_s = max(now_s, self._scraped_s)
            failures = self._keep(fetched, self._scraped_s)
            self._forget(known, self._scraped_s)
            self.last_scrape = ScrapeStats(len(known) - len(failures), failures, discovery_error)
            return self.last_scrape

    def read(self, now_s: float) -> Signals:
        """Evaluate every signal on what was scraped; see `Source.read`."""
        with self._lock:
            if self.last_scrape.pages == 0:
                return all_absent(self._listener.spoken, self.last_scrape.trouble or "there is no pod to scrape")
            queries, answers = self._listener.hear(signal_expressions, self._evaluate, now_s)
            return read_signals(queries, answers, now_s)

    def read_replicas(self, now_s: float) -> ReplicaCounts:
        """Count the replicas that report."""
        with self._lock:
            queries, answers = self._listener.hear(replica_expressions, self._evaluate, now_s)
            return read_replicas(queries, answers, now_s)

    @property
    def queries(self) -> ServiceQueries:
        """The queries in the dialect that the service was last heard in."""
        return self._listener.spoken

    def ask(self, expressions: Iterable[str], now_s: float, /) -> Mapping[str, Answer]:
        """Answer any expressions from what was scraped; an `answers.Ask`."""
        texts = list(expressions)
        with self._lock:
            self._expressions |= {text: _checked(text) for text in texts if text not in self._expressions}
            return self._evaluate(texts, now_s)

    def close(self) -> None:
        """Let go of connections and threads."""
        self._workers.shutdown(cancel_futures=True)
        self._fetcher.close()

    def _fetch(self, endpoints: Iterable[Endpoint]) -> list[tuple[Endpoint, Page]]:
        futures = [(endpoint, self._workers.submit(self._fetcher.fetch, endpoint.url)) for endpoint in endpoints]
        wait([future for _, future in futures], timeout=2 * self._timeout_s)
        return [(endpoint, self._page(future)) for endpoint, future in futures]

    def _page(self, future: Future[Page]) -> Page:
        if future.done():
            return future.result()
        future.cancel()
        return Page(error=f"no answer within {2 * self._timeout_s:g} s, the time of one round")

    def _keep(self, fetched: Iterable[tuple[Endpoint, Page]], now_s: float) -> dict[str, str]:
        """Put the pages into the store; gives the failures by address."""
        failures: dict[str, str] = {}
        owners: dict[Labels, str] = {}
        for endpoint, page in fetched:
            owner = owners.setdefault(make_labels(endpoint.labels), endpoint.url)
            if owner != endpoint.url:
                failures[endpoint.url] = f"has the same labels as {owner}"
            elif error := page.error or self._append(endpoint, page.text, now_s):
                failures[endpoint.url] = error
                self._store.append_failure(now_s, endpoint.labels)
        return failures

    def _append(self, endpoint: Endpoint, text: str, now_s: float) -> str:
        """Put one page into the store; gives what is wrong with it."""
        try:
            samples = self._parsers.setdefault(endpoint.url, ExpositionParser()).parse(text)
            self._store.append(now_s, endpoint.labels, samples)
        except (ExpositionError, SeriesLimitError) as error:
            return str(error)
        return ""

    def _forget(self, known: Sequence[Endpoint], now_s: float) -> None:
        """End the series of pages that are gone."""
        labels = {make_labels(endpoint.labels) for endpoint in known}
        for endpoint in self._known:
            if make_labels(endpoint.labels) not in labels:
                self._store.remove_target(now_s, endpoint.labels)
        urls = {endpoint.url for endpoint in known}
        self._parsers = {url: parser for url, parser in self._parsers.items() if url in urls}
        self._known = tuple(known)

    def _evaluate(self, texts: Iterable[str], now_s: float, /) -> dict[str, Answer]:
        return {text: self._answer(text, now_s) for text in texts}

    def _answer(self, text: str, now_s: float) -> Answer:
        try:
            value = evaluate(self._expressions[text], self._store, now_s)
        except EvaluationError as error:
            return Answer(error=str(error))
        if isinstance(value, float):
            return Answer((Element({}, value),))
        return Answer(tuple(Element(sample.labels, sample.value) for sample in value))


def _checked(text: str) -> Expr:
    try:
        return check(text)
    except PromqlError as error:
        raise StackError(f"without a Prometheus server this cannot be evaluated: {error}") from None


def _reach_s(expression: Expr) -> float:
    """How far back an expression looks, the lookback of its selectors aside."""
    ranges_s = [0.0]
    offsets_s = [0.0]

    def visit(node: object) -> None:
        if isinstance(node, MatrixSelector):
            ranges_s.append(node.range.total_seconds())
        elif isinstance(node, VectorSelector) and node.offset is not None:
            offsets_s.append(node.offset.total_seconds())

    promql_parser.walk(expression, visit)
    return max(ranges_s) + max(offsets_s)
