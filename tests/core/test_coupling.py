"""Guards over several pools and services: ratio band, GPU budget, a budget that services share."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.coupling import Claim, Counts, fit, in_budget, share
from autoscaler.core.policy import RatioBand, Role, RolePolicy
from autoscaler.core.snapshot import PoolState
from tests.support.core import ROLE_POLICY

PREFILL, DECODE = Role.PREFILL, Role.DECODE


def policies(gpus: tuple[float, float] = (1.0, 1.0), most: int = 40, least: int = 1) -> dict[Role, RolePolicy]:
    return {
        role: replace(ROLE_POLICY, gpus_per_replica=cost, min_replicas=least, max_replicas=most)
        for role, cost in zip((PREFILL, DECODE), gpus, strict=True)
    }


def pools(prefill: int, decode: int, *, terminating: int = 0) -> dict[Role, PoolState]:
    return {PREFILL: PoolState(prefill, prefill), DECODE: PoolState(decode, decode, terminating=terminating)}


def counts(prefill: int, decode: int) -> dict[Role, int]:
    return {PREFILL: prefill, DECODE: decode}


def both(fitted: Counts) -> tuple[int, int]:
    return fitted[PREFILL], fitted[DECODE]


# Band


@pytest.mark.parametrize(
    ("prefill", "decode", "holds"),
    [(1, 2, True), (2, 1, True), (3, 1, False), (1, 3, False), (0, 0, True), (0, 1, False), (1, 0, False)],
)
def test_a_band_holds_from_its_least_to_its_most(prefill: int, decode: int, holds: bool) -> None:
    assert RatioBand(0.5, 2.0).holds(prefill, decode) is holds


def test_a_band_that_float_arithmetic_misses_by_a_hair_holds() -> None:
    assert RatioBand(0.1, 0.1 + 0.2).holds(3, 10)


@pytest.mark.parametrize(
    ("wanted", "fitted"),
    [
        pytest.param((4, 4), (4, 4), id="inside already"),
        pytest.param((8, 2), (8, 4), id="too little decode"),
        pytest.param((1, 9), (5, 9), id="too little prefill"),
        pytest.param((0, 0), (0, 0), id="nothing at all"),
    ],
)
def test_a_pair_outside_of_the_band_is_repaired_by_growth(wanted: tuple[int, int], fitted: tuple[int, int]) -> None:
    assert both(fit(RatioBand(0.5, 2.0), None, policies(), pools(*wanted), counts(*wanted))) == fitted


@pytest.mark.parametrize(
    ("bounded", "wanted", "fitted"),
    [pytest.param(DECODE, (9, 2), (6, 3), id="of decode"), pytest.param(PREFILL, (2, 9), (3, 6), id="of prefill")],
)
def test_the_band_is_repaired_by_shrinking_where_a_maximum_blocks_growth(
    bounded: Role, wanted: tuple[int, int], fitted: tuple[int, int]
) -> None:
    bounds = policies()
    bounds[bounded] = replace(bounds[bounded], max_replicas=3)

    assert both(fit(RatioBand(0.5, 2.0), None, bounds, pools(*wanted), counts(*wanted))) == fitted


# Budget


def test_what_drains_still_holds_its_gpus() -> None:
    assert in_budget(8.0, policies(), pools(4, 2, terminating=2), counts(4, 2))
    assert not in_budget(8.0, policies(), pools(4, 2, terminating=2), counts(5, 2))


def test_what_one_pool_gives_up_is_not_free_for_the_other_in_the_same_step() -> None:
    assert not in_budget(8.0, policies(), pools(6, 2), counts(4, 4))
    assert in_budget(8.0, policies(), pools(4, 2), counts(4, 4))


def test_a_service_over_its_budget_may_shrink_towards_it() -> None:
    assert in_budget(8.0, policies(), pools(6, 6), counts(4, 4))


def test_a_pool_is_paid_by_what_its_replicas_cost() -> None:
    assert in_budget(24.0, policies((4.0, 8.0)), pools(2, 1), counts(2, 2))
    assert not in_budget(24.0, policies((4.0, 8.0)), pools(2, 1), counts(3, 2))


def test_a_budget_that_minima_and_pools_exceed_at_least_grows_nothing() -> None:
    fitted = fit(None, 4.0, policies(least=3), pools(4, 5), counts(6, 4))

    assert fitted[PREFILL] <= 4
    assert fitted[DECODE] <= 5


def test_a_budget_below_the_minima_takes_no_pool_below_its_own_with_a_band_either() -> None:
    fitted = fit(RatioBand(0.1, 2.0), 3.0, policies(least=2), pools(3, 3), counts(3, 3))

    assert both(fitted) == (3, 3)


def test_a_short_budget_is_shared_by_both_pools() -> None:
    fitted = fit(None, 12.0, policies(), pools(1, 1), counts(10, 20))

    assert fitted[PREFILL] >= 3
    assert fitted[DECODE] >= 6, fitted


def test_what_a_service_is_over_its_budget_is_cut_off_both_pools() -> None:
    fitted = fit(None, 12.0, policies(), pools(10, 10), counts(10, 10))

    assert min(both(fitted)) >= 4, fitted


def test_wide_bounds_are_fitted_in_time() -> None:
    began_s = time.process_time()
    fit(RatioBand(0.5, 2.0), 900.0, policies(most=700), pools(300, 100), counts(500, 100))

    assert time.process_time() - began_s < 0.2


PAIRS = st.tuples(st.integers(1, 20), st.integers(1, 20))


@given(PAIRS, PAIRS, st.floats(2.0, 60.0), st.floats(0.2, 2.0), st.floats(1.0, 4.0), st.integers(0, 3))
def test_a_fitted_pair_is_inside_of_bounds_band_and_budget_or_no_larger_than_what_is_there(
    wanted: tuple[int, int], current: tuple[int, int], budget: float, low: float, spread: float, terminating: int
) -> None:
    band, there = RatioBand(low, low * spread), pools(*current, terminating=terminating)
    bounded = policies(most=20)

    fitted = fit(band, budget, bounded, there, counts(*wanted))

    assert all(1 <= count <= 20 for count in fitted.values())
    assert (band.holds(*both(fitted)) and in_budget(budget, bounded, there, fitted)) or all(
        fitted[role] <= there[role].current for role in fitted
    )


# Shared budget

CLAIMS = st.lists(
    st.builds(
        lambda name, priority, floor, more, held: Claim(name, priority, floor, held, floor + more),
        *(st.uuids().map(str), st.integers(0, 2), st.floats(0.0, 8.0), st.floats(0.0, 40.0), st.floats(0.0, 40.0)),
    ),
    max_size=5,
)


def claim(name: str, wanted: float, *, held: float = 0.0, floor: float = 0.0, priority: int = 0) -> Claim:
    return Claim(name, priority, floor, held, wanted)


def test_enough_for_all_grants_what_each_wants() -> None:
    assert share([claim("a", 8.0), claim("b", 4.0)], 16.0) == {"a": 8.0, "b": 4.0}


def test_a_single_gpu_is_granted_to_who_lacks_no_more() -> None:
    assert share([claim("a", 2.0, held=1.0), claim("b", 1.0, held=1.0)], 4.0) == {"a": 2.0, "b": 1.0}


def test_too_little_is_shared_in_proportion_to_what_each_lacks() -> None:
    assert share([claim("a", 12.0), claim("b", 4.0)], 8.0) == {"a": 6.0, "b": 2.0}


def test_floors_come_first() -> None:
    assert share([claim("a", 20.0), claim("b", 4.0, floor=4.0)], 8.0) == {"a": 4.0, "b": 4.0}


def test_a_higher_priority_is_served_first() -> None:
    assert share([claim("a", 6.0), claim("b", 6.0, priority=1)], 8.0) == {"a": 2.0, "b": 6.0}


def test_what_a_service_is_about_to_release_is_not_free_yet() -> None:
    assert share([claim("a", 0.0, held=6.0), claim("b", 8.0)], 8.0)["b"] == 2.0


@given(CLAIMS, st.floats(0.0, 120.0))
def test_nobody_gets_less_than_its_floor_or_more_than_it_wants(claims: list[Claim], budget: float) -> None:
    granted = share(claims, budget)

    for item in claims:
        assert item.floor_gpus - 1e-9 <= granted[item.service] <= max(item.wanted_gpus, item.floor_gpus) + 1e-9


@given(CLAIMS, st.floats(0.0, 120.0))
def test_the_sum_of_what_is_granted_stays_inside_of_the_budget(claims: list[Claim], budget: float) -> None:
    floors = sum(item.floor_gpus for item in claims)

    assert sum(share(claims, budget).values()) <= max(budget, floors) + 1e-6


def test_what_is_granted_can_be_paid_before_anyone_has_released_anything() -> None:
    claims = [claim("a", 4.0, held=10.0, floor=2.0), claim("b", 10.0, held=2.0, floor=2.0)]

    granted = share(claims, 12.0)

    assert sum(max(item.held_gpus, granted[item.service]) for item in claims) <= 12.0
