"""Where an axis is marked, and what stands there."""

from __future__ import annotations

import math
from datetime import UTC, datetime

_MINUTE_S, _HOUR_S, _DAY_S = 60.0, 3600.0, 86400.0
_STEPS_S = (
    *(1.0, 2.0, 5.0, 10.0, 15.0, 30.0),
    *(_MINUTE_S * count for count in (1, 2, 5, 10, 15, 30)),
    *(_HOUR_S * count for count in (1, 2, 3, 6, 12)),
    *(_DAY_S * count for count in (1, 2, 7, 14, 28)),
)
_MOST_STEPS, _MOST_TIMES = 5, 7
_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)


def value_ticks(highest: float, *, whole: bool = False) -> list[float]:
    """Round numbers from 0 to the first that is not below `highest`, about five of them.

    Args:
        highest: Largest value to show; a number that is not above 0 counts as 1.
        whole: Whether only whole numbers are to be marked.
    """
    top = highest if math.isfinite(highest) and highest > 0 else 1.0
    raw = top / _MOST_STEPS
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * magnitude for factor in _ROUND if factor * magnitude >= raw * (1 - 1e-9))
    step = float(math.ceil(step)) if whole else step
    return [round(step * place, 12) for place in range(math.ceil(top / step - 1e-9) + 1)]


def time_ticks(start_s: float, end_s: float) -> list[float]:
    """Round times within [start, end]; days begin at midnight UTC if the times are Unix seconds."""
    span_s = max(end_s - start_s, 1.0)
    step_s = next((step for step in _STEPS_S if span_s / step <= _MOST_TIMES), _STEPS_S[-1] * math.ceil(span_s / 1e7))
    first = math.ceil(start_s / step_s - 1e-9)
    return [step_s * place for place in range(first, math.floor(end_s / step_s + 1e-9) + 1)]


def time_label(at_s: float, span_s: float, *, unix: bool) -> str:
    """What stands at a time: the clock (UTC) for Unix seconds, else the time since the start.

    Args:
        at_s: The time.
        span_s: What the axis spans.
        unix: Whether the time is a date.
    """
    if unix:
        at = datetime.fromtimestamp(at_s, UTC)
        if span_s > 2 * _DAY_S or (at.hour, at.minute) == (0, 0):
            return f"{at:%b} {at.day}" if (at.hour, at.minute) == (0, 0) else f"{at:%H:%M}"
        return f"{at:%H:%M:%S}" if span_s <= 5 * _MINUTE_S else f"{at:%H:%M}"
    for unit_s, name in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if span_s >= 2 * unit_s:
            return f"{at_s / unit_s:.4g} {name}"
    return f"{at_s:.4g} s"


def number(value: float) -> str:
    """A number as short as it can be told apart: `12`, `0.25`, `1.2k`, `3M`."""
    if not math.isfinite(value):
        return "–"
    for size, name in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if name == 'k' else size):.4g}{name}"
    return f"{value:.4g}"
