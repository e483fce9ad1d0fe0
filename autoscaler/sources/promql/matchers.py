"""Label matchers of a selector, and regular expressions with Prometheus' meaning."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from functools import lru_cache

import promql_parser

from autoscaler.sources.promql.errors import UnsupportedQueryError


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label; a missing label counts as the empty value.

    Attributes:
        label: Name of the label, `__name__` for the metric's.
        value: A text, or with `is_regex` a pattern for the whole value.
        is_regex: `=~` and `!~`.
        is_negated: `!=` and `!~`.
    """

    label: str
    value: str
    is_regex: bool = False
    is_negated: bool = False

    def accepts(self, value: str) -> bool:
        """Whether a label's value meets the condition."""
        if self.is_regex:
            return (anchored(self.value).fullmatch(value) is None) == self.is_negated
        return (value != self.value) == self.is_negated


@lru_cache(maxsize=1024)
def anchored(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of RE2's syntax, for `fullmatch`.

    Raises:
        UnsupportedQueryError: Python's `re` reads the pattern in another way, or not at all.
    """
    try:
        with warnings.catch_warnings(action="error", category=FutureWarning):  # on sets like [[:alpha:]]
            return re.compile(pattern, re.ASCII)
    except (re.error, FutureWarning) as error:
        raise UnsupportedQueryError(f"regex {pattern!r} cannot be evaluated here: {error}") from None


def matchers_of(selector: promql_parser.VectorSelector) -> tuple[Matcher, ...]:
    """The conditions of a selector, the one on the metric's name first."""
    named = (Matcher("__name__", selector.name),) if selector.name else ()
    return named + tuple(_matcher(matcher) for matcher in selector.matchers.matchers)


def _matcher(matcher: promql_parser.Matcher) -> Matcher:
    op, enum = matcher.op, promql_parser.MatchOp
    return Matcher(
        matcher.name,
        matcher.value,
        is_regex=op in (enum.Re, enum.NotRe),
        is_negated=op in (enum.NotEqual, enum.NotRe),
    )
