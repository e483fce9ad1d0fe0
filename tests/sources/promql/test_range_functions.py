from __future__ import annotations

import math

import pytest

from tests.sources.promql.recording import metric
from tests.sources.promql.samples import at, store_of, value_at

NAN, INF = math.nan, math.inf
M = metric("m")


@pytest.mark.parametrize(
    ("values", "query", "after_s", "expected"),
    [
        pytest.param([100, 110, 120, 130], "rate(m[30s])", 30, 1.0, id="the window ends on samples"),
        pytest.param([100, 110, 120, 130], "increase(m[30s])", 30, 30.0, id="increase is rate times window"),
        pytest.param([100, 110, 120, 130], "increase(m[40s])", 35, 40.0, id="gaps below 1.1 intervals are filled"),
        pytest.param([100, 110, 120, 130], "increase(m[1m])", 45, 40.0, id="longer gaps by half an interval"),
        pytest.param([5, 15, 25, 35], "increase(m[34s])", 30, 34.0, id="a counter starts at zero or later"),
        pytest.param([2, 12, 22, 32], "increase(m[34s])", 30, 32.0, id="so its growth is not stretched below zero"),
        pytest.param([-5, 5, 15], "increase(m[25s])", 20, 25.0, id="unless it was below zero all the same"),
        pytest.param([10, 30, 5, 25], "increase(m[30s])", 30, 45.0, id="a reset is not a negative rate"),
        pytest.param([10, 30, 5, 3], "increase(m[30s])", 30, 28.0, id="each reset counts"),
        pytest.param([7, 7, 7], "rate(m[20s])", 20, 0.0, id="a counter that rests"),
        pytest.param([10, 30, 5, 25], "irate(m[30s])", 30, 2.0, id="irate sees the last two samples"),
        pytest.param([10, 30, 25, 5], "irate(m[30s])", 30, 0.5, id="irate after a reset counts from zero"),
        pytest.param([10, 30, 5, 25], "delta(m[30s])", 30, 15.0, id="delta knows no reset"),
        pytest.param([40, 30, 20, 10], "delta(m[40s])", 35, -40.0, id="delta is extrapolated below zero too"),
        pytest.param([1, 3, 5, 7], "deriv(m[30s])", 30, 0.2, id="slope of a line"),
        pytest.param([0, 2, 0, 2], "deriv(m[30s])", 30, 0.04, id="slope of the least squares"),
        pytest.param([4, 4, 4], "deriv(m[30s])", 30, 0.0, id="slope of a constant"),
        pytest.param([INF, INF], "deriv(m[30s])", 30, NAN, id="slope of infinity"),
        pytest.param([1, 3, 2, 2, 1], "resets(m[1m])", 40, 2.0, id="resets"),
        pytest.param([1, 3, 2, 2, NAN, NAN], "changes(m[1m])", 50, 3.0, id="from NaN to NaN is no change"),
        pytest.param([1, 2, 6], "avg_over_time(m[1m])", 20, 3.0, id="average"),
        pytest.param([1, 2, 6], "sum_over_time(m[1m])", 20, 9.0, id="sum"),
        pytest.param([1, INF, 6], "avg_over_time(m[1m])", 20, INF, id="average with infinity"),
        pytest.param([1, 2, 6], "count_over_time(m[1m])", 20, 3.0, id="count"),
        pytest.param([1, 9, NAN, 6], "max_over_time(m[1m])", 30, 9.0, id="the maximum ignores NaN"),
        pytest.param([4, 1, NAN, 6], "min_over_time(m[1m])", 30, 1.0, id="the minimum ignores NaN"),
        pytest.param([NAN], "max_over_time(m[1m])", 0, NAN, id="unless there is nothing else"),
        pytest.param([1, 2, 6], "last_over_time(m[1m])", 20, 6.0, id="last"),
        pytest.param([1, 2, 6], "sum_over_time(m[10s])", 20, 8.0, id="the window is closed on both sides"),
        pytest.param([1, 2, 6], "sum_over_time(m[10s] offset 10s)", 20, 3.0, id="offset"),
        pytest.param([1, 2, None, 6], "sum_over_time(m[1m])", 30, 9.0, id="a staleness marker is no sample"),
    ],
)
def test_a_range_function(values: list[float | None], query: str, after_s: float, expected: float) -> None:
    assert value_at(query, store_of({M: values}), after_s) == pytest.approx(expected, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("function", ["rate", "increase", "irate", "delta", "deriv"])
def test_one_sample_has_no_slope(function: str) -> None:
    assert at(f"{function}(m[1m])", store_of({M: [5]})) == []


def test_a_window_without_samples_has_no_result() -> None:
    assert at("count_over_time(m[1m])", store_of({M: [5]}), 61) == []


def test_only_last_over_time_keeps_the_name() -> None:
    store = store_of({metric("m", pod="a"): [1, 2]})
    (last,), (highest,) = at("last_over_time(m[1m])", store, 10), at("max_over_time(m[1m])", store, 10)

    assert last.labels == {"__name__": "m", "pod": "a"}
    assert highest.labels == {"pod": "a"}


def test_a_subquery_samples_at_multiples_of_its_step() -> None:
    store = store_of({M: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]})

    # T0_S is 20 s after a multiple of 60 s: at 70 s the window from 10 s on holds 40 s alone.
    assert value_at("sum_over_time(m[1m:1m])", store, 70) == 4.0
    assert value_at("sum_over_time(m[1m:20s])", store, 70) == 2.0 + 4.0 + 6.0
