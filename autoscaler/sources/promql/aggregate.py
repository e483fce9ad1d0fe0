"""Aggregations over the elements of an instant vector."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import promql_parser
from numpy.typing import NDArray

from autoscaler.sources.promql.labels import METRIC_NAME, Labels, drop, keep
from autoscaler.sources.promql.values import EMPTY, Vector, no_quantile

Floats: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.int64]
Aggregation: TypeAlias = Callable[[Floats, Indices, int], Floats]

QUANTILE = "quantile"


@dataclass(frozen=True, slots=True)
class Grouping:
    """`by (names)`, or with `is_without` all labels except these and the metric's name."""

    names: frozenset[str] = frozenset()
    is_without: bool = False

    def key(self, labels: Labels) -> Labels:
        """The labels of the group that an element belongs to."""
        return drop(labels, self.names) if self.is_without else keep(labels, self.names)


def grouping_of(modifier: promql_parser.AggModifier | None) -> Grouping:
    """Read a parsed `by` or `without`."""
    if modifier is None:
        return Grouping()
    if modifier.type == promql_parser.AggModifierType.Without:
        return Grouping(frozenset((*modifier.labels, METRIC_NAME)), is_without=True)
    return Grouping(frozenset(modifier.labels))


def aggregate(op: str, vector: Vector, grouping: Grouping) -> Vector:
    """Reduce each group to one element; no element, no group."""
    return _grouped(AGGREGATIONS[op], vector, grouping)


def aggregate_quantile(q: float, vector: Vector, grouping: Grouping) -> Vector:
    """The q-quantile of each group, interpolated between the two nearest elements."""

    def quantiles(values: Floats, group: Indices, groups: int) -> Floats:
        return np.array([_quantile(q, values[group == index].tolist()) for index in range(groups)])

    return _grouped(quantiles, vector, grouping)


def _grouped(aggregation: Aggregation, vector: Vector, grouping: Grouping) -> Vector:
    if not len(vector):
        return EMPTY
    indices: dict[Labels, int] = {}
    group = [indices.setdefault(grouping.key(labels), len(indices)) for labels in vector.labels]
    return Vector(list(indices), aggregation(vector.values, np.array(group), len(indices)))


def _sum(values: Floats, group: Indices, groups: int) -> Floats:
    return np.bincount(group, values, groups).astype(np.float64)


def _count(_values: Floats, group: Indices, groups: int) -> Floats:
    return _sum(np.ones(len(group)), group, groups)


def _avg(values: Floats, group: Indices, groups: int) -> Floats:
    return _sum(values, group, groups) / _count(values, group, groups)


def _min(values: Floats, group: Indices, groups: int) -> Floats:
    lowest = np.full(groups, np.nan)
    np.fmin.at(lowest, group, values)
    return lowest


def _max(values: Floats, group: Indices, groups: int) -> Floats:
    highest = np.full(groups, np.nan)
    np.fmax.at(highest, group, values)
    return highest


AGGREGATIONS: Mapping[str, Aggregation] = MappingProxyType(
    {"avg": _avg, "count": _count, "max": _max, "min": _min, "sum": _sum}
)


def _quantile(q: float, values: Sequence[float]) -> float:
    """Prometheus sorts NaN before all numbers."""
    if not 0.0 <= q <= 1.0:
        return no_quantile(q)
    ordered = sorted(values, key=lambda value: -math.inf if math.isnan(value) else value)
    rank = q * (len(ordered) - 1)
    lower = math.floor(rank)
    upper = min(lower + 1, len(ordered) - 1)
    weight = rank - lower
    return ordered[lower] * (1 - weight) + ordered[upper] * weight
