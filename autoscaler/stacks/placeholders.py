"""Puts a service's labels, windows and objectives into the expressions of a stack file.

Values from a policy reach a query only through `quote` and label names only through `Matcher`, so that no label
value can change the shape of an expression.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from autoscaler.stacks.errors import StackError, did_you_mean

MatchOperator = Literal["=", "!=", "=~", "!~"]

_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_PLACEHOLDER = re.compile(r"\$(\$|[a-z_]+)")


@dataclass(frozen=True, slots=True)
class Matcher:
    """One label matcher.

    Raises:
        StackError: The label's name is none.
    """

    label: str
    value: str
    operator: MatchOperator = "="

    def __post_init__(self) -> None:
        if _LABEL_NAME.fullmatch(self.label) is None:
            raise StackError(f"{self.label!r} is no label name: letters, digits and underscores, not a digit first")

    def __str__(self) -> str:
        return f"{self.label}{self.operator}{quote(self.value)}"


def quote(value: str) -> str:
    """Write a string literal of PromQL.

    JSON's escapes are a subset of those of Go, which PromQL uses.

    Raises:
        StackError: The value cannot be encoded.
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        raise StackError(f"{value!r} is no valid Unicode text") from None
    return json.dumps(value, ensure_ascii=False)


def join_matchers(matchers: Iterable[Matcher]) -> str:
    """Write matchers as they stand between braces."""
    return ",".join(str(matcher) for matcher in matchers)


def expand(template: str, values: Mapping[str, str | None]) -> str | None:
    """Replace every `$name`; `$$` is a dollar sign.

    A dollar sign before anything but a lower-case letter or an underscore stays, as in the regular expression `a$`.

    Args:
        template: An expression with placeholders.
        values: By name; None where the service does not have it.

    Returns:
        The expression, or None where it needs something that the service does not have.

    Raises:
        StackError: A placeholder that does not exist.
    """
    names = [name for name in _PLACEHOLDER.findall(template) if name != "$"]
    for name in names:
        if name not in values:
            raise StackError(f"${name} is no placeholder; {did_you_mean(name, values)}; a dollar sign is written $$")
    if any(values[name] is None for name in names):
        return None
    return _PLACEHOLDER.sub(lambda found: "$" if found[1] == "$" else values[found[1]] or "", template)
