"""Waiting in front of a pool: how busy prefill may be for a TTFT target.

G/G/n from two moments, exact for M/M/n. Who waits, and the mean wait of a pool, after Whitt (Approximations for the
GI/G/m queue, 1993); the correction for bursts after Kraemer and Langenbach-Belz (1976), its constants fitted to
simulated queues; the wait of those who wait a Weibull as wide as that of M/G/1. Its error against the simulator is
stated in docs/capacity-model.md and held by a test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

_LARGE_POOL, _MOST_SERVERS = 128, 4096
# A share that no sizing depends on.
_NOBODY = 1e-6
# Beyond exp(-exp(this)) nothing is left of a tail.
_BEYOND_THE_TAIL = 6.0


def probability_of_waiting(servers: int, utilization_ratio: float) -> float:
    """Erlang C: share of arrivals that find every server busy (M/M/n)."""
    if utilization_ratio >= 1.0:
        return 1.0
    offered = servers * utilization_ratio
    blocking = 1.0
    for count in range(1, servers + 1):
        blocking = offered * blocking / (count + offered * blocking)
    return blocking / (1.0 - utilization_ratio * (1.0 - blocking))


def share_waiting_longer(
    servers: int,
    utilization_ratio: float,
    service_s: float,
    wait_s: float,
    variability: float = 1.0,
    service_scv: float | None = None,
) -> float:
    """Share of requests that wait longer than `wait_s`; all of them at full utilisation.

    Args:
        servers: Replicas that share the queue.
        utilization_ratio: Offered work per replica.
        service_s: Mean service time.
        wait_s: The wait asked about.
        variability: `(ca^2 + cs^2) / 2`, squared coefficients of variation of arrivals and service; 1 is Poisson
            arrivals with exponential service.
        service_scv: `cs^2`; None for half of the variability in each, or Poisson arrivals where that is less than them.
            Arrivals count as Poisson at least.
    """
    if utilization_ratio >= 1.0:
        return 1.0
    if utilization_ratio <= 0.0:
        return 0.0
    if service_scv is None:
        service_scv = min(variability, max(2.0 * variability - 1.0, 0.0))
    arrival_scv = max(2.0 * variability - service_scv, 1.0)
    waiting = _share_that_waits(servers, utilization_ratio, arrival_scv, service_scv)
    if waiting <= 0.0 or wait_s <= 0.0:
        return waiting
    mean_s = service_s * _mean_wait(servers, utilization_ratio, arrival_scv, service_scv)
    # Shape of a Weibull with the spread of an M/G/1's wait; 1 is the exponential.
    shape = math.pow(_spread(utilization_ratio, service_scv), -0.543)
    scale_s = mean_s / math.gamma(1.0 + 1.0 / shape)
    if scale_s <= 0.0:
        return 0.0
    if (scaled := wait_s / scale_s) <= 0.0:  # too short for a float
        return waiting
    exponent = shape * math.log(scaled)
    return waiting * math.exp(-math.exp(exponent)) if exponent < _BEYOND_THE_TAIL else 0.0


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


def servers_for(
    levels: Sequence[float],
    service_s: float,
    budget_s: float,
    missed_ratio: float,
    variability: float = 1.0,
    service_scv: float | None = None,
) -> tuple[float, float]:
    """Replicas at which few enough requests are expected to wait longer than the budget.

    What is expected is the mean over levels of work that are equally likely, so that neither a high level nor a long
    wait at the usual one is paid for twice. At a level that outruns the replicas everyone waits too long.

    Args:
        levels: Offered work in replicas (arrival rate x service time), in ascending order.
        service_s: Mean service time.
        budget_s: Longest acceptable wait.
        missed_ratio: Share of requests that may be expected to wait longer.
        variability: As in `share_waiting_longer`.
        service_scv: As there.

    Returns:
        The need in fractional replicas, and the share that is expected to wait longer in that many whole ones. The
        fraction tells how near one replica fewer is to being enough.
    """

    def missed(servers: int) -> float:
        total = 0.0
        for level in reversed(levels):
            busy = level / servers / times
            total += (share := share_waiting_longer(servers, busy, service_s, budget_s, variability, service_scv))
            if share < _NOBODY:
                break
        return total / len(levels)

    highest = levels[-1]
    # Pools beyond the large one may be busier still; several of that size are on the safe side for them.
    times = max(highest / _LARGE_POOL, 1.0)
    most = max(math.ceil(highest / times), 1)
    while (expected := missed(most)) > missed_ratio and most < _MOST_SERVERS:
        most += max(most // 4, 1)
    least, too_many = 0, 1.0
    while most - least > 1:
        middle = (least + most) // 2
        found = missed(middle)
        if found <= missed_ratio:
            most, expected = middle, found
        else:
            least, too_many = middle, found
    if most == 1:
        return min(highest, 1.0) * times, expected
    # In between the logarithm of the share is nearly straight.
    slope = math.log(too_many / max(expected, _NOBODY))
    inside = math.log(too_many / missed_ratio) / slope if slope > 0.0 else 1.0
    return (least + min(max(inside, 1e-3), 1.0)) * times, expected
