"""A parameter sweep as a page: a row for every combination, and where cost and promise meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autoscaler.report.html.page import notes, page, section, terms
from autoscaler.report.html.replay import TERMS, rows_table


def sweep_page(record: Mapping[str, Any], settings: Sequence[str], remarks: Sequence[str] = ()) -> str:
    """Render the rows of a sweep as one self-contained document.

    Args:
        record: Trace, requests and rows, each row with its settings.
        settings: Which settings were varied.
        remarks: What to know of the load.
    """
    rows: Sequence[Mapping[str, Any]] = record["rows"]
    parts = [section("Every combination", rows_table(rows))]
    if remarks:
        parts.append(section("About the load", notes(remarks)))
    parts.append(section("Words on this page", terms(TERMS)))
    cheapest = min(rows, key=lambda row: (-round(row["attainment"], 3), row["gpu_hours"]))
    where = ", ".join(f"{name} {cheapest[name]}" for name in settings)
    lead = (
        f"{len(rows)} rows over {', '.join(settings)}. Best in time: {cheapest['policy']} with {where}: "
        f"{cheapest['attainment']:.2%} in time for {cheapest['gpu_hours']:.4g} GPU-hours."
    )
    return page(f"What if? Sweep over {record['trace']}", lead, *parts)
