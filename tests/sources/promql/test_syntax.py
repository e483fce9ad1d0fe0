from __future__ import annotations

import pytest

from autoscaler.sources.promql import QuerySyntaxError, SampleStore, UnsupportedQueryError, check, evaluate
from autoscaler.sources.promql.syntax import AGGREGATORS, FUNCTIONS

ARGUMENTS = {
    "clamp": "m, 0, 1",
    "clamp_max": "m, 1",
    "clamp_min": "m, 0",
    "histogram_quantile": "0.9, m",
    "label_replace": 'm, "a", "$1", "b", "(.*)"',
    "time": "",
    "vector": "1",
}
OF_VECTORS = {"abs", "absent", "ceil", "floor", "round", "scalar", "timestamp"}


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_every_function_that_is_listed_can_be_evaluated(function: str) -> None:
    arguments = ARGUMENTS.get(function) or ("" if function == "time" else "m" if function in OF_VECTORS else "m[1m]")
    evaluate(f"{function}({arguments})", SampleStore(600), 1.7e9)


@pytest.mark.parametrize("op", sorted(AGGREGATORS))
def test_every_aggregation_that_is_listed_can_be_evaluated(op: str) -> None:
    assert evaluate(f"{op}({'0.5, ' if op == 'quantile' else ''}m)", SampleStore(600), 1.7e9) == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("sort(m)", "the function 'sort' needs a Prometheus; .* supported: abs, absent, .*vector"),
        ("sum(stddev by (pod) (m))", "the aggregation 'stddev' .* supported: avg, count, max, min, quantile, sum"),
        ("topk(2, m)", "the aggregation 'topk'"),
        ("m atan2 n", "the operator 'atan2' .* supported: !=, %"),
        ("m @ 1700000000", "modifier @"),
        ("rate(m[5m] @ end())", "modifier @"),
        ("max_over_time(m[5m:1m] @ start())", "modifier @"),
        ("max_over_time(m[5m:])", "needs a step"),
        ('{a="1" or b="2"}', "'or' between label matchers"),
        ("m + fill (0) n", "modifier fill"),
        ("m + on () 1", "vector on both sides"),
        ("-time() / on () m", "vector on both sides"),
        ("m[5m]", "ranges of samples"),
        ("(m[5m:1m])", "ranges of samples"),
        ('"text"', "a text"),
        ('m{pod=~"[[:alpha:]]+"}', r"regex '\[\[:alpha:\]\]\+'"),
        (r'm{pod!~"\\pL+"}', "regex"),
        ('label_replace(m, "0a", "", "b", "")', "'0a' is no label name"),
        ('label_replace(m, "a", "", "b", "(")', r"regex '\('"),
    ],
)
def test_what_is_not_supported_is_refused_and_named(query: str, message: str) -> None:
    with pytest.raises(UnsupportedQueryError, match=message):
        check(query)


@pytest.mark.parametrize("query", ["", "rate(m", "rate(m)", "foo(m)", "m{", "1 and 2", "sum(m) by", "m{a=~'('}"])
def test_what_is_no_promql_is_refused(query: str) -> None:
    with pytest.raises(QuerySyntaxError, match="no valid PromQL"):
        check(query)


def test_the_refusal_shows_the_query() -> None:
    with pytest.raises(UnsupportedQueryError, match=r"\(in sum\(sort\(m\)\)\)"):
        check("sum(sort(m))")


def test_a_checked_query_can_be_evaluated_again_and_again() -> None:
    query = check("1 + 1")
    assert [evaluate(query, SampleStore(600), at_s) for at_s in (1.0, 2.0)] == [2.0, 2.0]
