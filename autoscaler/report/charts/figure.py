"""A chart over time: title, legend, axes and what they frame.

Only the curves are stretched to the width that there is; text keeps its size, so a chart is as legible on a telephone
as on paper. Colours and fonts come from the page's style sheet.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from zlib import crc32

import numpy as np

from autoscaler.report.charts.series import (
    WIDTH,
    Floats,
    Frame,
    Mark,
    Series,
    area_path,
    line_path,
    stacked,
    step_path,
)
from autoscaler.report.charts.ticks import number, time_label, time_ticks, value_ticks
from autoscaler.report.markup import Markup, element

_BOTTOM = 26  # room for the time axis
_HEADROOM = 1.02
_DAY_S = 86400.0


@dataclass(frozen=True, slots=True, eq=False)
class Chart:
    """What to draw.

    Attributes:
        title: A question or a fact.
        at_s: Times of all series, ascending.
        series: What is shown, the lowest layer first.
        unit: Unit of the values, shown beside the title; empty for a plain number.
        explanation: A line below the title, for who does not know the words.
        end_s: Right edge; None for the last time.
        unix: Whether times are dates (UTC); else they count from the start.
        top: Upper edge; None for what the values need.
        whole: Whether the values count things, so that the axis has no fractions.
        stack: Whether areas stand on one another.
        height: Height of the plot in pixels.
    """

    title: str
    at_s: Floats
    series: tuple[Series, ...]
    unit: str = ""
    explanation: str = ""
    end_s: float | None = None
    unix: bool = False
    top: float | None = None
    whole: bool = False
    stack: bool = False
    height: int = 180


def draw(chart: Chart) -> Markup:
    """Render a chart as a figure."""
    name = f"c{crc32(chart.title.encode()):08x}"
    top = chart.top if chart.top is not None else _highest(chart) * _HEADROOM
    ticks = value_ticks(top, whole=chart.whole)
    start_s, end_s = _span(chart)
    frame = Frame(start_s, end_s, ticks[-1], float(chart.height))
    curves = element(
        "svg",
        *_curves(chart, frame),
        class_="curves",
        viewBox=f"0 0 {WIDTH:g} {chart.height}",
        preserveAspectRatio="none",
        width="100%",
        height=chart.height,
    )
    image = element(
        "svg",
        element("title", chart.title, id=f"{name}-t"),
        element("desc", _description(chart), id=f"{name}-d"),
        *_value_axis(frame, ticks),
        *_time_axis(frame, unix=chart.unix),
        curves,
        element("line", class_="cursor", y1=0, y2=chart.height, x1=0, x2=0),
        class_="chart plot",
        role="img",
        aria_labelledby=f"{name}-t {name}-d",
        height=chart.height + _BOTTOM,
    )
    return element(
        "figure",
        caption(chart.title, chart.explanation, chart.unit),
        legend((one.label, one.colour, one.mark, one.dashed) for one in chart.series),
        element("div", image, element("output", class_="readout", aria_hidden="true"), class_="canvas"),
        element("script", _readings(chart, start_s, end_s), type="application/json"),
    )


def caption(title: str, explanation: str, unit: str = "") -> Markup:
    """Title, unit and explanation of a figure."""
    units = [element("span", unit, class_="unit")] if unit else []
    explained = [element("p", explanation, class_="explanation")] if explanation else []
    return element("figcaption", element("h3", title, Markup(" ") if units else "", *units), *explained)


def legend(entries: Iterable[tuple[str, int, Mark, bool]]) -> Markup:
    """Names of what is shown, each with its colour and form."""
    items = []
    for label, colour, mark, dashed in entries:
        broken = " dashed" if dashed else ""
        items.append(element("li", element("i", class_=f"swatch {mark.value}{broken} k{colour}"), label))
    return element("ul", *items, class_="legend")


def _highest(chart: Chart) -> float:
    areas = [one for one in chart.series if one.mark is Mark.AREA]
    tops = [top for _, _, top in stacked(areas)][-1:] if chart.stack else []
    values = np.concatenate([one.y for one in chart.series] + tops) if chart.series else np.zeros(0)
    known = values[np.isfinite(values)]
    return float(known.max()) if known.size else 1.0


def _span(chart: Chart) -> tuple[float, float]:
    start_s = float(chart.at_s[0]) if chart.at_s.size else 0.0
    last_s = float(chart.at_s[-1]) if chart.at_s.size else 0.0
    end_s = last_s if chart.end_s is None else chart.end_s
    return start_s, max(end_s, start_s + 1.0)


def _curves(chart: Chart, frame: Frame) -> list[Markup]:
    layers = {
        id(one): (low, high)
        for one, low, high in stacked([one for one in chart.series if one.mark is Mark.AREA])
        if chart.stack
    }
    curves = []
    for one in chart.series:
        if one.mark in (Mark.AREA, Mark.BAND):
            own = (np.zeros(one.y.size) if one.low is None else one.low, one.y)
            path = area_path(frame, chart.at_s, *layers.get(id(one), own))
        elif one.mark in (Mark.STEPS, Mark.LEVEL):
            path = step_path(frame, chart.at_s, one.y)
        else:
            path = line_path(frame, chart.at_s, one.y)
        broken = " dashed" if one.dashed else ""
        curves.append(element("path", class_=f"{one.mark.value}{broken} k{one.colour}", d=path))
    return curves


def _value_axis(frame: Frame, ticks: list[float]) -> list[Markup]:
    marks = []
    for tick in ticks:
        y = round(float(frame.y(np.array([tick]))[0]), 1)
        marks += [
            element("line", class_="base" if tick == 0 else "grid", x1=0, x2="100%", y1=y, y2=y),
            element("text", number(tick), x=-8, y=y + 4, text_anchor="end"),
        ]
    return marks


def _time_axis(frame: Frame, *, unix: bool) -> list[Markup]:
    span_s = frame.end_s - frame.start_s
    marks = []
    for place, tick in enumerate(time_ticks(frame.start_s, frame.end_s)):
        x = f"{float(frame.x(np.array([tick]))[0]) / WIDTH * 100:.2f}%"
        marks += [
            element("line", class_="notch", x1=x, x2=x, y1=frame.height, y2=frame.height + 4),
            element(
                "text",
                time_label(tick, span_s, unix=unix),
                class_="wide" if place % 2 else None,
                x=x,
                y=frame.height + 18,
                text_anchor="middle",
            ),
        ]
    return marks


def _description(chart: Chart) -> str:
    told = []
    for one in chart.series:
        known = one.y[np.isfinite(one.y)]
        if not known.size:
            told.append(f"{one.label}: no values")
        elif one.mark is Mark.LEVEL:
            told.append(f"{one.label}: {number(float(known[-1]))}")
        else:
            low, mean, high = (number(float(value)) for value in (known.min(), known.mean(), known.max()))
            told.append(f"{one.label}: {low} to {high}, {mean} on average")
    unit = f" in {chart.unit}" if chart.unit else ""
    return f"Over time{unit}. " + "; ".join(told)


def _readings(chart: Chart, start_s: float, end_s: float) -> Markup:
    """What the page's script shows under the pointer; JSON with every `<` escaped, so that it cannot end its script."""
    rows = {
        "x": [round((float(at) - start_s) / (end_s - start_s), 5) for at in chart.at_s],
        "t": [_when(float(at), end_s - start_s, unix=chart.unix) for at in chart.at_s],
        "s": [
            {"n": one.label, "y": [None if not np.isfinite(value) else number(float(value)) for value in one.y]}
            for one in chart.series
        ],
    }
    return Markup(json.dumps(rows, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c"))


def _when(at_s: float, span_s: float, *, unix: bool) -> str:
    if unix:
        return time_label(at_s, 3600.0, unix=True) if span_s <= _DAY_S else _day_and_time(at_s)
    return f"{int(at_s // 3600)}:{int(at_s // 60 % 60):02} h"


def _day_and_time(at_s: float) -> str:
    at = datetime.fromtimestamp(at_s, UTC)
    return f"{at:%b} {at.day} {at:%H:%M}"
