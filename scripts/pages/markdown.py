"""Pieces of Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_CODE = re.compile(r"(`[^`]*`)")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table; line breaks and bars in a cell are made harmless."""
    lines = [_row(head), _row(["---"] * len(head))]
    return [*lines, *map(_row, rows)]


def code(text: str) -> str:
    """Text in code font."""
    return f"`{text}`"


def page(*blocks: str | Iterable[str]) -> str:
    """Blocks with an empty line between them."""
    texts = (block if isinstance(block, str) else "\n".join(block) for block in blocks)
    return "\n\n".join(text for text in texts if text) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    parts = _CODE.split(" ".join(text.split()))  # text and code in turn; a bar in code ends no cell
    return "".join(part if at % 2 else part.replace("|", "\\|") for at, part in enumerate(parts))
