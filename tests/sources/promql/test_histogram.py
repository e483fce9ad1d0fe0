from __future__ import annotations

import math

import pytest

from tests.sources.promql.recording import metric
from tests.sources.promql.samples import at, by_label, store_of, value_at

NAN, INF = math.nan, math.inf
LATENCY = {"0.1": 10.0, "0.5": 30.0, "1": 40.0, "+Inf": 40.0}


def quantile(q: float, buckets: dict[str, float]) -> float:
    store = store_of({metric("h_bucket", le=bound): [count] for bound, count in buckets.items()})
    return value_at(f"histogram_quantile({q}, h_bucket)", store)


@pytest.mark.parametrize(
    ("q", "buckets", "expected"),
    [
        pytest.param(0.5, LATENCY, 0.3, id="linear inside of a bucket"),
        pytest.param(0.125, LATENCY, 0.05, id="the first bucket starts at zero"),
        pytest.param(1, LATENCY, 1.0, id="the highest finite bound"),
        pytest.param(0, LATENCY, 0.0, id="the lowest value"),
        pytest.param(-0.1, LATENCY, -INF, id="q below 0"),
        pytest.param(1.1, LATENCY, INF, id="q above 1"),
        pytest.param(NAN, LATENCY, NAN, id="q is no number"),
        pytest.param(0.9, {"0.1": 1, "+Inf": 10}, 0.1, id="beyond all finite bounds"),
        pytest.param(0.5, {"0.1": 0, "1": 0, "+Inf": 0}, NAN, id="no observation"),
        pytest.param(0.5, {"0.1": 5, "1": 10}, NAN, id="no bucket up to infinity"),
        pytest.param(0.5, {"+Inf": 10}, NAN, id="a single bucket"),
        pytest.param(0, {"0.1": 0, "1": 10, "+Inf": 10}, NAN, id="q is 0 and the first bucket is empty"),
        pytest.param(0.25, {"-1": 5, "1": 10, "+Inf": 10}, -1.0, id="a first bound that is not positive"),
        pytest.param(0.5, {"0.1": 10, "0.5": 8, "1": 20, "+Inf": 20}, 0.1, id="a count that falls is raised"),
        pytest.param(0.5, {"1": 2, "1.0": 2, "2": 8, "+Inf": 8}, 1.0, id="two spellings of a bound are added"),
        pytest.param(0.5, {"0.1": 1, "nonsense": 7, "+Inf": 2}, 0.1, id="a bound that is no number is left out"),
    ],
)
def test_a_quantile_of_buckets(q: float, buckets: dict[str, float], expected: float) -> None:
    assert quantile(q, buckets) == pytest.approx(expected, nan_ok=True)


def test_each_histogram_has_its_own_quantile() -> None:
    store = store_of(
        {
            metric("h_bucket", pod="a", le="1"): [1],
            metric("h_bucket", pod="a", le="+Inf"): [1],
            metric("h_bucket", pod="b", le="3"): [1],
            metric("h_bucket", pod="b", le="+Inf"): [1],
        }
    )
    assert by_label("pod", "histogram_quantile(0.5, h_bucket)", store) == {"a": 0.5, "b": 1.5}


def test_series_without_buckets_have_no_quantile() -> None:
    assert at("histogram_quantile(0.5, m)", store_of({metric("m"): [1]})) == []
