"""Waiting in front of a pool: how busy prefill may be for a TTFT percentile.

G/G/n after Allen and Cunneen: probability of waiting as in M/M/n (Erlang C), the conditional wait exponential with the
M/M/n mean scaled by the variability of arrivals and service. Its error against the simulator is stated in
docs/capacity-model.md and held by a test.
"""

from __future__ import annotations

import math

_BISECTIONS = 30
_LARGE_POOL = 128
_LEAST_UTILIZATION = 0.1


def probability_of_waiting(servers: int, utilization_ratio: float) -> float:
    """Erlang C: share of arrivals that find every server busy (M/M/n)."""
    if utilization_ratio >= 1.0:
        return 1.0
    offered = servers * utilization_ratio
    blocking = 1.0
    for count in range(1, servers + 1):
        blocking = offered * blocking / (count + offered * blocking)
    return blocking / (1.0 - utilization_ratio * (1.0 - blocking))


def wait_quantile_s(
    servers: int, utilization_ratio: float, service_s: float, quantile_ratio: float, variability: float = 1.0
) -> float:
    """Wait that a share `quantile_ratio` of requests stays below, in seconds; infinite at full utilisation.

    Args:
        servers: Replicas that share the queue.
        utilization_ratio: Offered work per replica.
        service_s: Mean service time.
        quantile_ratio: 0.95 for p95.
        variability: `(ca^2 + cs^2) / 2`, squared coefficients of variation of arrivals and service; 1 is Poisson
            arrivals with exponential service.
    """
    if utilization_ratio >= 1.0:
        return math.inf
    waiting = probability_of_waiting(servers, utilization_ratio)
    beyond = 1.0 - quantile_ratio
    if waiting <= beyond:
        return 0.0
    mean_s = variability * service_s / (servers * (1.0 - utilization_ratio))
    return mean_s * math.log(waiting / beyond)


def highest_utilization(
    servers: int, service_s: float, budget_s: float, quantile_ratio: float, variability: float = 1.0
) -> float:
    """Highest utilisation at which the wait quantile stays within the budget."""
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if wait_quantile_s(servers, middle, service_s, quantile_ratio, variability) <= budget_s:
            low = middle
        else:
            high = middle
    return low


def servers_for(
    work: float, service_s: float, budget_s: float, quantile_ratio: float, variability: float = 1.0
) -> tuple[float, float]:
    """Replicas for offered work so that the wait quantile stays within the budget.

    Args:
        work: Offered work in replicas (arrival rate x service time).
        service_s: Mean service time.
        budget_s: Longest acceptable wait at the quantile.
        quantile_ratio: 0.95 for p95.
        variability: As in `wait_quantile_s`.

    Returns:
        The need in fractional replicas, and the utilisation that it stands for.
    """
    servers = max(math.ceil(work), 1)
    while servers < _LARGE_POOL:
        utilization = highest_utilization(servers, service_s, budget_s, quantile_ratio, variability)
        if utilization * servers >= work:
            return max(work / utilization if utilization > 0 else servers, servers - 1 + 1e-3), utilization
        servers += 1
    # Larger pools may be busier still; the utilisation of this size is on the safe side for them.
    utilization = highest_utilization(_LARGE_POOL, service_s, budget_s, quantile_ratio, variability)
    return max(work / max(utilization, _LEAST_UTILIZATION), float(_LARGE_POOL)), utilization
