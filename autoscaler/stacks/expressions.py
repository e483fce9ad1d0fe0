"""Checks an expression's syntax and finds the series behind it."""

from __future__ import annotations

from typing import Any

import promql_parser

from autoscaler.config.parsing import parse_promql
from autoscaler.stacks.errors import StackError
from autoscaler.stacks.placeholders import quote
from autoscaler.stacks.queries import Expression

_METRIC_NAME = "__name__"
_OPERATORS = (  # the library's enum has no hash
    (promql_parser.MatchOp.Equal, "="),
    (promql_parser.MatchOp.NotEqual, "!="),
    (promql_parser.MatchOp.Re, "=~"),
    (promql_parser.MatchOp.NotRe, "!~"),
)
_SCALAR_FUNCTIONS = frozenset({"scalar", "time", "pi"})


def parse_expression(text: str) -> Expression:
    """Read an expression that gives an instant vector; a scalar becomes a vector of one element.

    Raises:
        StackError: It is no PromQL, or gives a range vector or a string.
    """
    try:
        tree = parse_promql(text)
    except ValueError as error:
        raise StackError(f"no PromQL: {error} in {text!r}") from None
    kind = _value_type(tree)
    if kind in ("range vector", "string"):
        raise StackError(f"gives a {kind}, where one number is wanted: {text!r}; wrap it, as in sum(rate(…[2m]))")
    selectors: dict[str, None] = {}

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            selectors[_selector(node)] = None

    promql_parser.walk(tree, visit)
    # The line break ends a comment that the expression may end with.
    return Expression(f"vector({text}\n)" if kind == "scalar" else text, tuple(selectors))


def matcher_texts(selector: str) -> tuple[str, list[tuple[str, str]]]:
    """Take a bare selector apart: the metric's name, and of each matcher its label and its text.

    A selector without a plain name is given back whole, and without matchers.
    """
    node: Any = parse_promql(selector)
    if not isinstance(node, promql_parser.VectorSelector) or not node.name:
        return selector, []
    return node.name, [
        (matcher.name, _matcher(matcher)) for matcher in node.matchers.matchers if matcher.name != _METRIC_NAME
    ]


def _value_type(node: Any) -> str:
    if isinstance(node, promql_parser.MatrixSelector | promql_parser.SubqueryExpr):
        return "range vector"
    if isinstance(node, promql_parser.StringLiteral):
        return "string"
    if isinstance(node, promql_parser.ParenExpr | promql_parser.UnaryExpr):
        return _value_type(node.expr)
    if isinstance(node, promql_parser.BinaryExpr):
        both = {_value_type(node.lhs), _value_type(node.rhs)}
        return "scalar" if both == {"scalar"} else "vector"
    if isinstance(node, promql_parser.NumberLiteral):
        return "scalar"
    is_scalar = isinstance(node, promql_parser.Call) and node.func.name in _SCALAR_FUNCTIONS
    return "scalar" if is_scalar else "vector"


def _selector(node: promql_parser.VectorSelector) -> str:
    """The bare selector, every value quoted anew: the library's own text does not escape."""
    matchers = [
        _matcher(matcher) for matcher in node.matchers.matchers if node.name is None or matcher.name != _METRIC_NAME
    ]
    braces = "{" + ",".join(matchers) + "}" if matchers else ""
    return f"{node.name or ''}{braces}"


def _matcher(matcher: Any) -> str:
    return f"{matcher.name}{_operator(matcher.op)}{quote(matcher.value)}"


def _operator(op: promql_parser.MatchOp) -> str:
    return next(text for known, text in _OPERATORS if known == op)
