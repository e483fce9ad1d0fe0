"""What a chart shows, and its outline: lines, steps, areas, bands and levels as SVG paths."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WIDTH = 1000.0
"""Width of the plot in units of its own; it is stretched to whatever there is."""


class Mark(StrEnum):
    """How a series is drawn.

    `line` joins its points, `steps` holds a value until the next, `area` fills down to 0 or to the area before where
    areas are stacked, `band` fills between `low` and `y`, `level` is a dashed line such as a target.
    """

    LINE = "line"
    STEPS = "steps"
    AREA = "area"
    BAND = "band"
    LEVEL = "level"


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One quantity over time.

    Attributes:
        label: Its name in the legend.
        y: Values at the chart's times; NaN leaves a gap.
        mark: How to draw it.
        colour: Place in the palette, from 1 to 8.
        low: Lower edge of a band.
        dashed: Whether a line is broken, so that it can be told apart without colour.
    """

    label: str
    y: Floats
    mark: Mark = Mark.LINE
    colour: int = 1
    low: Floats | None = None
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """From numbers to places in the plot.

    Attributes:
        start_s: Time at the left edge.
        end_s: Time at the right edge.
        top: Value at the upper edge; 0 is at the lower one.
        height: Height of the plot.
    """

    start_s: float
    end_s: float
    top: float
    height: float

    def x(self, at_s: Floats) -> Floats:
        """Horizontal places."""
        return (at_s - self.start_s) / (self.end_s - self.start_s) * WIDTH

    def y(self, values: Floats) -> Floats:
        """Vertical places; what exceeds the plot is drawn at its edge."""
        return self.height * (1.0 - np.clip(values, 0.0, self.top) / self.top)


def stacked(series: Sequence[Series]) -> list[tuple[Series, Floats, Floats]]:
    """Each area with its lower and upper edge when they stand on one another; unknown values count as 0."""
    floor = np.zeros(series[0].y.size) if series else np.zeros(0)
    layers = []
    for one in series:
        top = floor + np.nan_to_num(one.y)
        layers.append((one, floor, top))
        floor = top
    return layers


def line_path(frame: Frame, at_s: Floats, values: Floats) -> str:
    """The path of a line, broken where a value is unknown."""
    return " ".join(
        "M" + "L".join(_points(frame.x(at_s[part]), frame.y(values[part]))) for part in _known_parts(values)
    )


def step_path(frame: Frame, at_s: Floats, values: Floats) -> str:
    """The path of a staircase: each value holds until the next time, the last one to the right edge."""
    return " ".join("M" + "L".join(_points(*_corners(frame, at_s, values, part))) for part in _known_parts(values))


def area_path(frame: Frame, at_s: Floats, low: Floats, high: Floats) -> str:
    """The closed outline between two lines."""
    paths = []
    for part in _known_parts(low + high):
        x = frame.x(at_s[part])
        there, back = _points(x, frame.y(high[part])), _points(x[::-1], frame.y(low[part])[::-1])
        paths.append("M" + "L".join((*there, *back)) + "Z")
    return " ".join(paths)


def _known_parts(values: Floats) -> Iterator[slice]:
    """Stretches without an unknown value."""
    known = np.isfinite(values)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], known, [False]))))
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        yield slice(start, end)


def _corners(frame: Frame, at_s: Floats, values: Floats, part: slice) -> tuple[Floats, Floats]:
    ends_s = np.append(at_s[1:], frame.end_s)[part]
    x = np.column_stack((frame.x(at_s[part]), frame.x(ends_s))).ravel()
    return x, np.repeat(frame.y(values[part]), 2)


def _points(x: Floats, y: Floats) -> list[str]:
    return [f"{_short(a)} {_short(b)}" for a, b in zip(x.tolist(), y.tolist(), strict=True)]


def _short(value: float) -> str:
    return str(round(value)) if math.isclose(value, round(value), abs_tol=0.05) else f"{value:.1f}"
