from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.queueing import highest_utilization, probability_of_waiting, servers_for, wait_quantile_s

SERVERS = st.integers(1, 64)
UTILIZATIONS = st.floats(0.01, 0.99)
QUANTILES = st.sampled_from([0.5, 0.9, 0.95, 0.99])


# Erlang C from the closed form C = (a^c/c!) / ((1-rho) sum_{k<c} a^k/k! + a^c/c!).
@pytest.mark.parametrize(
    ("servers", "offered", "waiting"),
    [(1, 0.7, 0.7), (2, 1.0, 1 / 3), (3, 2.0, 4 / 9), (5, 4.0, 0.5541), (10, 8.0, 0.4092), (100, 90.0, 0.2169)],
)
def test_the_probability_of_waiting_is_erlang_c(servers: int, offered: float, waiting: float) -> None:
    assert probability_of_waiting(servers, offered / servers) == pytest.approx(waiting, abs=5e-5)


def test_everyone_waits_at_a_full_pool_and_nobody_at_an_empty_one() -> None:
    assert probability_of_waiting(4, 1.0) == 1.0
    assert probability_of_waiting(4, 1.5) == 1.0
    assert probability_of_waiting(4, 0.0) == 0.0


@given(UTILIZATIONS, QUANTILES)
def test_one_server_has_the_exact_quantile_of_m_m_1(utilization: float, quantile: float) -> None:
    exact_s = max(0.2 / (1 - utilization) * math.log(utilization / (1 - quantile)), 0.0)

    assert wait_quantile_s(1, utilization, 0.2, quantile) == pytest.approx(exact_s, rel=1e-9, abs=1e-12)


def test_nobody_waits_at_a_quantile_that_finds_a_free_server() -> None:
    assert wait_quantile_s(10, 0.3, 0.2, 0.9) == 0.0


def test_the_wait_at_full_utilization_has_no_end() -> None:
    assert wait_quantile_s(4, 1.0, 0.2, 0.95) == math.inf


@given(SERVERS, UTILIZATIONS, UTILIZATIONS, QUANTILES)
def test_a_busier_pool_never_waits_less(servers: int, one: float, other: float, quantile: float) -> None:
    low, high = sorted((one, other))

    assert wait_quantile_s(servers, low, 0.2, quantile) <= wait_quantile_s(servers, high, 0.2, quantile) + 1e-12


@given(SERVERS, UTILIZATIONS, QUANTILES)
def test_a_larger_pool_as_busy_never_waits_more(servers: int, utilization: float, quantile: float) -> None:
    assert (
        wait_quantile_s(servers + 1, utilization, 0.2, quantile)
        <= wait_quantile_s(servers, utilization, 0.2, quantile) + 1e-12
    )


@given(SERVERS, UTILIZATIONS, QUANTILES, st.floats(0.1, 5.0))
def test_the_wait_is_proportional_to_the_service_time(
    servers: int, utilization: float, quantile: float, service_s: float
) -> None:
    plain_s = wait_quantile_s(servers, utilization, 1.0, quantile, 1.5)

    assert wait_quantile_s(servers, utilization, service_s, quantile, 1.5) == pytest.approx(service_s * plain_s)


@given(SERVERS, st.floats(0.3, 0.99), st.floats(1.0, 4.0), st.floats(1.0, 4.0))
def test_burstier_traffic_never_waits_less(servers: int, utilization: float, one: float, other: float) -> None:
    low, high = sorted((one, other))

    calm_s = wait_quantile_s(servers, utilization, 1.0, 0.95, (low + 1.0) / 2, 1.0)

    assert calm_s <= wait_quantile_s(servers, utilization, 1.0, 0.95, (high + 1.0) / 2, 1.0) + 1e-9


@given(st.integers(1, 4096), UTILIZATIONS, QUANTILES, st.floats(0.0, 8.0), st.floats(0.0, 8.0))
def test_the_wait_is_a_finite_number_for_any_traffic(
    servers: int, utilization: float, quantile: float, variability: float, service_scv: float
) -> None:
    wait_s = wait_quantile_s(servers, utilization, 0.2, quantile, variability, service_scv)

    assert 0.0 <= wait_s < math.inf


@given(SERVERS, st.floats(0.01, 2.0), st.floats(0.01, 5.0), QUANTILES)
def test_the_highest_utilization_is_where_the_wait_meets_its_budget(
    servers: int, service_s: float, budget_s: float, quantile: float
) -> None:
    highest = highest_utilization(servers, service_s, budget_s, quantile)

    assert 0.0 <= highest < 1.0
    assert wait_quantile_s(servers, highest, service_s, quantile) <= budget_s
    assert wait_quantile_s(servers, highest + 1e-6, service_s, quantile) > budget_s


@given(st.floats(0.0, 60.0), st.floats(0.02, 1.0), st.floats(0.05, 5.0), QUANTILES)
def test_the_servers_for_some_work_keep_its_wait_within_budget(
    work: float, service_s: float, budget_s: float, quantile: float
) -> None:
    need, utilization = servers_for(work, service_s, budget_s, quantile)
    servers = max(math.ceil(need), 1)

    assert wait_quantile_s(servers, work / servers, service_s, quantile) <= budget_s * (1 + 1e-6)
    assert 0.0 <= utilization < 1.0


@given(st.floats(1.1, 60.0), st.floats(0.02, 1.0), st.floats(0.05, 5.0), QUANTILES)
def test_one_server_fewer_would_not_do(work: float, service_s: float, budget_s: float, quantile: float) -> None:
    fewer = math.ceil(servers_for(work, service_s, budget_s, quantile)[0]) - 1

    assert fewer == 0 or wait_quantile_s(fewer, work / fewer, service_s, quantile) > budget_s * (1 - 1e-6)


@given(st.floats(0.0, 60.0), st.floats(0.0, 5.0))
def test_more_work_never_needs_fewer_servers(work: float, more: float) -> None:
    assert servers_for(work + more, 0.2, 1.0, 0.95)[0] >= servers_for(work, 0.2, 1.0, 0.95)[0] - 1e-6


@given(st.floats(0.1, 30.0), st.floats(0.1, 3.0), st.floats(0.0, 3.0))
def test_a_tighter_budget_never_needs_fewer_servers(work: float, budget_s: float, slack_s: float) -> None:
    assert servers_for(work, 0.2, budget_s, 0.95)[0] >= servers_for(work, 0.2, budget_s + slack_s, 0.95)[0] - 1e-6


def test_no_work_needs_next_to_no_server() -> None:
    assert servers_for(0.0, 0.2, 1.0, 0.95)[0] < 0.01
