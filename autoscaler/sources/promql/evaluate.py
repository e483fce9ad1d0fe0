"""Evaluate PromQL on a `SampleStore`, equal to what Prometheus 2.42 answers on the same samples.

The tree that promql_parser builds is walked from its root; each kind of node has a method, and the arithmetic is in
the modules that it calls. Intervals are closed on both sides; Prometheus 3 leaves out a sample exactly at their start.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from promql_parser import (
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    SubqueryExpr,
    UnaryExpr,
    VectorSelector,
)

from autoscaler.sources.promql import instant_functions, range_functions
from autoscaler.sources.promql.aggregate import QUANTILE, aggregate, aggregate_quantile, grouping_of
from autoscaler.sources.promql.binary import apply, matching_of
from autoscaler.sources.promql.errors import EvaluationError, UnsupportedQueryError
from autoscaler.sources.promql.histogram import histogram_quantile
from autoscaler.sources.promql.instant_functions import ELEMENT_FUNCTIONS, label_replace
from autoscaler.sources.promql.labels import METRIC_NAME, NO_LABELS, Labels, make_labels
from autoscaler.sources.promql.matchers import matchers_of
from autoscaler.sources.promql.range_functions import RANGE_FUNCTIONS
from autoscaler.sources.promql.store import SampleStore
from autoscaler.sources.promql.syntax import check, text_of, unwrapped
from autoscaler.sources.promql.values import EMPTY, RangeVector, Vector

LOOKBACK_MS = 300_000
"""How old the newest sample of a series may be for an instant vector."""

_Value: TypeAlias = float | Vector


@dataclass(frozen=True, slots=True)
class Sample:
    """One element of an instant vector; `labels` has the metric's name, if it kept one, under `__name__`."""

    labels: Mapping[str, str]
    value: float


def evaluate(query: str | Expr, store: SampleStore, at_s: float) -> float | list[Sample]:
    """Answer an instant query.

    Args:
        query: PromQL, or what `check` made of it, which saves parsing.
        store: The samples.
        at_s: Unix time of the evaluation.

    Returns:
        A number for a scalar expression, else the elements of an instant vector in no particular order.

    Raises:
        QuerySyntaxError: It is no valid PromQL.
        UnsupportedQueryError: It is outside of the supported subset.
        EvaluationError: The series that exist now make it ambiguous.
    """
    expr = check(query)
    try:
        value = _Evaluation(store, round(at_s * 1000)).value(expr)
    except EvaluationError as error:
        raise EvaluationError(f"{error} (in {expr.prettify()})") from None
    if isinstance(value, float):
        return value
    return [Sample(dict(labels), number) for labels, number in zip(value.labels, value.values.tolist(), strict=True)]


