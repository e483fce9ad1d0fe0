"""Whether two answers to a query are the same."""

from __future__ import annotations

import math

from autoscaler.sources.promql import EvaluationError, SampleStore, evaluate
from tests.support.prometheus import Prometheus, QueryError

Answer = float | dict[frozenset[tuple[str, str]], float] | None


def answer_of_store(query: str, store: SampleStore, at_s: float) -> Answer:
    """Our answer by label set; None when the query is refused for the series that exist."""
    try:
        result = evaluate(query, store, at_s)
    except EvaluationError:
        return None
    if isinstance(result, float):
        return result
    answer = {frozenset(sample.labels.items()): sample.value for sample in result}
    assert len(answer) == len(result), "two elements with the same labels"
    return answer


def answer_of_prometheus(query: str, prometheus: Prometheus, at_s: float) -> Answer:
    """The same from the real thing."""
    try:
        result = prometheus.query(query, at_s)
    except QueryError:
        return None
    if isinstance(result, float):
        return result
    return {frozenset(labels.items()): value for labels, value in result}


def is_same(ours: Answer, theirs: Answer, *, tolerance: float = 0.0) -> bool:
    """Equal labels, and values equal within 1e-9 of each other or the absolute tolerance; NaN equals NaN."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(
            is_same(value, theirs[labels], tolerance=tolerance) for labels, value in ours.items()
        )
    if isinstance(ours, float) and isinstance(theirs, float):
        both_nan = math.isnan(ours) and math.isnan(theirs)
        return both_nan or math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=tolerance)
    return ours is None and theirs is None
