"""A replay as a page: what each policy would have attained with a load, at what cost, and how it went."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autoscaler.core.policy import Objectives, Role
from autoscaler.report.charts import Chart, Mark, Series, Timeline, draw, draw_timeline, spans_of
from autoscaler.report.charts.series import Floats
from autoscaler.report.html.latency import latency_charts
from autoscaler.report.html.page import Column, Tile, charts, notes, page, section, table, terms, tiles
from autoscaler.report.markup import Markup
from autoscaler.report.run import RunTimeline
from autoscaler.report.words import FORESIGHT, quantity

Record = Mapping[str, Any]

_MOST_COMPARED = 6
_APART, _TOGETHER = 0.95, 0.05
_APART_WORDS, _MIXED_WORDS, _TOGETHER_WORDS, _IDLE_WORDS = (
    "prefill and decode apart",
    "short prompts on decode, long ones apart",
    "all on decode",
    "no request",
)


@dataclass(frozen=True, slots=True, eq=False)
class ReplayView:
    """What a replay page shows.

    Attributes:
        record: Trace, requests and rows, as in the JSON form.
        duration_s: Length of the load.
        objectives: What was promised.
        timelines: How each run went, in the order of the rows.
        need: Replicas that a schedule which knows the load keeps, per role and bin.
        remarks: What to know of the load, such as how it was reconstructed.
    """

    record: Record
    duration_s: float
    objectives: Objectives
    timelines: tuple[RunTimeline, ...]
    need: Mapping[Role, Floats]
    remarks: tuple[str, ...] = ()


def replay_page(view: ReplayView) -> str:
    """Render a replay as one self-contained document."""
    rows = view.record["rows"]
    parts = [tiles(_tiles(view, rows[0])), section("All policies on the same load", rows_table(rows))]
    if len(view.timelines) > 1:
        parts.append(section("Side by side", charts(*_comparison(view))))
    if view.timelines:
        parts.append(section(f"How it went: {rows[0]['policy']}", charts(*run_charts(view, view.timelines[0]))))
    if view.remarks:
        parts.append(section("About the load", notes(view.remarks)))
    parts.append(section("Words on this page", terms(TERMS)))
    return page(f"What if? Replay of {view.record['trace']}", verdict(view, rows), *parts)


def verdict(view: ReplayView, rows: Sequence[Record]) -> str:
    """What it comes to, in words."""
    ours, goal = rows[0], view.objectives.attainment_ratio
    kept = "keeps" if ours["attainment"] >= goal else "misses"
    said = (
        f"{ours['policy']} {kept} the goal: {ours['attainment']:.2%} of {view.record['requests']:,} requests answered "
        f"in time (goal {goal * 100:.4g}%), using {ours['gpu_hours']:.4g} GPU-hours"
    )
    if _is_number(ours["bound_gpu_hours"]) and ours["bound_gpu_hours"] > 0:
        ratio = ours["gpu_hours"] / ours["bound_gpu_hours"]
        said += f", {ratio:.2f} times what perfect foresight would need"
    return said + "." + _cheapest_other(ours, rows[1:], goal)


def rows_table(rows: Sequence[Record]) -> Markup:
    """All rows; the first is ours."""
    settings = [name for name in rows[0] if name not in _COLUMNS and name not in _HIDDEN]
    columns = [
        Column("Policy", words=True),
        *(Column(name.upper() if name in _SHORT else name.capitalize()) for name in settings),
    ]
    columns += [Column(head) for head, _ in _COLUMNS.values() if head]
    cells = [
        [row["policy"], *(str(row[name]) for name in settings)]
        + [form(row) for head, form in _COLUMNS.values() if head]
        for row in rows
    ]
    return table("What each policy would have attained, and its cost", columns, cells, marked=0)


def run_charts(view: ReplayView, run: RunTimeline) -> Iterator[Markup]:
    """How one run went."""
    frame: Mapping[str, Any] = {"at_s": run.at_s, "end_s": view.duration_s}
    minutes = f"{run.bin_s / 60:g} min"
    yield draw(
        Chart(
            "How much was asked for?",
            series=(Series("Requests per second", run.requests_per_s, Mark.AREA, 1),),
            unit="requests/s",
            explanation=f"Mean over {minutes}.",
            **frame,
        )
    )
    yield draw(
        Chart(
            "How many tokens to read?",
            series=(Series("Prompt tokens per second", run.input_tokens_per_s, Mark.AREA, 5),),
            unit="tokens/s",
            explanation="Prompt tokens that arrive: the work of prefill.",
            **frame,
        )
    )
    yield from latency_charts(
        view.objectives,
        run.ttft_p95_s,
        run.tpot_p95_s,
        label="95 % of requests were faster",
        cut="Values above the plot run along its upper edge.",
        frame=frame,
    )
    together = bool((run.apart_ratio < _APART).any())
    for role, ready in run.ready.items():
        yield draw(_replicas(role, ready, view.need.get(role), together, frame))
    yield draw(
        Chart(
            "Where were promises missed?",
            series=(Series("Requests late or lost", run.missed, Mark.STEPS, 6),),
            unit=f"requests per {minutes}",
            whole=True,
            explanation="Requests whose first token or whose pace was too late, counted when they arrived.",
            **frame,
        )
    )
    yield draw_timeline(_switch(run, view.duration_s))


def _tiles(view: ReplayView, ours: Record) -> Iterator[Tile]:
    goal = view.objectives.attainment_ratio
    kept = "good" if ours["attainment"] >= goal else "bad"
    yield Tile("In time", f"{ours['attainment']:.2%}", f"goal {goal:.1%}; {ours['misses']:,} missed", kept)
    bound = ours["bound_gpu_hours"]
    known = _is_number(bound) and bound > 0
    foresight = f"{ours['gpu_hours'] / bound:.2f} × perfect foresight ({bound:.4g})" if known else ""
    yield Tile("GPU-hours", f"{ours['gpu_hours']:.4g}", foresight)
    yield Tile("TTFT p95", _time(ours["ttft_p95_s"]), f"target {quantity(view.objectives.ttft.target_s, 's')}")
    yield Tile("TPOT p95", _time(ours["tpot_p95_s"]), f"target {quantity(view.objectives.tpot.target_s, 's')}")
    yield Tile("Worst five minutes", f"{ours['worst_5min']:.0%}", "in time")
    hours = view.duration_s / 3600
    yield Tile("Changes", f"{ours['actions']}", f"in {hours:.3g} h; {ours['reversals_per_hour']:.2g} reversals an hour")


def _comparison(view: ReplayView) -> Iterator[Markup]:
    rows, shown = view.record["rows"], view.timelines[:_MOST_COMPARED]
    at_s = shown[0].at_s
    left_out = len(view.timelines) - len(shown)
    more = f" The first {len(shown)} of {len(view.timelines)} policies." if left_out else ""

    def series(values: Sequence[Floats]) -> tuple[Series, ...]:
        return tuple(
            Series(row["policy"], value, Mark.STEPS, place + 1, dashed=bool(place % 2))
            for place, (row, value) in enumerate(zip(rows, values, strict=False))
        )

    yield draw(
        Chart(
            "How many GPUs did each policy hold?",
            at_s,
            series([run.gpus for run in shown]),
            unit="GPUs",
            explanation=f"The area below a line is its GPU-hours.{more}",
            end_s=view.duration_s,
        )
    )
    yield draw(
        Chart(
            "How many requests were in time?",
            at_s,
            series([run.in_time_ratio * 100 for run in shown]),
            unit="%",
            explanation=f"Share of the requests that arrived then and met both targets.{more}",
            end_s=view.duration_s,
            top=100.0,
        )
    )


def _replicas(role: Role, ready: Floats, need: Floats | None, together: bool, frame: Mapping[str, Any]) -> Chart:
    series, explanation = [Series("Replicas that served", ready, Mark.STEPS, 1)], ""
    if need is not None and together:
        explanation = "Foresight serves apart; where the switch stood otherwise, the lines do not compare."
    if need is not None:
        series.append(Series("Needed, with perfect foresight", need, Mark.STEPS, 2, dashed=True))
    title = f"Did {role.value} have the replicas that it needed?"
    return Chart(title, series=tuple(series), unit="replicas", whole=True, explanation=explanation, **frame)


def _switch(run: RunTimeline, duration_s: float) -> Timeline:
    spans = spans_of([*run.at_s.tolist(), duration_s], map(_arrangement, run.apart_ratio.tolist()))
    return Timeline(
        "Where did the switch stand?",
        {"Requests were served with": spans},
        {_APART_WORDS: 1, _MIXED_WORDS: 5, _TOGETHER_WORDS: 2, _IDLE_WORDS: 0},
        0.0,
        max(duration_s, 1.0),
        explanation="Told from where each request was prefilled.",
    )


def _arrangement(apart_ratio: float) -> str:
    if math.isnan(apart_ratio):
        return _IDLE_WORDS
    if apart_ratio >= _APART:
        return _APART_WORDS
    return _MIXED_WORDS if apart_ratio > _TOGETHER else _TOGETHER_WORDS


def _cheapest_other(ours: Record, others: Sequence[Record], goal: float) -> str:
    keeping = [row for row in others if row["attainment"] >= goal]
    if not keeping:
        return " None of the others keeps the goal." if others else ""
    best = min(keeping, key=lambda row: float(row["gpu_hours"]))
    saved = 1.0 - ours["gpu_hours"] / best["gpu_hours"]
    share = f"{abs(saved):.0%}"
    compared = f"{share} {'fewer' if saved > 0 else 'more'} GPU-hours than" if share != "0%" else "as much as"
    return f" That is {compared} {best['policy']}, the cheapest of the others that keeps it."


def _time(value_s: float) -> str:
    return quantity(value_s, "s") if _is_number(value_s) else "–"


def _is_number(value: object) -> bool:
    return isinstance(value, float | int) and math.isfinite(value)


def _times_bound(row: Record) -> str:
    bound = row["bound_gpu_hours"]
    return f"{row['gpu_hours'] / bound:.2f}" if _is_number(bound) and bound > 0 else "–"


_COLUMNS: Mapping[str, tuple[str, Any]] = {
    "policy": ("", None),
    "attainment": ("In time", lambda row: f"{row['attainment']:.2%}"),
    "gpu_hours": ("GPU-hours", lambda row: f"{row['gpu_hours']:.1f}"),
    "bound_gpu_hours": ("× foresight", _times_bound),
    "ttft_p95_s": ("TTFT p95", lambda row: _time(row["ttft_p95_s"])),
    "tpot_p95_s": ("TPOT p95", lambda row: _time(row["tpot_p95_s"])),
    "worst_5min": ("Worst 5 min", lambda row: f"{row['worst_5min']:.0%}"),
    "violation_s": ("Minutes in violation", lambda row: f"{row['violation_s'] / 60:.0f}"),
    "misses": ("Missed", lambda row: f"{row['misses']:,}"),
    "actions": ("Changes", lambda row: str(row["actions"])),
    "reversals_per_hour": ("Reversals/h", lambda row: f"{row['reversals_per_hour']:.1f}"),
}
_SHORT = frozenset({"ttft", "tpot"})
_HIDDEN = frozenset({"simulated_requests_per_s"})

TERMS = (
    ("In time", "A request counts only if its first token and its mean pace both met their targets. Lost ones miss."),
    ("TTFT, TPOT", "Time to first token; time per output token after it. p95: 95 % of the requests were faster."),
    ("GPU-hours", "GPUs held times hours, while replicas start and drain too. Times your price, this is the bill."),
    ("Perfect foresight", FORESIGHT),
    ("Violation", "Minutes in which fewer requests were in time than promised."),
    ("Reversal", "A change against the direction of the one before, within ten minutes: to and fro."),
    ("Prefill, decode", "Reading the prompt and writing the answer; each has replicas of its own."),
)
