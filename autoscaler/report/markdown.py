"""A report as plain text: a table for a terminal, markdown for a ticket or a chat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TextIO

from autoscaler.report.assessment import Assessment
from autoscaler.report.console import console_on
from autoscaler.report.grid import print_grid
from autoscaler.report.words import quantity

_NO_CENTS = 1000.0


def markdown(assessments: Iterable[Assessment]) -> str:
    """Render a report as markdown."""
    return "\n".join(line for one in assessments for line in _markdown(one))


def print_report(assessments: Iterable[Assessment], file: TextIO) -> None:
    """Print a report as tables."""
    console = console_on(file)
    for one in assessments:
        console.print(headline(one), style="bold")
        print_grid([head.upper() for head in _HEADS], list(rows(one)), console)
        for line in _listed(one):
            console.print(line)
        if one.recommended:
            console.print("\nrecommended policy:\n")
            console.print(one.recommended)


def headline(one: Assessment) -> str:
    """What it comes to, in a sentence."""
    saved, used = one.saved_gpu_hours, one.used.gpu_hours
    if saved is None or used is None:
        return f"{one.service}: {_usage(one)} in {one.hours:.4g} h; what it should have been cannot be told."
    share = abs(saved) / used if used else 0.0
    kept = one.played[0].attainment_ratio >= one.objectives.attainment_ratio
    promise = "while keeping the promise" if kept else "and would still miss the promise"
    verb = "would have saved" if saved >= 0 else "would have cost"
    more = "" if saved >= 0 else " more"
    cost = one.price.of(abs(saved))
    worth = f", {money(one, cost)}" if cost is not None else ""
    return (
        f"{one.service}: the recommended policy {verb} {abs(saved):,.1f} GPU-hours{more} ({share:.0%}{worth}) "
        f"in {one.hours:.4g} h {promise}; confidence {one.confidence}."
    )


_HEADS = ("", "GPU-hours", "cost", "in time", "hours at risk", "worst 5 min", "changes")


def rows(one: Assessment) -> Iterator[tuple[str, ...]]:
    """The comparison: what was, what would have been, what was needed at least."""
    used = one.used.gpu_hours
    known = f"{one.risk.hours:.1f} of {one.risk.known_hours:.1f}"
    yield "used, as measured", _hours(used), money(one, one.price.of(used)), "–", known, "–", "–"
    for played in one.played:
        yield (
            f"{played.name}, by replay",
            _hours(played.gpu_hours),
            money(one, one.price.of(played.gpu_hours)),
            f"{played.attainment_ratio:.2%}",
            f"{played.risk_hours:.1f}",
            f"{played.worst_5min_ratio:.0%}",
            str(played.actions),
        )
    for name, hours in (
        ("constant, for the peak", one.peak_gpu_hours),
        ("with perfect foresight", one.needed_gpu_hours),
    ):
        if hours is not None:
            yield name, _hours(hours), money(one, one.price.of(hours)), "–", "–", "–", "–"


def money(one: Assessment, amount: float | None) -> str:
    """An amount with its currency."""
    if amount is None:
        return "–"
    return f"{amount:,.{0 if abs(amount) >= _NO_CENTS else 2}f} {one.price.currency}"


def gain(saved: float) -> str:
    """What an amount is of which the sign is not shown."""
    return "saved" if saved >= 0 else "more to pay"


def _facts(one: Assessment) -> Iterator[str]:
    ttft, tpot = one.objectives.ttft, one.objectives.tpot
    yield (
        f"promise: TTFT p{ttft.percentile_ratio * 100:g} of {quantity(ttft.target_s, 's')}, TPOT "
        f"p{tpot.percentile_ratio * 100:g} of {quantity(tpot.target_s, 's')}, both for "
        f"{one.objectives.attainment_ratio:.4%} of the requests".replace(".0000%", "%")
    )
    yield (
        f"at risk: {one.risk.hours:.1f} of {one.risk.known_hours:.1f} h known; TTFT {one.risk.ttft_hours:.1f} h, "
        f"TPOT {one.risk.tpot_hours:.1f} h"
    )
    if one.saved_per_month is not None:
        yield f"{gain(one.saved_per_month)} in thirty days like these: {money(one, abs(one.saved_per_month))}"
    yield f"confidence {one.confidence} ({one.confidence_ratio:.0%}), as sure as the weakest of:"
    for ground in one.grounds:
        yield f"  {ground.what} {ground.ratio:.0%}: {ground.words}"


def _listed(one: Assessment) -> Iterator[str]:
    """Facts and remarks as a list of two levels."""
    for line in (*_facts(one), *one.remarks):
        yield f"  - {line.strip()}" if line.startswith("  ") else f"- {line}"


def _markdown(one: Assessment) -> Iterator[str]:
    yield f"## {one.service}"
    yield ""
    yield headline(one)
    yield ""
    yield "| " + " | ".join(_HEADS) + " |"
    yield "| --- |" + " ---: |" * (len(_HEADS) - 1)
    for row in rows(one):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
    yield ""
    yield from _listed(one)
    yield ""
    if one.recommended:
        yield from ("```yaml", one.recommended.rstrip(), "```", "")


def _usage(one: Assessment) -> str:
    return (
        f"{one.used.gpu_hours:,.1f} GPU-hours used" if one.used.gpu_hours is not None else "no replica count is known"
    )


def _hours(value: float | None) -> str:
    return f"{value:,.1f}" if value is not None else "–"
