from __future__ import annotations

import math

import pytest

from autoscaler.sources.promql import EvaluationError
from tests.sources.promql.recording import metric
from tests.sources.promql.samples import at, by_label, now_store, store_of, value_at

NAN, INF = math.nan, math.inf
STORE = now_store({"m": {"a": 6.0, "b": 2.0}, "n": {"a": 4.0, "b": 2.0, "c": 1.0}})
LABELLED = store_of(
    {
        metric("queue", pod="a", engine="0"): [3],
        metric("queue", pod="a", engine="1"): [5],
        metric("ready", pod="a", node="x"): [2],
    }
)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("7 % 4", 3),
        ("-7 % 4", -3),
        ("7 % 0", NAN),
        ("1 / 0", INF),
        ("0 / 0", NAN),
        ("-2 ^ 2", -4),
        ("2 ^ 3 ^ 2", 512),
        ("8 - 4 - 2", 2),
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("2 >= bool 2", 1),
        ("NaN == bool NaN", 0),
        ("NaN != bool NaN", 1),
    ],
)
def test_two_scalars(query: str, expected: float) -> None:
    assert value_at(query, STORE) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("m + 1", {"a": 7, "b": 3}),
        ("1 - m", {"a": -5, "b": -1}),
        ("-m", {"a": -6, "b": -2}),
        ("m > 2", {"a": 6}),
        ("2 < m", {"a": 6}),
        ("m > bool 2", {"a": 1, "b": 0}),
        ("m / n", {"a": 1.5, "b": 1}),
        ("m == n", {"b": 2}),
        ("m == bool n", {"a": 0, "b": 1}),
        ("m / missing", {}),
        ("m and n > 2", {"a": 6}),
        ("m unless n > 2", {"b": 2}),
        ("m or n", {"a": 6, "b": 2, "c": 1}),
        ("missing or n", {"a": 4, "b": 2, "c": 1}),
        ("m and on () missing", {}),
        ("m and on () vector(1)", {"a": 6, "b": 2}),
        ("m / on () group_left vector(2)", {"a": 3, "b": 1}),
        ("vector(12) / on () group_right m", {"a": 2, "b": 6}),
        ("vector(4) < on () group_right m", {"a": 4}),
    ],
)
def test_vectors_match_by_their_labels(query: str, expected: dict[str, float]) -> None:
    assert by_label("pod", query, STORE) == expected


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ('m{pod="a"} > 1', {"__name__": "m", "pod": "a"}),
        ('m{pod="a"} > bool 1', {"pod": "a"}),
        ('m{pod="a"} * 2', {"pod": "a"}),
        ('m{pod="a"} > n', {"__name__": "m", "pod": "a"}),
        ('m{pod="a"} > on (pod) n', {"pod": "a"}),
        ('m{pod="a"} + ignoring (pod) n{pod="b"}', {}),
        ('m{pod="a"} and n', {"__name__": "m", "pod": "a"}),
    ],
)
def test_which_labels_a_result_has(query: str, labels: dict[str, str]) -> None:
    (sample,) = at(query, STORE)
    assert sample.labels == labels


def test_a_group_keeps_the_labels_of_its_many_side_and_takes_those_that_it_includes() -> None:
    samples = at("queue / on (pod) group_left (node, missing) ready", LABELLED)

    assert sorted((tuple(sample.labels.items()), sample.value) for sample in samples) == [
        ((("engine", "0"), ("node", "x"), ("pod", "a")), 1.5),
        ((("engine", "1"), ("node", "x"), ("pod", "a")), 2.5),
    ]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("ready + on (pod) queue", "duplicate series for the match group {'pod': 'a'} on the right"),
        ("queue + on (pod) group_right ready", "duplicate series .* on the left"),
        ("queue + on (pod) ready", "needs group_left or group_right"),
        ("queue * on (pod) group_left (engine) ready", "same labelset"),
    ],
)
def test_an_ambiguous_match_is_refused(query: str, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        at(query, LABELLED)


@pytest.mark.parametrize("query", ['-{__name__=~"m|n"}', '{__name__=~"m|n"} * 2', '{__name__=~"m|n"} > bool 2'])
def test_series_that_differ_in_their_name_alone_cannot_lose_it(query: str) -> None:
    with pytest.raises(EvaluationError, match="same labelset"):
        at(query, STORE)


def test_the_error_names_the_query() -> None:
    with pytest.raises(EvaluationError, match=r"\(in queue \+ on \(pod\) ready\)"):
        at("queue + on (pod) ready", LABELLED)


def test_an_empty_side_hides_an_ambiguity_as_in_prometheus() -> None:
    assert at("missing + on (pod) queue", LABELLED) == []
