"""Functions of an instant vector that work on one element at a time, and `label_replace`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from autoscaler.sources.promql.labels import Labels, replaced, value_of
from autoscaler.sources.promql.matchers import anchored
from autoscaler.sources.promql.values import EMPTY, Vector, distinct

ElementFunction: TypeAlias = Callable[..., Vector]

_REFERENCE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})", re.ASCII)


def call(name: str, vector: Vector, *parameters: float) -> Vector:
    """Apply the element function of this name; the results have no metric name.

    Raises:
        EvaluationError: Two results differ in nothing but the metric's name.
    """
    with np.errstate(all="ignore"):
        return ELEMENT_FUNCTIONS[name](vector, *parameters).unnamed()


def label_replace(vector: Vector, target: str, replacement: str, source: str, pattern: str) -> Vector:
    """Set the label `target` to the replacement where the whole value of the label `source` matches.

    Args:
        vector: Elements that do not match stay as they are.
        target: Label to set; an empty result removes it.
        replacement: With `$1` or `${name}` for groups of the pattern.
        source: Label to read; a missing one is empty.
        pattern: RE2.

    Raises:
        EvaluationError: Two results have the same labels.
    """
    expression = anchored(pattern)

    def change(labels: Labels) -> Labels:
        match = expression.fullmatch(value_of(labels, source))
        return labels if match is None else replaced(labels, {target: _expand(replacement, match)})

    return distinct(Vector([change(labels) for labels in vector.labels], vector.values))


def _expand(template: str, match: re.Match[str]) -> str:
    """Go's `Regexp.Expand`: a group that the pattern lacks is empty, `$$` is a dollar."""

    def group(reference: re.Match[str]) -> str:
        dollar, *names = reference.groups()
        if dollar:
            return dollar
        name = names[0] or names[1]
        try:
            return match[int(name) if name.isdigit() else name] or ""
        except IndexError:
            return ""

    return _REFERENCE.sub(group, template)


def _clamp(vector: Vector, low: float, high: float) -> Vector:
    if low > high:
        return EMPTY
    return Vector(vector.labels, np.maximum(low, np.minimum(high, vector.values)))


def _clamp_min(vector: Vector, low: float) -> Vector:
    return Vector(vector.labels, np.maximum(low, vector.values))


def _clamp_max(vector: Vector, high: float) -> Vector:
    return Vector(vector.labels, np.minimum(high, vector.values))


def _abs(vector: Vector) -> Vector:
    return Vector(vector.labels, np.abs(vector.values))


def _ceil(vector: Vector) -> Vector:
    return Vector(vector.labels, np.ceil(vector.values))


def _floor(vector: Vector) -> Vector:
    return Vector(vector.labels, np.floor(vector.values))


def _round(vector: Vector, to_nearest: float = 1.0) -> Vector:
    inverse = np.float64(1.0) / to_nearest
    return Vector(vector.labels, np.floor(vector.values * inverse + 0.5) / inverse)


ELEMENT_FUNCTIONS: Mapping[str, ElementFunction] = MappingProxyType(
    {
        "abs": _abs,
        "ceil": _ceil,
        "clamp": _clamp,
        "clamp_max": _clamp_max,
        "clamp_min": _clamp_min,
        "floor": _floor,
        "round": _round,
    }
)