@dataclass(frozen=True, slots=True)
class _Evaluation:
    """Evaluates nodes at one instant. The parser has checked the types of all operands."""

    store: SampleStore
    at_ms: int

    def value(self, expr: Expr) -> _Value:
        """Evaluate a node that is a scalar or an instant vector."""
        match expr:
            case NumberLiteral():
                return float(expr.val)
            case ParenExpr():
                return self.value(expr.expr)
            case VectorSelector():
                return self._newest(expr)[0]
            case UnaryExpr():
                value = self.value(expr.expr)
                return Vector(value.labels, -value.values).unnamed() if isinstance(value, Vector) else -value
            case AggregateExpr():
                return self._aggregated(expr)
            case BinaryExpr():
                left, right = self.value(expr.lhs), self.value(expr.rhs)
                return apply(str(expr.op), left, right, matching_of(expr.modifier))
            case Call():
                return self._called(expr)
        raise UnsupportedQueryError(f"{expr.prettify()} is no value")

    def vector(self, expr: Expr) -> Vector:
        """Evaluate a node that is an instant vector."""
        return cast(Vector, self.value(expr))

    def _scalar(self, expr: Expr) -> float:
        return cast(float, self.value(expr))

    def _newest(self, selector: VectorSelector) -> tuple[Vector, NDArray[np.float64]]:
        """The newest sample of each series, and their times in unix seconds."""
        to_ms = self.at_ms - _offset_ms(selector)
        labels, (found, times_ms, values) = self.store.latest(matchers_of(selector), to_ms - LOOKBACK_MS, to_ms)
        return Vector(labels, values).where(found), times_ms[found] / 1000

    def _samples(self, expr: Expr) -> RangeVector:
        node = unwrapped(expr)
        if isinstance(node, SubqueryExpr):
            return self._subquery(node)
        matrix = cast(MatrixSelector, node)
        selector = matrix.vector_selector
        to_ms = self.at_ms - _offset_ms(selector)
        return self.store.window(matchers_of(selector), to_ms - _milliseconds(matrix.range), to_ms)

    def _subquery(self, subquery: SubqueryExpr) -> RangeVector:
        """Evaluate at each multiple of the step inside of the window."""
        step_ms = _milliseconds(cast(timedelta, subquery.step))
        to_ms = self.at_ms - _offset_ms(subquery)
        from_ms = to_ms - _milliseconds(cast(timedelta, subquery.range))
        series: defaultdict[Labels, list[tuple[int, float]]] = defaultdict(list)
        for at_ms in range(-(-from_ms // step_ms) * step_ms, to_ms + 1, step_ms):
            vector = _Evaluation(self.store, at_ms).vector(subquery.expr)
            for labels, value in zip(vector.labels, vector.values.tolist(), strict=True):
                series[labels].append((at_ms, value))
        samples = [sample for found in series.values() for sample in found]
        return RangeVector(
            list(series),
            np.array([len(found) for found in series.values()], np.int64),
            np.array([at_ms for at_ms, _ in samples], np.int64),
            np.array([value for _, value in samples], np.float64),
            from_ms=from_ms,
            to_ms=to_ms,
        )

    def _aggregated(self, expr: AggregateExpr) -> Vector:
        grouping = grouping_of(expr.modifier)
        if (op := str(expr.op)) == QUANTILE:
            return aggregate_quantile(self._scalar(cast(Expr, expr.param)), self.vector(expr.expr), grouping)
        return aggregate(op, self.vector(expr.expr), grouping)

    def _called(self, call: Call) -> _Value:
        name, arguments = call.func.name, call.args
        if name in RANGE_FUNCTIONS:
            return range_functions.call(name, self._samples(arguments[0]))
        if name in ELEMENT_FUNCTIONS:
            vector, *parameters = arguments
            return instant_functions.call(name, self.vector(vector), *map(self._scalar, parameters))
        match name:
            case "absent":
                return EMPTY if len(self.vector(arguments[0])) else Vector([_absent_labels(arguments[0])], np.ones(1))
            case "histogram_quantile":
                return histogram_quantile(self._scalar(arguments[0]), self.vector(arguments[1]))
            case "label_replace":
                texts = (text_of(argument) for argument in arguments[1:])
                return label_replace(self.vector(arguments[0]), *texts)
            case "scalar":
                vector = self.vector(arguments[0])
                return float(vector.values[0]) if len(vector) == 1 else math.nan
            case "time":
                return self.at_ms / 1000
            case "timestamp":
                return self._timestamps(arguments[0])
            case "vector":
                return Vector((NO_LABELS,), np.array([self._scalar(arguments[0])]))
        raise UnsupportedQueryError(f"function {name!r} is not supported")

    def _timestamps(self, expr: Expr) -> Vector:
        """When the samples of a selector were taken; of any other vector the time of the evaluation."""
        node = unwrapped(expr)
        if isinstance(node, VectorSelector):
            vector, times_s = self._newest(node)
        else:
            vector = self.vector(node)
            times_s = np.full(len(vector), self.at_ms / 1000)
        return Vector(vector.labels, times_s).unnamed()


def _absent_labels(expr: Expr) -> Labels:
    """The labels that a selector asks for by equality; of any other expression none.

    Another condition on the same label after it takes the label out again, as in Prometheus.
    """
    selector = unwrapped(expr)
    if not isinstance(selector, VectorSelector):
        return NO_LABELS
    labels: dict[str, str] = {}
    taken = {METRIC_NAME}
    for matcher in matchers_of(selector):
        is_equality = not (matcher.is_regex or matcher.is_negated)
        if is_equality and matcher.label not in taken:
            labels[matcher.label] = matcher.value
            taken.add(matcher.label)
        else:
            labels.pop(matcher.label, None)
    return make_labels(labels)


def _offset_ms(expr: VectorSelector | SubqueryExpr) -> int:
    return 0 if expr.offset is None else _milliseconds(expr.offset)


def _milliseconds(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)
