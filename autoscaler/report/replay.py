"""Renderings of a replay: a table for people, JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.box import SIMPLE_HEAD
from rich.table import Table

from autoscaler.report.console import console_on

Record = Mapping[str, Any]

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
    """Print the rows as a table."""
    terminal = file.isatty()
    console = console_on(file)
    console.print(f"{record['requests']} requests of {record['trace']}")
    table = Table(box=SIMPLE_HEAD if terminal else None, pad_edge=False, show_edge=False)
    table.add_column("POLICY", no_wrap=True)
    settings = [name for name in record["rows"][0] if name not in _KNOWN]
    for name in settings:
        table.add_column(name.upper(), justify="right", no_wrap=True)
    for name in ("ATTAINED", "TTFT P95", "TPOT P95", "GPU-HOURS", "x BOUND", "ACTIONS", "REVERSALS/H", "WORST 5 MIN"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in record["rows"]:
        table.add_row(
            row["policy"],
            *(str(row[name]) for name in settings),
            f"{row['attainment']:.2%}",
            f"{row['ttft_p95_s']:.2f} s",
            f"{row['tpot_p95_s'] * 1e3:.1f} ms",
            f"{row['gpu_hours']:.1f}",
            f"{row['gpu_hours'] / row['bound_gpu_hours']:.2f}",
            str(row["actions"]),
            f"{row['reversals_per_hour']:.1f}",
            f"{row['worst_5min']:.0%}",
        )
    console.print(table)
    for remark in record.get("remarks", ()):
        console.print(remark, style="dim")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
