"""Waiting in front of a pool: how busy prefill may be for a TTFT percentile.

G/G/n from two moments, exact for M/M/n. Who waits, and the mean wait of a pool, after Whitt (Approximations for the
GI/G/m queue, 1993); the correction for bursts after Kraemer and Langenbach-Belz (1976), its constants fitted to
simulated queues; the wait of those who wait a Weibull as wide as that of M/G/1. Its error against the simulator is
stated in docs/capacity-model.md and held by a test.
"""

from __future__ import annotations

import math

_PRECISION = 0.9e-6
_MOST_STEPS = 60
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
    servers: int,
    utilization_ratio: float,
    service_s: float,
    quantile_ratio: float,
    variability: float = 1.0,
    service_scv: float | None = None,
) -> float:
    """Wait that a share `quantile_ratio` of requests stays below, in seconds; infinite at full utilisation.

    Args:
        servers: Replicas that share the queue.
        utilization_ratio: Offered work per replica.
        service_s: Mean service time.
        quantile_ratio: 0.95 for p95.
        variability: `(ca^2 + cs^2) / 2`, squared coefficients of variation of arrivals and service; 1 is Poisson
            arrivals with exponential service.
        service_scv: `cs^2`; None for half of the variability in each, or Poisson arrivals where that is less than them.
            Arrivals count as Poisson at least.
    """
    if utilization_ratio >= 1.0:
        return math.inf
    if utilization_ratio <= 0.0:
        return 0.0
    if service_scv is None:
        service_scv = min(variability, max(2.0 * variability - 1.0, 0.0))
    arrival_scv = max(2.0 * variability - service_scv, 1.0)
    waiting = _share_that_waits(servers, utilization_ratio, arrival_scv, service_scv)
    beyond = 1.0 - quantile_ratio
    if waiting <= beyond:
        return 0.0
    mean_s = service_s * _mean_wait(servers, utilization_ratio, arrival_scv, service_scv)
    # Shape of a Weibull with the spread of an M/G/1's wait; 1 is the exponential.
    shape = math.pow(_spread(utilization_ratio, service_scv), -0.543)
    return mean_s / math.gamma(1.0 + 1.0 / shape) * math.pow(math.log(waiting / beyond), 1.0 / shape)


def _share_that_waits(servers: int, utilization: float, arrival_scv: float, service_scv: float) -> float:
    """Whitt's P(W > 0) for arrivals no smoother than Poisson."""
    erlang = probability_of_waiting(servers, utilization)
    slack = (1.0 - utilization) * math.sqrt(servers)
    if arrival_scv == 1.0 or erlang == 0.0 or (poisson := _normal_tail(slack)) == 0.0:
        return erlang
    heavy = _normal_tail((1.0 + service_scv) * slack / (arrival_scv + service_scv)) / poisson
    light = _normal_tail(2.0 * slack / (1.0 + arrival_scv)) / poisson
    square = utilization * utilization
    return min(square * min(erlang * heavy, 1.0) + (1.0 - square) * min(erlang * light, 1.0), 1.0)


def _mean_wait(servers: int, utilization: float, arrival_scv: float, service_scv: float) -> float:
    """Mean wait of those who wait, in service times."""
    idle = 1.0 - utilization
    bursts = math.exp(-1.25 * math.pow(idle, 1.3) * (arrival_scv - 1.0) / (arrival_scv + 4.0 * service_scv))
    alone = utilization / _share_that_waits(1, utilization, arrival_scv, service_scv)
    pool = _pool_factor(servers, utilization, service_scv)
    return pool * bursts * alone * (arrival_scv + service_scv) / 2.0 / (servers * idle)


