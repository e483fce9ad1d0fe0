from __future__ import annotations

import math

import pytest

from tests.sources.promql.recording import Labels, metric
from tests.sources.promql.samples import at, by_label, store_of, value_at

NAN = math.nan


def pod(name: str, role: str) -> Labels:
    return metric("m", pod=name, role=role)


STORE = store_of({pod("a", "prefill"): [1], pod("b", "prefill"): [4], pod("c", "decode"): [7]})


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sum by (role) (m)", {"prefill": 5, "decode": 7}),
        ("avg by (role) (m)", {"prefill": 2.5, "decode": 7}),
        ("min by (role) (m)", {"prefill": 1, "decode": 7}),
        ("max by (role) (m)", {"prefill": 4, "decode": 7}),
        ("count by (role) (m)", {"prefill": 2, "decode": 1}),
        ("quantile by (role) (0.25, m)", {"prefill": 1.75, "decode": 7}),
        ("sum without (pod) (m)", {"prefill": 5, "decode": 7}),
        ("sum by (missing) (m)", {"": 12}),
        ("sum(m)", {"": 12}),
    ],
)
def test_an_aggregation_reduces_each_group(query: str, expected: dict[str, float]) -> None:
    assert by_label("role", query, STORE) == expected


def test_without_drops_the_name_and_by_can_keep_it() -> None:
    (without,) = at('sum without (pod) (m{role="decode"})', STORE)
    (by,) = at('sum by (__name__) (m{role="decode"})', STORE)

    assert without.labels == {"role": "decode"}
    assert by.labels == {"__name__": "m"}


@pytest.mark.parametrize("op", ["sum", "avg", "min", "max", "count"])
def test_no_element_makes_no_group(op: str) -> None:
    assert at(f"{op}(missing)", STORE) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("max(m)", 3.0),
        ("min(m)", 3.0),
        ("sum(m)", NAN),
        ("avg(m)", NAN),
        ("count(m)", 2.0),
        ("quantile(1, m)", 3.0),
        ("quantile(0, m)", NAN),
        ("quantile(-0.1, m)", -math.inf),
        ("quantile(1.1, m)", math.inf),
        ("quantile(NaN, m)", NAN),
        ('max(m{pod="a"})', NAN),
    ],
)
def test_nan_among_the_elements(query: str, expected: float) -> None:
    store = store_of({pod("a", "decode"): [NAN], pod("b", "decode"): [3]})
    assert value_at(query, store) == pytest.approx(expected, nan_ok=True)
