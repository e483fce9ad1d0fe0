"""Render the kept measurements into the documents that quote them.

A document marks the place of a table with `<!-- NAME -->` and `<!-- /NAME -->`; what is between is replaced.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.nvidia import contenders, kept, scene

Row = Mapping[str, Any]

_ROUTING = {"round_robin": "round robin", "by_load": "by load"}


def fidelity(rows: Sequence[Row]) -> str:
    """Ratio ours / theirs per load and fleet, where nobody preempts."""
    return comparison([row for row in rows if not row["preemptions"]["theirs"]])


def out_of_blocks(rows: Sequence[Row]) -> str:
    """The same where decode runs out of blocks."""
    return comparison([row for row in rows if row["preemptions"]["theirs"]])


def comparison(rows: Sequence[Row]) -> str:
    """Both simulators, load by load."""
    head = ("load", "P + D", "routing", "busy P", "KV D", "peak", "TTFT p50", "p95", "TPOT p50", "p95", "theirs TTFT")
    return markdown(head, [_fidelity_cells(row) for row in rows])


def _fidelity_cells(row: Row) -> tuple[str, ...]:
    job, first = row["job"], row["ttft_p50"]
    ratios = (f"{row[name]['ratio']:.3f}" for name in ("ttft_p50", "ttft_p95", "tpot_p50", "tpot_p95"))
    return (
        job["load"],
        f"{job['prefill']} + {job['decode']}",
        _ROUTING[job["routing"]],
        f"{row['prefill_ratio']:.0%}",
        f"{row['decode_ratio']:.0%}",
        f"{row['decode_peak_ratio']:.0%}",
        *ratios,
        f"{first['theirs_s'] * 1e3:.0f} / {row['ttft_p95']['theirs_s'] * 1e3:.0f} ms",
    )


def speed(rows: Sequence[Row]) -> str:
    """Requests per second of both."""
    head = ("load", "P + D", "routing", "requests", "ours", "theirs", "ratio")
    return markdown(head, [_speed_cells(row) for row in rows])


def _speed_cells(row: Row) -> tuple[str, ...]:
    job, requests = row["job"], row["requests"]
    return (
        job["load"],
        f"{job['prefill']} + {job['decode']}",
        _ROUTING[job["routing"]],
        f"{requests:,}",
        f"{requests / row['ours_s']:,.0f}/s",
        f"{requests / row['theirs_s']:,.0f}/s",
        f"{row['theirs_s'] / row['ours_s']:.0f}",
    )


def scores(rows: Sequence[Row]) -> str:
    """The contenders that the text speaks of, per load and startup time; the mean of their repeats."""
    head = (
        "load",
        "startup",
        "contender",
        "attained",
        "GPU-hours",
        "attained/GPU-h",
        "changes",
        "reversals",
        "TTFT p95",
    )
    rounds: dict[tuple[str, float], list[Row]] = {}
    for row in rows:
        rounds.setdefault((row["job"]["load"], row["job"]["startup_time_s"]), []).append(row)
    return markdown(
        head, [cells for (load, startup_s), mine in rounds.items() for cells in _round(load, startup_s, mine)]
    )


def _round(load: str, startup_s: float, rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    planners = [row for row in rows if row["contender"] in contenders.PLANNERS and not row["job"]["repeat"]]
    for name in (contenders.STATIC, contenders.OURS, *contenders.finalists(planners)):
        mine = [row for row in rows if row["contender"] == name]
        yield (load, f"{startup_s:.0f} s", name, *_score_cells(mine))


def _score_cells(rows: Sequence[Row]) -> tuple[str, ...]:
    def mean(measure: str) -> float:
        return statistics.fmean(row[measure] for row in rows)

    attained = [row["attainment"] for row in rows]
    spread = f" ±{(max(attained) - min(attained)) / 2:.1%}" if len(rows) > 1 else ""
    return (
        f"{mean('attainment'):.1%}{spread}",
        f"{mean('gpu_hours'):.2f}",
        f"{mean('attained_per_gpu_hour'):,.0f}",
        f"{mean('changes'):.0f}",
        f"{mean('reversals'):.0f}",
        f"{mean('ttft_p95_s'):.2f} s",
    )


def settings(rows: Sequence[Row]) -> str:
    """Each of the planner's settings on every load and startup time: attained, and GPU-hours; first runs alone."""
    first = {_cell(row): row for row in rows if not row["job"]["repeat"]}
    matches = list(dict.fromkeys(cell[1:] for cell in first))
    head = ("setting", *(f"{load} {startup_s:.0f} s" for load, startup_s in matches))
    body = [
        (name.removeprefix("planner, "), *(_attained(first[name, *match]) for match in matches))
        for name in (contenders.OURS, *contenders.PLANNERS)
    ]
    return markdown(head, body)


def _cell(row: Row) -> tuple[str, str, float]:
    return row["contender"], row["job"]["load"], row["job"]["startup_time_s"]


def _attained(row: Row) -> str:
    return f"{row['attainment']:.1%} / {row['gpu_hours']:.1f}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, its columns padded."""
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    return "\n".join((line(head), line(["-" * width for width in widths]), *map(line, rows)))


def put(document: Path, name: str, table: str) -> None:
    """Replace what a document has between the marks of a table.

    Raises:
        ValueError: The document has no such marks.
    """
    text = document.read_text()
    marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not marked.search(text):
        raise ValueError(f"{document} has no place for a table: write <!-- {name} --> and <!-- /{name} --> into it")
    document.write_text(marked.sub(lambda marks: f"{marks[1]}{table}\n{marks[2]}", text))


_README = scene.HERE / "README.md"
_FIDELITY = scene.ROOT / "docs" / "fidelity.md"

TABLES: Sequence[tuple[str, str, Path, Callable[[Sequence[Row]], str]]] = (
    ("fidelity", "fidelity", _FIDELITY, fidelity),
    ("fidelity", "out-of-blocks", _FIDELITY, out_of_blocks),
    ("speed", "speed", _README, speed),
    ("away", "away", _README, scores),
    ("away", "away-settings", _README, settings),
    ("home", "home", _README, scores),
)
"""Which measurement becomes which table in which document."""


def main() -> None:
    """Render every measurement that there is."""
    for measurement, name, document, render in TABLES:
        if (scene.RESULTS / f"{measurement}.json").exists():
            put(document, name, render(kept.read(measurement)["rows"]))


if __name__ == "__main__":
    main()
