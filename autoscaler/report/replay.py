"""Renderings of a replay: a table for people, JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from autoscaler.report.console import console_on
from autoscaler.report.grid import print_grid
from autoscaler.report.record import plain

Record = Mapping[str, Any]

# What every row has; what else it has are settings that were varied.
_KNOWN = frozenset(
    {
        *("policy", "attainment", "ttft_p95_s", "tpot_p95_s", "gpu_hours", "bound_gpu_hours", "actions", "misses"),
        *("reversals_per_hour", "violation_s", "worst_5min", "simulated_requests_per_s"),
    }
)
# A longer unit reads better from so many of it on.
_MANY = 1.5
_LONG = (("days", 86_400.0), ("h", 3_600.0), ("min", 60.0))


def replay_json(record: Record) -> str:
    """The record as JSON; what is no number, such as the TPOT of a load without any, is null."""
    return json.dumps(plain(record), indent=2, allow_nan=False) + "\n"


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
    console.print(
        f"{record['requests']} requests of {record['trace']} {_pace(record['requests'], record['duration_s'])}"
    )
    cells = [_cells(row) for row in record["rows"]]
    print_grid(tuple(cells[0]), [tuple(row.values()) for row in cells], console)
    for remark in record.get("remarks", ()):
        console.print(remark, style="dim")


def _pace(requests: int, duration_s: float) -> str:
    """How long they take and how many that is at a time: what gives away a time column in another unit."""
    unit, size_s = next((found for found in _LONG if duration_s >= _MANY * found[1]), ("s", 1.0))
    said = f"in {duration_s / size_s:.3g} {unit}"
    return f"{said}, {requests / duration_s:.3g} a second" if duration_s > 0.0 else said


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
