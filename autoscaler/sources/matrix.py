"""The answer to a range query, held to its form: whatever answers may be a proxy, or no Prometheus at all."""

from __future__ import annotations

import math
from typing import Any

ODD_FORM = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RecursionError)
"""What taking an answer apart raises where it has another form, is nested too deeply, or holds absurd numbers."""


def series_of(result: Any) -> list[dict[str, Any]]:
    """The series of an answer, each with `metric`, texts by label, and `values`, pairs of Unix time and number.

    Raises:
        Exception: One of `ODD_FORM`: it has another form.
    """
    if not isinstance(result, list):
        raise TypeError("no list of series")
    return [{"metric": labels_of(item), "values": [_point(*point) for point in item["values"]]} for item in result]


def labels_of(item: Any) -> dict[str, str]:
    """The labels of a series or an element.

    Raises:
        Exception: One of `ODD_FORM`: they are none.
    """
    labels = item["metric"]
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise TypeError("labels that are none")
    return labels


def _point(at_s: Any, value: Any) -> tuple[float, float]:
    if not math.isfinite(at_s):
        raise ValueError("a time that is none")
    return float(at_s), float(value)
