"""What pydantic says of a value, in the words of a document: its place, what is wrong, and what may stand there."""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import ErrorDetails

from autoscaler.config.document import Loc
from autoscaler.config.problems import nearest
from autoscaler.config.refusal import REFUSED

_LONGEST_VALUE = 60
_CREDENTIALS = re.compile(r".*@")  # user and password of an address, whatever they hold
_WANTED = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "finite_number": "must be a finite number",
}
_QUOTED = {
    "int_type": re.compile(r"\d+"),
    "float_type": re.compile(r"\d+(\.\d+)?"),
    "bool_type": re.compile("true|false"),
}
"""What would be well without the quotes that made it text."""
_LIMITS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def path_of(loc: Loc) -> str:
    """A place in a document, like `spec.roles.prefill.behavior.scaleUp.policies[0].value`."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[\w-]+", part):
            text += f".{part[:_LONGEST_VALUE]}"
        else:
            text += f"[{part[:_LONGEST_VALUE]!r}]"
    return text.removeprefix(".")


def words_of(
    kind: str, context: dict[str, Any], detail: ErrorDetails, written: str | None
) -> tuple[str, str | None, str | None]:
    """Message, what is allowed, and what was probably meant.

    Args:
        kind: Which of pydantic's errors it is, or our own.
        context: What that error carries.
        detail: All of it.
        written: The value as it was written; None for one that is no scalar, or secret.
    """
    if kind == REFUSED:
        return context["message"], context["allowed"], context["nearest"]
    if kind == "missing":
        return "is missing", None, None
    if kind in _WANTED:
        if kind == "string_type" and written is not None:
            return f"{_WANTED[kind]}: put quotes around it", None, f"'{written}'"
        if kind in _QUOTED and isinstance(detail["input"], str) and _QUOTED[kind].fullmatch(detail["input"]):
            return f"{_WANTED[kind]}, not text: take the quotes away", None, None
        return _WANTED[kind], None, None
    if kind in ("enum", "literal_error"):
        allowed = re.findall(r"'([^']*)'", context["expected"])
        return "is not known here", ", ".join(allowed), nearest(written or "", allowed)
    if kind in ("too_short", "string_too_short"):
        return "is empty: fill it, or remove the key", None, None
    limits = [f"{words} {context[limit]:g}" for limit, words in _LIMITS.items() if limit in context]
    if limits:
        return "is out of range", limits[0], None
    return detail["msg"], None, None


def shorten(text: str) -> str:
    """A value for a message: one short line, credentials of an address masked."""
    lines = text.splitlines()
    if len(lines) > 1:
        return f"{len(lines)} lines of text"
    masked = _CREDENTIALS.sub("***@", text)
    if lines and lines[0] != text:
        masked = repr(masked)  # the line end, as of a block of YAML, is what is wrong with it
    return masked if len(masked) <= _LONGEST_VALUE else f"{masked[:_LONGEST_VALUE]}…"
