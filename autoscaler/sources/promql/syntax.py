"""Parse a query, and refuse at load what cannot be evaluated without a Prometheus."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import cast

import promql_parser
from promql_parser import (
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    StringLiteral,
    SubqueryExpr,
    UnaryExpr,
    ValueType,
    VectorSelector,
)

from autoscaler.config.parsing import parse_promql
from autoscaler.sources.promql.aggregate import AGGREGATIONS, QUANTILE
from autoscaler.sources.promql.binary import ARITHMETIC, COMPARISONS, SET_OPERATORS
from autoscaler.sources.promql.errors import QuerySyntaxError, UnsupportedQueryError
from autoscaler.sources.promql.instant_functions import ELEMENT_FUNCTIONS
from autoscaler.sources.promql.matchers import anchored, matchers_of
from autoscaler.sources.promql.range_functions import RANGE_FUNCTIONS

OTHER_FUNCTIONS = frozenset({"absent", "histogram_quantile", "label_replace", "scalar", "time", "timestamp", "vector"})
FUNCTIONS = frozenset({*OTHER_FUNCTIONS, *ELEMENT_FUNCTIONS, *RANGE_FUNCTIONS})
OPERATORS = frozenset({*ARITHMETIC, *COMPARISONS, *SET_OPERATORS})
AGGREGATORS = frozenset({*AGGREGATIONS, QUANTILE})

_NODES = frozenset({"MatrixSelector", "NumberLiteral", "ParenExpr", "StringLiteral", "UnaryExpr"})
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)


def parse(query: str) -> Expr:
    """Parse a query.

    Raises:
        QuerySyntaxError: With the parser's message.
    """
    try:
        return parse_promql(query)
    except ValueError as error:
        raise QuerySyntaxError(f"{query!r} is no valid PromQL: {error}") from None


def check(query: str | Expr) -> Expr:
    """Parse a query and make sure that `evaluate` can answer it.

    Raises:
        QuerySyntaxError: It is no valid PromQL.
        UnsupportedQueryError: It is, but uses a function, operator or modifier outside of the supported subset. The
            message names it and what is supported.
    """
    expr = parse(query) if isinstance(query, str) else query
    try:
        _check_result(expr)
        promql_parser.walk(expr, _check_node)
    except UnsupportedQueryError as error:
        raise UnsupportedQueryError(f"{error} (in {expr.prettify()})") from None
    return expr


def unwrapped(expr: Expr) -> Expr:
    """The expression inside of any parentheses."""
    while isinstance(expr, ParenExpr):
        expr = expr.expr
    return expr


def text_of(expr: Expr) -> str:
    """The text of a literal, where the parser has made sure that it is one."""
    return cast(StringLiteral, unwrapped(expr)).val


def _check_result(expr: Expr) -> None:
    root = unwrapped(expr)
    if isinstance(root, MatrixSelector | SubqueryExpr):
        raise UnsupportedQueryError(
            "the query gives ranges of samples, not values; put it into a function such as rate()"
        )
    if isinstance(root, StringLiteral):
        raise UnsupportedQueryError("the query gives a text, not a value")


def _check_node(expr: Expr) -> None:
    match expr:
        case VectorSelector():
            _check_selector(expr)
        case SubqueryExpr():
            _check_subquery(expr)
        case Call():
            _check_call(expr)
        case AggregateExpr():
            _require("aggregation", str(expr.op), AGGREGATORS)
        case BinaryExpr():
            _check_binary(expr)
        case _:
            _require("expression", type(expr).__name__, _NODES)


def _check_selector(selector: VectorSelector) -> None:
    if selector.at is not None:
        raise UnsupportedQueryError("the modifier @ is not supported; use offset")
    if selector.matchers.or_matchers:
        raise UnsupportedQueryError("'or' between label matchers is not supported; use a regex or the operator 'or'")
    for matcher in matchers_of(selector):
        if matcher.is_regex:
            anchored(matcher.value)


def _check_subquery(subquery: SubqueryExpr) -> None:
    if subquery.at is not None:
        raise UnsupportedQueryError("the modifier @ is not supported; use offset")
    if subquery.step is None:
        raise UnsupportedQueryError("a subquery needs a step here, such as [5m:30s]")


def _check_call(call: Call) -> None:
    name = call.func.name
    _require("function", name, FUNCTIONS)
    if name == "label_replace":
        target, _, _, pattern = (text_of(argument) for argument in call.args[1:])
        anchored(pattern)
        if not _LABEL_NAME.fullmatch(target):
            raise UnsupportedQueryError(f"label_replace: {target!r} is no label name")


def _check_binary(binary: BinaryExpr) -> None:
    _require("operator", str(binary.op), OPERATORS)
    modifier = binary.modifier
    if modifier is None:
        return
    if modifier.matching is not None and (_is_scalar(binary.lhs) or _is_scalar(binary.rhs)):
        raise UnsupportedQueryError("on() and ignoring() need a vector on both sides; write vector(1) instead of 1")
    fill = modifier.fill_values
    if fill.lhs is not None or fill.rhs is not None:
        raise UnsupportedQueryError("the modifier fill is not supported; use the operator 'or'")


def _is_scalar(expr: Expr) -> bool:
    match unwrapped(expr):
        case NumberLiteral():
            return True
        case Call() as call:
            return bool(call.func.return_type == ValueType.Scalar)
        case UnaryExpr() as unary:
            return _is_scalar(unary.expr)
        case BinaryExpr() as binary:
            return _is_scalar(binary.lhs) and _is_scalar(binary.rhs)
        case _:
            return False


def _require(kind: str, name: str, supported: Collection[str]) -> None:
    if name not in supported:
        raise UnsupportedQueryError(
            f"the {kind} {name!r} needs a Prometheus; without one these are supported: {', '.join(sorted(supported))}"
        )
