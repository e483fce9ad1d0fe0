"""Renderings of a replay: a table for people, JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from autoscaler.report.console import console_on

Record = Mapping[str, Any]

_ENDLESS = 100_000  # columns; a table is measured as if they were there

# What every row has; what else it has are settings that were varied.
_KNOWN = frozenset(
    {
        *("policy", "attainment", "ttft_p95_s", "tpot_p95_s", "gpu_hours", "bound_gpu_hours", "actions", "misses"),
        *("reversals_per_hour", "violation_s", "worst_5min", "simulated_requests_per_s"),
    }
)


def replay_json(record: Record) -> str:
    """The record as JSON; what is no number, such as the TPOT of a load without any, is null."""
    return json.dumps(_finite(record), indent=2, allow_nan=False) + "\n"


def replay_csv(record: Record) -> str:
    """The rows as CSV."""
    rows: Sequence[Record] = record["rows"]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def print_replay(record: Record, file: TextIO) -> None:
    """Print a line for each row; on a terminal too narrow for that a column, in as many tables as it takes."""
    console = console_on(file)
    console.print(f"{record['requests']} requests of {record['trace']}")
    cells = [_cells(row) for row in record["rows"]]
    table = _table(tuple(cells[0]), [tuple(row.values()) for row in cells], boxed=file.isatty())
    if _fits(table, console):
        console.print(table)
    else:
        _print_columns(cells, console, boxed=file.isatty())
    for remark in record.get("remarks", ()):
        console.print(remark, style="dim")


def _cells(row: Record) -> dict[str, str]:
    """What is shown of a row, by heading."""
    settings = {name.upper(): str(value) for name, value in row.items() if name not in _KNOWN}
    return {
        "POLICY": row["policy"],
        **settings,
        "ATTAINED": f"{row['attainment']:.2%}",
        "TTFT P95": _number(row["ttft_p95_s"], ".2f", " s"),
        "TPOT P95": _number(row["tpot_p95_s"] * 1e3, ".1f", " ms"),
        "GPU-HOURS": f"{row['gpu_hours']:.1f}",
        "x BOUND": f"{row['gpu_hours'] / row['bound_gpu_hours']:.2f}",
        "ACTIONS": str(row["actions"]),
        "REVERSALS/H": f"{row['reversals_per_hour']:.1f}",
        "WORST 5 MIN": f"{row['worst_5min']:.0%}",
    }


def _number(value: float, form: str, unit: str) -> str:
    return f"{value:{form}}{unit}" if math.isfinite(value) else "–"


def _print_columns(cells: Sequence[Mapping[str, str]], console: Console, *, boxed: bool) -> None:
    """A heading a line, and as many rows side by side as there is room for."""
    rest = list(cells)
    while rest:
        count = next((n for n in range(len(rest), 1, -1) if _fits(_turned(rest[:n], boxed=boxed), console)), 1)
        console.print(_turned(rest[:count], boxed=boxed))
        rest = rest[count:]


def _fits(table: Table, console: Console) -> bool:
    return console.measure(table, options=console.options.update(max_width=_ENDLESS)).maximum <= console.width


def _turned(cells: Sequence[Mapping[str, str]], *, boxed: bool) -> Table:
    heading, *headings = cells[0]
    lines = [(name, *(row[name] for row in cells)) for name in headings]
    return _table((heading, *(row[heading] for row in cells)), lines, boxed=boxed)


def _table(headings: Sequence[str], lines: Sequence[Sequence[str]], *, boxed: bool) -> Table:
    table = Table(box=SIMPLE_HEAD if boxed else None, pad_edge=False, show_edge=False)
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left", overflow="fold")
    for line in lines:
        table.add_row(*line)
    return table


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
