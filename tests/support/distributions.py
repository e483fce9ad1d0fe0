"""What a query on a histogram has to answer, computed from the observations behind it."""

from __future__ import annotations

from collections.abc import Sequence

_STEPS = 4000


def below(target: float, cycle: Sequence[float], bounds: Sequence[float]) -> float:
    """Share of the observations up to a target, each spread evenly over its bucket."""
    total = 0.0
    for value in cycle:
        upper = min(bound for bound in bounds if value <= bound)
        lower = max((bound for bound in bounds if bound < value), default=0.0)
        total += min(max((target - lower) / (upper - lower), 0.0), 1.0)
    return total / len(cycle)


def quantile(ratio: float, cycle: Sequence[float], bounds: Sequence[float]) -> float:
    """The value that a share of the observations does not exceed, each spread evenly over its bucket."""
    low, high = 0.0, max(bounds)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if below(middle, cycle, bounds) >= ratio else (middle, high)
    return high


def sum_below(
    target: float,
    first: Sequence[float],
    second: Sequence[float],
    first_bounds: Sequence[float],
    second_bounds: Sequence[float],
) -> float:
    """As `below` for the sum of two independent observations, by a fine sum over the first."""
    total = 0.0
    for value in first:
        upper = min(bound for bound in first_bounds if value <= bound)
        lower = max((bound for bound in first_bounds if bound < value), default=0.0)
        for step in range(_STEPS):
            x = lower + (upper - lower) * (step + 0.5) / _STEPS
            total += below(target - x, second, second_bounds)
    return total / _STEPS / len(first)
