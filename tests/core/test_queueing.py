from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.queueing import probability_of_waiting, servers_for, share_waiting_longer
from tests.support.queueing import wait_quantile_s

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
    assert probability_of_waiting(4, 1.2) == 1.0
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


@given(SERVERS, UTILIZATIONS, st.floats(0.0, 5.0), st.floats(0.0, 5.0))
def test_fewer_wait_longer_the_longer_the_wait_asked_about(
    servers: int, utilization: float, wait_s: float, more_s: float
) -> None:
    share = share_waiting_longer(servers, utilization, 0.2, wait_s)

    assert 0.0 <= share_waiting_longer(servers, utilization, 0.2, wait_s + more_s) <= share <= 1.0


@pytest.mark.parametrize(("variability", "service_scv"), [(0.3, 0.0), (0.5, 0.0), (0.8, 0.6), (1.0, 1.0), (3.0, 3.0)])
def test_variability_of_unknown_origin_is_half_of_service_and_arrivals_are_poisson_at_least(
    variability: float, service_scv: float
) -> None:
    told = share_waiting_longer(4, 0.8, 0.2, 0.1, variability, service_scv)

    assert share_waiting_longer(4, 0.8, 0.2, 0.1, variability) == pytest.approx(told)


def test_arrivals_are_never_taken_for_smoother_than_poisson() -> None:
    assert share_waiting_longer(4, 0.8, 0.2, 0.1, 0.1, 0.0) == share_waiting_longer(4, 0.8, 0.2, 0.1, 0.5, 0.0)


def test_a_wait_too_short_for_a_number_is_none() -> None:
    assert share_waiting_longer(1, 0.9, 10.0, 5e-324) == share_waiting_longer(1, 0.9, 10.0, 0.0)


def test_work_that_takes_no_time_keeps_nobody_waiting() -> None:
    assert share_waiting_longer(1, 0.9, 0.0, 0.1) == 0.0


LEVELS = st.lists(st.floats(0.0, 60.0), min_size=1, max_size=6).map(sorted)
MISSED = st.sampled_from([0.01, 0.05, 0.2])


def expected_missed(levels: list[float], servers: int, service_s: float, budget_s: float) -> float:
    shares = [share_waiting_longer(servers, level / servers, service_s, budget_s) for level in levels]
    return sum(shares) / len(levels)


@given(LEVELS, st.floats(0.02, 1.0), st.floats(0.05, 5.0), MISSED)
def test_no_more_wait_too_long_than_may_in_the_mean_over_all_levels(
    levels: list[float], service_s: float, budget_s: float, missed: float
) -> None:
    need, expected = servers_for(levels, service_s, budget_s, missed)
    servers = max(math.ceil(need), 1)

    assert expected <= missed
    assert expected_missed(levels, servers, service_s, budget_s) == pytest.approx(expected, abs=1e-5)


@given(LEVELS, st.floats(0.02, 1.0), st.floats(0.05, 5.0), MISSED)
def test_one_server_fewer_would_not_do(levels: list[float], service_s: float, budget_s: float, missed: float) -> None:
    fewer = math.ceil(servers_for(levels, service_s, budget_s, missed)[0]) - 1

    assert fewer <= 0 or expected_missed(levels, fewer, service_s, budget_s) > missed - 1e-5


@given(LEVELS, st.floats(0.0, 5.0), MISSED)
def test_more_work_never_needs_fewer_servers(levels: list[float], more: float, missed: float) -> None:
    heavier = [level + more for level in levels]

    assert servers_for(heavier, 0.2, 1.0, missed)[0] >= servers_for(levels, 0.2, 1.0, missed)[0] - 1e-6


@given(LEVELS, st.floats(0.1, 3.0), st.floats(0.0, 3.0))
def test_a_tighter_budget_never_needs_fewer_servers(levels: list[float], budget_s: float, slack_s: float) -> None:
    tight, _ = servers_for(levels, 0.2, budget_s, 0.05)

    assert tight >= servers_for(levels, 0.2, budget_s + slack_s, 0.05)[0] - 1e-6


@given(LEVELS, st.floats(0.002, 0.3), st.floats(0.002, 0.3))
def test_who_may_miss_more_never_needs_more_servers(levels: list[float], one: float, other: float) -> None:
    few, many = sorted((one, other))

    assert servers_for(levels, 0.2, 1.0, many)[0] <= servers_for(levels, 0.2, 1.0, few)[0] + 1e-6


def test_a_level_that_is_rare_enough_may_outrun_the_servers() -> None:
    usual = [4.0] * 15

    assert servers_for([*usual, 12.0], 0.2, 1.0, 0.1)[0] < 6.0
    assert servers_for([*usual, 12.0], 0.2, 1.0, 0.01)[0] > 12.0


def test_a_pool_of_thousands_is_sized_like_several_of_a_hundred() -> None:
    small, hundred, thousands = (servers_for([work], 0.2, 1.0, 0.05)[0] / work for work in (64.0, 128.0, 3000.0))

    assert 1.0 < thousands < 1.1
    assert thousands == pytest.approx(hundred)
    assert hundred < small


@given(st.floats(1.2, 60.0), st.floats(0.05, 0.95))
def test_the_fraction_tells_how_near_one_server_fewer_is_to_being_enough(work: float, place: float) -> None:
    servers = math.ceil(work) + 1
    enough, too_few = (expected_missed([work], count, 0.2, 0.1) for count in (servers, servers - 1))

    between = enough**place * too_few ** (1.0 - place)

    assert servers_for([work], 0.2, 0.1, between)[0] == pytest.approx(servers - 1 + place, abs=0.01)


def test_one_server_that_is_enough_is_needed_as_far_as_there_is_work() -> None:
    assert servers_for([0.1, 0.3], 0.2, 5.0, 0.05)[0] == 0.3
    assert servers_for([0.1] * 15 + [1.5], 0.2, 5.0, 0.1)[0] == 1.0


def test_no_work_needs_no_server() -> None:
    assert servers_for([0.0], 0.2, 1.0, 0.05)[0] == 0.0
