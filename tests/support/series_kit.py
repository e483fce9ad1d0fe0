"""Metrics pages for tests, of any exporter: gauges, counters and histograms that run in straight lines.

A counter grows by the same amount in every second, and a histogram's observations repeat in a cycle. So `rate()` is
exact, and a test can compute what a query has to answer from the rows that it wrote down.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.support.prometheus import Prometheus, TimeSeries

STEP_S = 15.0
"""Scrape interval."""

Key = tuple[tuple[str, str], ...]
Samples = Iterator[tuple[str, Mapping[str, str], float]]


@dataclass(frozen=True, slots=True)
class Gauge:
    """A value, or one that depends on the time."""

    name: str
    value: float | Callable[[float], float]
    labels: Mapping[str, str] = field(default_factory=dict)

    def samples(self, at_s: float, _counting_s: float) -> Samples:
        """The sample at a time."""
        yield self.name, self.labels, self.value(at_s) if callable(self.value) else self.value


@dataclass(frozen=True, slots=True)
class Counter:
    """A count that grows by so much a second."""

    name: str
    per_s: float
    labels: Mapping[str, str] = field(default_factory=dict)

    def samples(self, _at_s: float, counting_s: float) -> Samples:
        """The sample after so many seconds of counting."""
        yield self.name, self.labels, self.per_s * counting_s


@dataclass(frozen=True, slots=True)
class Histogram:
    """Observations that repeat in a cycle, so many a second.

    Attributes:
        name: Without suffix.
        bounds: Finite bounds.
        cycle: The observations.
        per_s: Observations a second.
        labels: Of every series.
        whole_as_int: Whether whole bounds are written `1`, as Go and Rust do, and not `1.0`, as Python does.
    """

    name: str
    bounds: Sequence[float]
    cycle: Sequence[float]
    per_s: float
    labels: Mapping[str, str] = field(default_factory=dict)
    whole_as_int: bool = False

    def samples(self, _at_s: float, counting_s: float) -> Samples:
        """Buckets, sum and count after so many seconds of counting."""
        count = self.per_s * counting_s
        for bound in self.bounds:
            share = sum(value <= bound for value in self.cycle) / len(self.cycle)
            text = f"{bound:g}" if self.whole_as_int else str(float(bound))
            yield f"{self.name}_bucket", {**self.labels, "le": text}, count * share
        yield f"{self.name}_bucket", {**self.labels, "le": "+Inf"}, count
        yield f"{self.name}_sum", self.labels, count * sum(self.cycle) / len(self.cycle)
        yield f"{self.name}_count", self.labels, count


Row = Gauge | Counter | Histogram


@dataclass(frozen=True, slots=True)
class Page:
    """What one scrape target exports.

    Attributes:
        target: Labels that the scrape adds; they win over labels of the same name, which become `exported_…`.
        rows: The metrics.
        started_s: When it began to count anew, if that is after the first sample.
        until_s: Its last scrape; staleness markers follow.
        lingers: Whether the markers are missing, as after a crash of Prometheus.
    """

    target: Mapping[str, str]
    rows: Sequence[Row]
    started_s: float | None = None
    until_s: float = math.inf
    lingers: bool = False

    def time_series(self, from_s: float, to_s: float) -> list[TimeSeries]:
        """Samples for `Prometheus.write`."""
        series: dict[Key, list[tuple[float, float | None]]] = {}
        times_s = [from_s + index * STEP_S for index in range(int((to_s - from_s) / STEP_S) + 1)]
        for at_s in (at_s for at_s in times_s if at_s <= self.until_s):
            for key, value in self._values(from_s, at_s):
                series.setdefault(key, []).append((at_s, value))
        ended_s = next((at_s for at_s in times_s if at_s > self.until_s), None)
        if ended_s is not None and not self.lingers:
            for samples in series.values():
                samples.append((ended_s, None))
        return [TimeSeries(dict(key), samples) for key, samples in series.items()]

    def _values(self, from_s: float, at_s: float) -> Iterator[tuple[Key, float]]:
        restarted = self.started_s is not None and at_s >= self.started_s
        counting_s = at_s - self.started_s + STEP_S if restarted and self.started_s is not None else at_s - from_s
        for row in self.rows:
            for name, labels, value in row.samples(at_s, counting_s):
                own = {f"exported_{key}" if key in self.target else key: text for key, text in labels.items()}
                yield tuple(sorted({"__name__": name, **own, **self.target}.items())), value


def write_pages(server: Prometheus, pages: Iterable[Page], from_s: float, to_s: float) -> None:
    """Let a Prometheus have scraped pages."""
    server.write(series for page in pages for series in page.time_series(from_s, to_s))
