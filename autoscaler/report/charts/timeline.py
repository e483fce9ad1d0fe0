"""A state timeline: one row per subject, one bar per stretch in which its state holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

from autoscaler.report.charts.figure import caption, legend
from autoscaler.report.charts.series import Mark
from autoscaler.report.charts.ticks import time_label, time_ticks
from autoscaler.report.markup import Markup, element

_ROW, _BAR, _NAME, _BOTTOM = 44, 22, 16, 26
_EDGE = 2.0  # per cent from an end: a label there would stick out if it were centred
_LONGEST_SUBJECT = 44  # what a telephone has room for


@dataclass(frozen=True, slots=True)
class Span:
    """A state from one time to another."""

    start_s: float
    end_s: float
    state: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """What to draw.

    Attributes:
        title: A question or a fact.
        rows: Stretches by subject, in order of time.
        colours: Place in the palette by state; 0 is a quiet grey for the state that needs no attention.
        start_s: Left edge.
        end_s: Right edge.
        explanation: A line below the title.
        unix: Whether times are dates (UTC).
    """

    title: str
    rows: Mapping[str, tuple[Span, ...]]
    colours: Mapping[str, int]
    start_s: float
    end_s: float
    explanation: str = ""
    unix: bool = False


def spans_of(edges_s: Sequence[float], states: Iterable[str]) -> tuple[Span, ...]:
    """Stretches of states that follow one another, those alike as one.

    Args:
        edges_s: Where each state begins, and where the last one ends.
        states: One between each edge and the next.
    """
    spans: list[Span] = []
    for start_s, end_s, state in zip(edges_s[:-1], edges_s[1:], states, strict=True):
        if spans and spans[-1].state == state:
            spans[-1] = Span(spans[-1].start_s, end_s, state)
        else:
            spans.append(Span(start_s, end_s, state))
    return tuple(spans)


def draw_timeline(timeline: Timeline) -> Markup:
    """Render a timeline as a figure."""
    name = f"c{crc32(timeline.title.encode()):08x}"
    height = _ROW * len(timeline.rows)
    rows = [
        mark
        for place, (subject, spans) in enumerate(timeline.rows.items())
        for mark in _row(timeline, subject, spans, _ROW * place)
    ]
    image = element(
        "svg",
        element("title", timeline.title, id=f"{name}-t"),
        element("desc", _description(timeline), id=f"{name}-d"),
        *rows,
        *_axis(timeline, height),
        class_="chart",
        role="img",
        aria_labelledby=f"{name}-t {name}-d",
        width="100%",
        height=height + _BOTTOM,
    )
    shown = {span.state for spans in timeline.rows.values() for span in spans}
    entries = [(state, colour, Mark.AREA, False) for state, colour in timeline.colours.items() if state in shown]
    return element("figure", caption(timeline.title, timeline.explanation), legend(entries), image)


def _row(timeline: Timeline, subject: str, spans: tuple[Span, ...], top: int) -> list[Markup]:
    named = subject if len(subject) <= _LONGEST_SUBJECT else f"{subject[: _LONGEST_SUBJECT - 1]}…"
    marks = [element("text", element("title", subject), named, class_="subject", x=0, y=top + 11)]
    for span in spans:
        start, end = (_share(timeline, at_s) for at_s in (span.start_s, span.end_s))
        told = f"{span.state}: {_clock(timeline, span.start_s)} to {_clock(timeline, span.end_s)}"
        marks.append(
            element(
                "rect",
                element("title", told),
                class_=f"bar k{timeline.colours.get(span.state, 8)}",
                x=f"{start:.3f}%",
                y=top + _NAME,
                width=f"{max(end - start, 0.05):.3f}%",
                height=_BAR,
            )
        )
    return marks


def _axis(timeline: Timeline, height: int) -> list[Markup]:
    span_s = timeline.end_s - timeline.start_s
    marks = []
    for place, tick in enumerate(time_ticks(timeline.start_s, timeline.end_s)):
        share = _share(timeline, tick)
        anchor = "start" if share < _EDGE else "end" if share > 100.0 - _EDGE else "middle"
        label = time_label(tick, span_s, unix=timeline.unix)
        wide = "wide" if place % 2 else None
        marks.append(element("text", label, class_=wide, x=f"{share:.2f}%", y=height + 16, text_anchor=anchor))
    return marks


def _share(timeline: Timeline, at_s: float) -> float:
    return 100.0 * (at_s - timeline.start_s) / max(timeline.end_s - timeline.start_s, 1.0)


def _clock(timeline: Timeline, at_s: float) -> str:
    return time_label(at_s, timeline.end_s - timeline.start_s, unix=timeline.unix)


def _description(timeline: Timeline) -> str:
    told = []
    for subject, spans in timeline.rows.items():
        whole_s = sum(span.end_s - span.start_s for span in spans) or 1.0
        shares: dict[str, float] = {}
        for span in spans:
            shares[span.state] = shares.get(span.state, 0.0) + (span.end_s - span.start_s) / whole_s
        told.append(f"{subject}: " + ", ".join(f"{state} {share:.0%} of the time" for state, share in shares.items()))
    return "; ".join(told) or "nothing to show"
