"""Errors of this package, and the words that help out of them."""

from __future__ import annotations

from collections.abc import Iterable

from autoscaler.config.problems import nearest


class StackError(ValueError):
    """A stack file, a selector or an expression cannot be used; the message names place, value and a way out."""


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """Words that name the nearest allowed value, if one is near, and all of them."""
    names = sorted(allowed)
    near = nearest(name, names)
    hint = f"did you mean {near}? " if near else ""
    return f"{hint}allowed: {', '.join(names) or 'nothing'}"
