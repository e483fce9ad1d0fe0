"""YAML with remarks, which a library that dumps plain data would lose."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

_COLUMN = 52
_WIDTH = 120


@dataclass(frozen=True, slots=True)
class Remark:
    """A value with a remark behind it."""

    value: Any
    text: str


def yaml_lines(content: Mapping[str, Any], indent: int = 0) -> Iterator[str]:
    """Lines of a mapping; values may be wrapped in a `Remark`, lists are written on one line an item."""
    for key, given in content.items():
        value, text = (given.value, given.text) if isinstance(given, Remark) else (given, "")
        lead = f"{' ' * indent}{key}:"
        if isinstance(value, Mapping):
            yield _remarked(lead, text)
            yield from yaml_lines(value, indent + 2)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            yield _remarked(lead, text)
            yield from (f"{' ' * (indent + 2)}- {_flow(item)}" for item in value)
        else:
            yield _remarked(f"{lead} {_flow(value)}", text)


def comment_lines(text: str, first: str = "# ", rest: str = "# ") -> list[str]:
    """A comment, wrapped."""
    return textwrap.wrap(
        text, _WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False, break_long_words=False
    )


def _remarked(line: str, text: str) -> str:
    return f"{line:<{_COLUMN - 2}}  # {text}" if text else line


def _flow(value: Any) -> str:
    dumped: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True)
    return dumped.strip().removesuffix("...").strip()
