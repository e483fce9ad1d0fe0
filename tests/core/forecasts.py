"""Series of demand, and what a forecast says of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from autoscaler.core import forecast
from autoscaler.core.forecast import Forecast, Outlook

DAY_S = 86_400.0
MIDNIGHT_S = 19_676 * DAY_S
HORIZON_S = 240.0
TICK_S = 15.0


def outlooks(
    demands: Sequence[float],
    *,
    tick_s: float = TICK_S,
    horizon_s: float = HORIZON_S,
    excess_ratio: float = 0.05,
    memory: Forecast | None = None,
    start_s: float = MIDNIGHT_S,
) -> tuple[Forecast, list[Outlook]]:
    """What was said at each of these observations."""
    memory, said = memory or Forecast(), []
    for index, demand in enumerate(demands):
        memory, outlook = forecast.observe(memory, demand, start_s + index * tick_s, horizon_s, excess_ratio)
        said.append(outlook)
    return memory, said


def excess(demands: Sequence[float], said: Sequence[Outlook], ahead: int, since: int = 0) -> float:
    """Share of the load from an index on that came above the upper bound."""
    seen = [(demands[index + ahead], said[index].upper) for index in range(since, len(demands) - ahead)]
    return sum(demand for demand, upper in seen if demand > upper) / sum(demand for demand, _ in seen)


def noise(count: int, ratio: float, seed: int = 1) -> list[float]:
    return [float(value) for value in np.exp(np.random.default_rng(seed).normal(0.0, ratio, count))]


def wandering(count: int) -> list[float]:
    """Demand around 5 that drifts for some minutes and jitters all the time."""
    random = np.random.default_rng(3)
    level, demands = 0.0, []
    for factor in noise(count, 0.08, seed=4):
        level = 0.98 * level + random.normal(0.0, 0.05)
        demands.append(5.0 * math.exp(level) * factor)
    return demands