def _pool_factor(servers: int, utilization: float, service_scv: float) -> float:
    """Mean wait of M/G/n over that of M/M/n scaled by its variability (Whitt's phi for Poisson arrivals)."""
    idle = 1.0 - utilization
    gamma = min(0.24, idle * (servers - 1) * (math.sqrt(4 + 5 * servers) - 2) / (16 * servers * utilization))
    constant = 1.0 + gamma
    variable = (1.0 - 4.0 * gamma) * math.exp(-2.0 * idle / (3.0 * utilization))
    if service_scv >= 1.0:
        return ((service_scv - 1.0) * variable + service_scv + 3.0) / (2.0 + 2.0 * service_scv)
    between = math.pow(min(1.0, (constant + variable) / 2.0), 1.0 - service_scv)
    return (4.0 * (1.0 - service_scv) * constant + service_scv * between) / (4.0 - 3.0 * service_scv)


def _spread(utilization: float, service_scv: float) -> float:
    """Squared coefficient of variation of the wait of those who wait in M/G/1, the third moment as Whitt guesses it."""
    third = 3.0 * service_scv if service_scv >= 1.0 else 2.0 * service_scv + 1.0
    return 2.0 * utilization - 1.0 + 4.0 * (1.0 - utilization) * third / (3.0 * (service_scv + 1.0))


def _normal_tail(deviations: float) -> float:
    return 0.5 * math.erfc(deviations / math.sqrt(2.0))


def highest_utilization(
    servers: int,
    service_s: float,
    budget_s: float,
    quantile_ratio: float,
    variability: float = 1.0,
    service_scv: float | None = None,
) -> float:
    """Highest utilisation at which the wait quantile stays within the budget, to a millionth.

    By false position (Illinois) on `(wait - budget) * (1 - u)`, which is finite and nearly straight.
    """

    def excess(utilization: float) -> float:
        wait_s = wait_quantile_s(servers, utilization, service_s, quantile_ratio, variability, service_scv)
        return (wait_s - budget_s) * (1.0 - utilization)

    low, high = 0.0, 1.0 - _PRECISION
    below, above = -budget_s, excess(high)
    if above <= 0.0:
        return high
    side = 0
    for _ in range(_MOST_STEPS):
        if high - low <= _PRECISION:
            break
        guess = (low * above - high * below) / (above - below)
        # A step that hardly leaves an end would not close the bracket.
        guess = min(max(guess, low + _PRECISION / 2), high - _PRECISION / 2)
        found = excess(guess)
        if found <= 0.0:
            low, below, above, side = guess, found, above / 2 if side < 0 else above, -1
        else:
            high, above, below, side = guess, found, below / 2 if side > 0 else below, 1
    return low


def servers_for(
    work: float,
    service_s: float,
    budget_s: float,
    quantile_ratio: float,
    variability: float = 1.0,
    service_scv: float | None = None,
) -> tuple[float, float]:
    """Replicas for offered work so that the wait quantile stays within the budget.

    Args:
        work: Offered work in replicas (arrival rate x service time).
        service_s: Mean service time.
        budget_s: Longest acceptable wait at the quantile.
        quantile_ratio: 0.95 for p95.
        variability: As in `wait_quantile_s`.
        service_scv: As in `wait_quantile_s`.

    Returns:
        The need in fractional replicas, and the utilisation that it stands for.
    """
    servers = max(math.ceil(work), 1)
    while servers < _LARGE_POOL:
        wait_s = wait_quantile_s(servers, work / servers, service_s, quantile_ratio, variability, service_scv)
        if wait_s <= budget_s:
            break
        servers += 1
    # Pools beyond the large one may be busier still; its utilisation is on the safe side for them.
    sized = min(servers, _LARGE_POOL)
    utilization = highest_utilization(sized, service_s, budget_s, quantile_ratio, variability, service_scv)
    if servers < _LARGE_POOL:
        need = work / utilization if utilization > 0 else servers
        return min(max(need, servers - 1 + 1e-3), servers), utilization
    return max(work / max(utilization, _LEAST_UTILIZATION), float(_LARGE_POOL)), utilization
