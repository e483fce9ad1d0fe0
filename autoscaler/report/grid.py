"""Tables of short cells on any terminal: none of them is ever cut off."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

_ENDLESS = 100_000  # columns; a table is measured as if they were there

Line = Sequence[str]


def print_grid(headings: Line, lines: Sequence[Line], console: Console) -> None:
    """Print a table, the first column to the left.

    On a terminal too narrow for it each line becomes a column, in as many tables as it takes; what is longer than the
    terminal is wide is folded.

    Args:
        headings: Of the columns.
        lines: As many cells each.
        console: Where to print; box lines where it is a terminal.
    """
    boxed = console.file.isatty()
    table = _table(headings, lines, boxed=boxed)
    if _fits(table, console):
        console.print(table)
        return
    rest = list(lines)
    while rest:
        count = next((n for n in range(len(rest), 1, -1) if _fits(_turned(headings, rest[:n], boxed), console)), 1)
        console.print(_turned(headings, rest[:count], boxed))
        rest = rest[count:]


def _fits(table: Table, console: Console) -> bool:
    return console.measure(table, options=console.options.update(max_width=_ENDLESS)).maximum <= console.width


def _turned(headings: Line, lines: Sequence[Line], boxed: bool) -> Table:
    first, *others = zip(headings, *lines, strict=True)
    return _table(first, others, boxed=boxed)


def _table(headings: Line, lines: Sequence[Line], *, boxed: bool) -> Table:
    table = Table(box=SIMPLE_HEAD if boxed else None, pad_edge=False, show_edge=False)
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left", overflow="fold")
    for line in lines:
        table.add_row(*line)
    return table
