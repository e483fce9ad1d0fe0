"""What a query on a histogram has to answer, computed from the observations behind it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autoscaler.core.interpolate import share_up_to

_STEPS = 4000
_PARTS = 8


def below(target: float, cycle: Sequence[float], bounds: Sequence[float]) -> float:
    """Share of the observations up to a target, by the curve through those up to the bounds."""
    shares = [sum(value <= bound for value in cycle) / len(cycle) for bound in (0.0, *bounds)]
    return share_up_to(target, [0.0, *bounds], shares)


def quantile(ratio: float, cycle: Sequence[float], bounds: Sequence[float]) -> float:
    """The value that a share of the observations does not exceed, each spread evenly over its bucket."""
    low, high = 0.0, max(bounds)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if _evenly_below(middle, cycle, bounds) >= ratio else (middle, high)
    return high


def sum_below(
    target: float,
    first: Sequence[float],
    second: Sequence[float],
    first_bounds: Sequence[float],
    second_bounds: Sequence[float],
) -> float:
    """As `below` for the sum of two independent observations, both evenly spread over each eighth of a bucket."""
    edges, shares = _eighths(first, first_bounds)
    second_edges, second_shares = _eighths(second, second_bounds)
    total = 0.0
    for lower, upper, weight in zip(edges, edges[1:], np.diff(shares), strict=False):
        x = lower + (upper - lower) * (np.arange(_STEPS) + 0.5) / _STEPS
        total += weight * float(np.interp(target - x, second_edges, second_shares).mean())
    return total


def _eighths(cycle: Sequence[float], bounds: Sequence[float]) -> tuple[list[float], list[float]]:
    edges = np.concatenate(
        [
            np.linspace(lower, upper, _PARTS, endpoint=False)
            for lower, upper in zip((0.0, *bounds), bounds, strict=False)
        ]
    ).tolist()
    edges.append(bounds[-1])
    return edges, [below(edge, cycle, bounds) for edge in edges]


def _evenly_below(target: float, cycle: Sequence[float], bounds: Sequence[float]) -> float:
    total = 0.0
    for value in cycle:
        upper = min(bound for bound in bounds if value <= bound)
        lower = max((bound for bound in bounds if bound < value), default=0.0)
        total += min(max((target - lower) / (upper - lower), 0.0), 1.0)
    return total / len(cycle)
