"""The wait that the formula says, against queues whose wait is known exactly; in `A/B/n` n servers share the queue.

M: exponential gaps or services; D: all alike; PH: Erlang's or hyperexponential; GI: here, hyperexponential gaps.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from autoscaler.core.queueing import share_waiting_longer


# Crommelin (1932) for M/D/1: the distribution is a finite sum.
def share_waiting_longer_for_constant_service(utilization: float, services: float) -> float:
    terms = (
        (utilization * (count - services)) ** count / math.factorial(count) * math.exp(utilization * (services - count))
        for count in range(int(services) + 1)
    )
    return 1.0 - (1.0 - utilization) * sum(terms)


@pytest.mark.parametrize("utilization", [0.3, 0.5, 0.7, 0.85])
@pytest.mark.parametrize("services", [0.5, 1.0, 2.0, 4.0, 8.0])
def test_prompts_that_are_all_alike_wait_as_in_m_d_1(utilization: float, services: float) -> None:
    exact = share_waiting_longer_for_constant_service(utilization, services)

    share = share_waiting_longer(1, utilization, 0.2, 0.2 * services, 0.5, 0.0)

    assert share == pytest.approx(exact, abs=0.027)


def mean_wait_for_constant_service(servers: int, utilization: float) -> float:
    """Mean wait in service times, of those who do not wait too: the area under the share that waits longer."""
    waits = np.linspace(0.0, 20.0 / (servers * (1.0 - utilization)), 2000)
    shares = [share_waiting_longer(servers, utilization, 1.0, wait, 0.5, 0.0) for wait in waits]
    return float(np.trapezoid(shares, waits))


# Crommelin's series for M/D/n.
@pytest.mark.parametrize(
    ("servers", "utilization", "exact"),
    [(2, 0.5, 0.1767), (2, 0.9, 2.1455), (4, 0.7, 0.1897), (4, 0.9, 1.0), (8, 0.9, 0.45), (16, 0.7, 0.0161)],
)
def test_the_mean_wait_of_several_servers_with_constant_service_is_that_of_m_d_n(
    servers: int, utilization: float, exact: float
) -> None:
    assert mean_wait_for_constant_service(servers, utilization) == pytest.approx(exact, rel=0.01, abs=0.0005)


def share_waiting_longer_in_m_ph_1(utilization: float, service_scv: float, services: float) -> float:
    """Service as Erlang's of two stages below a variability of 1, else hyperexponential with balanced means."""
    share = (1 + math.sqrt(max(service_scv - 1, 0.0) / (service_scv + 1))) / 2
    mixed = (np.array([share, 1 - share]), np.diag([-2 * share, -2 * (1 - share)]))
    start, moves = mixed if service_scv > 1 else (np.array([1.0, 0.0]), np.array([[-2.0, 2.0], [0.0, -2.0]]))
    seen = start @ np.linalg.inv(-moves)
    rates, vectors = np.linalg.eig(moves - utilization * np.outer(moves.sum(axis=1), seen))
    longer = vectors @ np.diag(np.exp(rates * services)) @ np.linalg.inv(vectors)
    return float((utilization * seen @ longer).sum().real)


@pytest.mark.parametrize(("service_scv", "error"), [(0.5, 0.008), (2.0, 0.015), (4.0, 0.035)])
@pytest.mark.parametrize("utilization", [0.5, 0.7, 0.9])
@pytest.mark.parametrize("services", [0.5, 1.0, 2.0, 4.0, 8.0, 16.0])
def test_the_more_prompts_differ_the_longer_the_wait_as_in_m_ph_1(
    utilization: float, service_scv: float, error: float, services: float
) -> None:
    exact = share_waiting_longer_in_m_ph_1(utilization, service_scv, services)

    share = share_waiting_longer(1, utilization, 0.2, 0.2 * services, (1.0 + service_scv) / 2, service_scv)

    assert share == pytest.approx(exact, abs=error)


def transform_of_gaps(servers: int, utilization: float, arrival_scv: float, rate: float) -> float:
    """Laplace transform of hyperexponential gaps with balanced means, in service times."""
    share = (1 + math.sqrt((arrival_scv - 1) / (arrival_scv + 1))) / 2
    rates = [(part, 2 * part * servers * utilization) for part in (share, 1 - share)]
    return sum(part * each / (each + rate) for part, each in rates)


def exact_root(servers: int, utilization: float, arrival_scv: float) -> float:
    """What GI/M/n follows from: `x = A(n (1 - x))`, A the transform of the gaps."""
    root = utilization
    for _ in range(1000):
        root = transform_of_gaps(servers, utilization, arrival_scv, servers * (1 - root))
    return root


def share_that_waits_in_gi_m_n(servers: int, utilization: float, arrival_scv: float) -> float:
    """After Takacs (1962)."""
    root = exact_root(servers, utilization, arrival_scv)
    total, product = 1 / (1 - root), 1.0
    for busy in range(1, servers + 1):
        at = transform_of_gaps(servers, utilization, arrival_scv, busy)
        product *= at / (1 - at)
        ratio = (servers * (1 - at) - busy) / (servers * (1 - root) - busy)
        total += math.comb(servers, busy) / (product * (1 - at)) * ratio
    return 1 / (total * (1 - root))


@pytest.mark.parametrize("arrival_scv", [2.0, 4.0])
@pytest.mark.parametrize(("utilization", "error"), [(0.3, 0.12), (0.6, 0.05), (0.9, 0.01)])
@pytest.mark.parametrize("servers", [1, 4, 32])
def test_who_waits_behind_a_burst_waits_as_long_as_in_gi_m_n(
    servers: int, utilization: float, error: float, arrival_scv: float
) -> None:
    mean_s = 0.2 / (servers * (1.0 - exact_root(servers, utilization, arrival_scv)))

    some, fewer = (
        share_waiting_longer(servers, utilization, 0.2, wait_s, (arrival_scv + 1.0) / 2, 1.0)
        for wait_s in (0.0, mean_s)
    )

    assert 1.0 / math.log(some / fewer) == pytest.approx(1.0, abs=error)


@pytest.mark.parametrize("arrival_scv", [2.0, 4.0])
@pytest.mark.parametrize("utilization", [0.5, 0.7, 0.9])
@pytest.mark.parametrize("servers", [1, 4, 16])
def test_as_many_find_every_server_busy_in_bursts_as_in_gi_m_n(
    servers: int, utilization: float, arrival_scv: float
) -> None:
    share = share_waiting_longer(servers, utilization, 0.2, 0.0, (arrival_scv + 1.0) / 2, 1.0)

    assert share == pytest.approx(share_that_waits_in_gi_m_n(servers, utilization, arrival_scv), abs=0.03)
