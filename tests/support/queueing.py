"""What the queueing formulas say, asked the other way round: which wait, which load, has a given share."""

from __future__ import annotations

import math
from collections.abc import Callable

from autoscaler.core.queueing import share_waiting_longer

_HALVINGS = 60


def wait_quantile_s(
    servers: int,
    utilization_ratio: float,
    service_s: float,
    quantile_ratio: float,
    variability: float = 1.0,
    service_scv: float | None = None,
) -> float:
    """Wait that a share `quantile_ratio` of requests stays below; infinite at full utilisation."""

    def too_short(wait_s: float) -> bool:
        longer = share_waiting_longer(servers, utilization_ratio, service_s, wait_s, variability, service_scv)
        return longer > 1.0 - quantile_ratio

    if utilization_ratio >= 1.0:
        return math.inf
    if not too_short(0.0):
        return 0.0
    most_s = service_s
    while too_short(most_s):
        most_s *= 2.0
    return _edge(too_short, 0.0, most_s)


def highest_utilization(
    servers: int, service_s: float, budget_s: float, quantile_ratio: float, variability: float = 1.0
) -> float:
    """Highest utilisation at which that wait stays within the budget."""

    def keeps(utilization: float) -> bool:
        return share_waiting_longer(servers, utilization, service_s, budget_s, variability) <= 1.0 - quantile_ratio

    return _edge(keeps, 0.0, 1.0)


def _edge(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Where a condition that holds below and not above ends."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
