from __future__ import annotations

import math

import pytest

from autoscaler.sources.promql import EvaluationError
from tests.sources.promql.samples import T0_S, at, by_label, now_store, value_at

NAN = math.nan
STORE = now_store({"m": {"pod-a": 1.5, "pod-b": -2.5}, "other": {"pod-a": 3.0}})


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("abs(m)", {"pod-a": 1.5, "pod-b": 2.5}),
        ("ceil(m)", {"pod-a": 2.0, "pod-b": -2.0}),
        ("floor(m)", {"pod-a": 1.0, "pod-b": -3.0}),
        ("round(m)", {"pod-a": 2.0, "pod-b": -2.0}),
        ("round(m, 2)", {"pod-a": 2.0, "pod-b": -2.0}),
        ("round(m, 0.25)", {"pod-a": 1.5, "pod-b": -2.5}),
        ("clamp(m, -1, 1)", {"pod-a": 1.0, "pod-b": -1.0}),
        ("clamp(m, 1, -1)", {}),
        ("clamp_min(m, 0)", {"pod-a": 1.5, "pod-b": 0.0}),
        ("clamp_max(m, 0)", {"pod-a": 0.0, "pod-b": -2.5}),
        ("timestamp(m)", {"pod-a": T0_S, "pod-b": T0_S}),
        ("timestamp(m + 0)", {"pod-a": T0_S + 60, "pod-b": T0_S + 60}),
    ],
)
def test_an_element_function(query: str, expected: dict[str, float]) -> None:
    assert by_label("pod", query, STORE, 60) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("scalar(other)", 3.0),
        ("scalar(m)", NAN),
        ("scalar(missing)", NAN),
        ("vector(4)", 4.0),
        ("time()", T0_S + 60.25),
        ("clamp_min(vector(NaN), 1)", NAN),
    ],
)
def test_scalars_and_vectors_become_one_another(query: str, expected: float) -> None:
    assert value_at(query, STORE, 60.25) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ('absent(missing{pod="x",role="y"})', {"pod": "x", "role": "y"}),
        ('absent(missing{pod=~"x",role!="y"})', {}),
        ('absent(missing{pod="x",pod="y"})', {}),
        ('absent(sum(missing{pod="x"}))', {}),
    ],
)
def test_absent_tells_what_was_asked_for(query: str, labels: dict[str, str]) -> None:
    (sample,) = at(query, STORE)
    assert (sample.labels, sample.value) == (labels, 1.0)


def test_absent_is_empty_for_what_exists() -> None:
    assert at("absent(m)", STORE) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('"kind", "$1", "pod", "(.*)-a"', {"pod": "pod-a", "kind": "pod"}),
        ('"kind", "${name}!", "pod", "(?P<name>.*)-a"', {"pod": "pod-a", "kind": "pod!"}),
        ('"kind", "$1x", "pod", "(.*)-a"', {"pod": "pod-a"}),
        ('"kind", "$$1", "pod", ".*"', {"pod": "pod-a", "kind": "$1"}),
        ('"kind", "x", "pod", "pod"', {"pod": "pod-a"}),
        ('"kind", "none", "missing", ""', {"pod": "pod-a", "kind": "none"}),
        ('"pod", "", "pod", ".*"', {}),
        ('"__name__", "renamed", "pod", ".*"', {"__name__": "renamed", "pod": "pod-a"}),
    ],
)
def test_label_replace(arguments: str, expected: dict[str, str]) -> None:
    (sample,) = at(f"label_replace(other, {arguments})", STORE)
    assert sample.labels == {"__name__": "other", **expected}


def test_label_replace_may_not_make_two_series_one() -> None:
    with pytest.raises(EvaluationError, match="same labelset"):
        at('label_replace(m, "pod", "one", "pod", ".*")', STORE)
