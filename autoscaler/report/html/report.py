"""A report as a page: what was used, what was needed, what would have been saved, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from autoscaler.report.assessment import Assessment
from autoscaler.report.charts import Chart, Mark, Series, Timeline, draw, draw_timeline, spans_of
from autoscaler.report.html.latency import latency_charts
from autoscaler.report.html.page import Column, Tile, charts, notes, page, section, table, terms, tiles
from autoscaler.report.markdown import gain, headline, money, rows
from autoscaler.report.markup import Markup, element
from autoscaler.report.words import FORESIGHT, quantity

_MISSED, _KEPT, _UNKNOWN = "promise broken", "promise kept", "not known"
_WHOLE = 100.0


def report_page(assessments: Sequence[Assessment]) -> str:
    """Render a report as one self-contained document."""
    first = assessments[0]
    title = "GPU report" if len(assessments) > 1 else f"GPU report: {first.service}"
    lead = headline(first) if len(assessments) == 1 else f"{len(assessments)} services. {_total(assessments)}"
    parts = [part for one in assessments for part in _service(one, alone=len(assessments) == 1)]
    parts.append(section("Words in this report", terms(_TERMS)))
    made = f"{_date(first.start_s)} to {_date(first.end_s)} UTC"
    return page(title, lead, *parts, made=made)


def _service(one: Assessment, *, alone: bool) -> Iterator[Markup]:
    of = "" if alone else f" of {one.service}"
    lead = [] if alone else [headline(one)]
    yield section("At a glance", tiles(_tiles(one))) if alone else section(one.service, *lead, tiles(_tiles(one)))
    columns = [Column("", words=True), *(Column(head) for head in _HEADS)]
    name = f"Used, needed and what policies would have done{f', {one.service}' if not alone else ''}"
    yield section(f"What was, and what could have been{of}", table(name, columns, list(rows(one)), marked=0))
    yield section(f"How it went{of}", charts(*_charts(one)))
    yield section(f"How sure is this{of}?", _confidence(one), notes(one.remarks))
    if one.recommended:
        words = "Save it, compare it with yours, and let `pd-autoscaler recommend` watch before it may act."
        yaml = element(
            "pre", one.recommended, tabindex=0, aria_label=f"Recommended policy of {one.service}", role="region"
        )
        yield section(f"Recommended policy{of}", words, yaml)


_HEADS = ("GPU-hours", "Cost", "In time", "Hours at risk", "Worst 5 min", "Changes")


def _tiles(one: Assessment) -> Iterator[Tile]:
    used, saved = one.used.gpu_hours, one.saved_gpu_hours
    yield Tile("Used", _gpu_hours(used) if used is not None else "unknown", money(one, one.price.of(used)))
    if saved is not None and used:
        cost = one.price.of(abs(saved))
        word = "Would be saved" if saved >= 0 else "Would cost more"
        note = f"{abs(saved) / used:.0%}" + (f"; {money(one, cost)}" if cost is not None else "")
        yield Tile(word, _gpu_hours(abs(saved)), note, "good" if saved > 0 else "bad")
    if one.saved_per_month is not None:
        monthly = one.saved_per_month
        yield Tile("In thirty days", money(one, abs(monthly)), f"{gain(monthly)}, if they are like these")
    if one.played:
        best = one.played[0]
        kept = best.attainment_ratio >= one.objectives.attainment_ratio
        goal = f"goal {one.objectives.attainment_ratio:.1%}"
        yield Tile("In time, by replay", f"{best.attainment_ratio:.2%}", goal, "good" if kept else "bad")
    known = f"of {one.risk.known_hours:.1f} h known"
    yield Tile("At risk, as measured", f"{one.risk.hours:.1f} h", known, "bad" if one.risk.hours > 0 else "good")
    yield Tile("Confidence", one.confidence, f"{one.confidence_ratio:.0%}: as sure as the weakest ground")


def _gpu_hours(value: float) -> str:
    return f"{value:,.{0 if value >= _WHOLE else 1}f} GPU-h"


def _charts(one: Assessment) -> Iterator[Markup]:
    curves = one.curves
    frame: dict[str, Any] = {"at_s": curves.at_s, "end_s": one.end_s, "unix": True}
    gpus = [Series("Used", curves.used_gpus, Mark.STEPS, 1)]
    if curves.policy_gpus.size:
        gpus.append(Series("Recommended policy, by replay", curves.policy_gpus, Mark.STEPS, 2, dashed=True))
    if curves.needed_gpus.size:
        gpus.insert(0, Series("Needed, with perfect foresight", curves.needed_gpus, Mark.AREA, 3))
    explained = "What lies between used and recommended is what could be saved."
    yield draw(
        Chart("How many GPUs were used, and needed?", series=tuple(gpus), unit="GPUs", explanation=explained, **frame)
    )
    load = (Series("Requests per second", curves.requests_per_s, Mark.AREA, 5),)
    yield draw(Chart("How much was asked for?", series=load, unit="requests/s", **frame))
    yield from latency_charts(
        one.objectives,
        curves.ttft_s,
        curves.tpot_s,
        label="As users saw it",
        cut="Higher values run along the edge.",
        frame=frame,
    )
    yield draw_timeline(_risk(one))


def _risk(one: Assessment) -> Timeline:
    curves = one.curves
    states = (_UNKNOWN if np.isnan(value) else _MISSED if value > 0 else _KEPT for value in curves.at_risk.tolist())
    return Timeline(
        "When were promises broken?",
        {f"{one.service}, as measured": spans_of([*curves.at_s.tolist(), one.end_s], states)},
        {_MISSED: 6, _KEPT: 3, _UNKNOWN: 0},
        one.start_s,
        one.end_s,
        explanation=f"In steps of {quantity(curves.bin_s / 60, 'min')}: broken if any part of it was.",
        unix=True,
    )


def _confidence(one: Assessment) -> Markup:
    columns = [Column("Ground", words=True), Column("How good"), Column("Why", words=True)]
    lines = [[ground.what, f"{ground.ratio:.0%}", ground.words] for ground in one.grounds]
    return table(f"Confidence is {one.confidence}: no surer than the weakest of these", columns, lines)


def _total(assessments: Sequence[Assessment]) -> str:
    saved = [one.saved_gpu_hours for one in assessments if one.saved_gpu_hours is not None]
    if not saved:
        return "What they should have used cannot be told."
    cost = [one.price.of(one.saved_gpu_hours) for one in assessments]
    worth = sum(amount for amount in cost if amount is not None)
    told = f" ({money(assessments[0], worth)})" if any(amount is not None for amount in cost) else ""
    return f"The recommended policies would have saved {sum(saved):,.0f} GPU-hours{told}."


def _date(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M}"


_TERMS = (
    ("GPU-hours", "GPUs held times hours; times your price, this is the bill."),
    ("By replay", "The load was reconstructed from metrics and played on a simulated service under the policy."),
    ("In time", "Share of requests whose first token and mean pace both met their targets."),
    ("At risk", "Time in which users saw a promise broken, as measured; for a replay, minutes below the goal."),
    ("Perfect foresight", FORESIGHT),
    ("Constant, for the peak", "A fleet that never changes and is just enough for the busiest moment."),
    ("TTFT, TPOT", "Time to first token; time per output token after it."),
)
