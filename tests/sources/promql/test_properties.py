"""Random samples and random expressions: ours and those of a real Prometheus."""

from __future__ import annotations

import itertools
import math

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoscaler.sources.promql import SampleStore
from tests.sources.promql.cluster import END_S, START_S
from tests.sources.promql.comparison import answer_of_prometheus, answer_of_store, is_same
from tests.sources.promql.expressions import OVER_RANGE, vectors
from tests.sources.promql.recording import Scrape, filled_store, metric, written_series
from tests.support.prometheus import Prometheus

SHARED_SERVER = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]

case_numbers = itertools.count()

gaps_ms = st.sampled_from((1, 999, 5000, 5000, 5000, 5007, 31_000))
counter_steps = st.one_of(st.floats(0, 1e6), st.integers(0, 100), st.sampled_from((-1.0, None)))
gauge_values = st.one_of(st.floats(-1e6, 1e6), st.sampled_from((0.0, 1.0, math.nan, math.inf, -math.inf, None)))
gauges = st.lists(st.tuples(gaps_ms, gauge_values), max_size=14)


@st.composite
def counters(draw: st.DrawFn) -> list[tuple[int, float | None]]:
    """Gaps in milliseconds and values; a negative step is a restart, None a scrape without the series."""
    value, samples = draw(st.sampled_from((0.0, 3.0, 1e6))), []
    for gap_ms in draw(st.lists(gaps_ms, max_size=14)):
        step = draw(counter_steps)
        value = value + step if step is not None and step >= 0 else 0.0
        samples.append((gap_ms, None if step is None else value))
    return samples


@settings(max_examples=40, derandomize=True, suppress_health_check=SHARED_SERVER)
@given(samples=counters() | gauges, window=st.sampled_from(("10s", "15s", "62s")), at_ms=st.integers(0, 90_000))
def test_a_function_of_any_samples_is_that_of_prometheus(
    prometheus: Prometheus, samples: list[tuple[int, float | None]], window: str, at_ms: int
) -> None:
    series = metric("case", number=str(next(case_numbers)))
    times_ms = itertools.accumulate(gap_ms for gap_ms, _ in samples)
    scrapes = [
        Scrape(START_S + time_ms / 1000, (), {} if value is None else {series: value})
        for time_ms, (_, value) in zip(times_ms, samples, strict=True)
    ]
    prometheus.write([written for written in written_series(scrapes) if written.labels["__name__"] == "case"])
    store = filled_store(scrapes)
    selector = f'case{{number="{dict(series)["number"]}"}}'
    at_s = START_S + at_ms / 1000

    for query in (selector, *(f"{function}({selector}[{window}])" for function in OVER_RANGE)):
        ours, theirs = answer_of_store(query, store, at_s), answer_of_prometheus(query, prometheus, at_s)
        assert is_same(ours, theirs, tolerance=1e-9), f"{query}: ours {ours}, Prometheus {theirs}"


@settings(max_examples=150, derandomize=True, suppress_health_check=SHARED_SERVER)
@given(query=vectors, at_s=st.integers(int(START_S), int(END_S)))
def test_any_expression_is_that_of_prometheus(
    prometheus: Prometheus, cluster_store: SampleStore, query: str, at_s: int
) -> None:
    ours, theirs = answer_of_store(query, cluster_store, at_s), answer_of_prometheus(query, prometheus, at_s)
    assert is_same(ours, theirs, tolerance=1e-9), f"ours {ours}, Prometheus {theirs}"
