"""Replicas that cannot come: what holds whatever the pods of a pool do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.decision import Reason
from autoscaler.core.policy import Hold, HoldKind
from autoscaler.core.snapshot import PoolState
from autoscaler.core.supply import Shortage, held_bounds, limit_to_deliverable, obey
from tests.support.core import ROLE_POLICY

TICK_S = 15.0
HOUR_S = 3600.0
POLICY = replace(ROLE_POLICY, min_replicas=1, max_replicas=20, capacity_deadline_s=60.0)


@st.composite
def pods(draw: st.DrawFn) -> tuple[PoolState, int]:
    """A pool of which some serve, some start and some cannot come, and the number wanted of it."""
    current = draw(st.integers(1, 12))
    stuck = draw(st.integers(0, current))
    ready = draw(st.integers(0, current - stuck))
    unschedulable = draw(st.integers(0, stuck))
    pool = PoolState(current, ready, unschedulable=unschedulable, failing=stuck - unschedulable)
    return pool, draw(st.integers(1, 20))


@given(st.lists(pods(), min_size=1, max_size=60))
def test_what_cannot_come_takes_nothing_away_that_can(ticks: list[tuple[PoolState, int]]) -> None:
    memory = Shortage()
    for number, (pool, wanted) in enumerate(ticks):
        stage, memory = limit_to_deliverable(POLICY, pool, memory, wanted, number * TICK_S)

        comes = pool.current - pool.unschedulable - pool.failing
        assert min(wanted, comes) <= stage.after <= wanted


@given(st.lists(pods(), min_size=1, max_size=60))
def test_nothing_is_given_up_before_a_deadline_has_passed(ticks: list[tuple[PoolState, int]]) -> None:
    memory, all_came_s = Shortage(), 0.0
    for number, (pool, wanted) in enumerate(ticks):
        now = number * TICK_S
        stage, memory = limit_to_deliverable(POLICY, pool, memory, wanted, now)

        all_came_s = all_came_s if pool.unschedulable + pool.failing else now + TICK_S
        if memory.failures == 0 and now - all_came_s < POLICY.capacity_deadline_s:
            assert stage.after >= min(wanted, pool.current)


@given(st.lists(pods(), min_size=1, max_size=60))
def test_while_growth_waits_no_more_are_asked_for_than_could_serve(ticks: list[tuple[PoolState, int]]) -> None:
    memory = Shortage()
    for number, (pool, wanted) in enumerate(ticks):
        before = memory
        stage, memory = limit_to_deliverable(POLICY, pool, memory, wanted, number * TICK_S)

        comes = pool.current - pool.unschedulable - pool.failing
        most = max(before.served or 0, comes, POLICY.min_replicas)
        if stage.reason is Reason.BACKING_OFF:
            assert stage.after <= most


@pytest.mark.parametrize(
    ("pool", "reason", "words"),
    [
        (PoolState(4, 2, unschedulable=2), Reason.UNSCHEDULABLE, "2 replicas find no node"),
        (PoolState(4, 2, failing=2), Reason.REPLICAS_FAILING, "2 replicas crash or cannot pull their image"),
        (PoolState(6, 2, unschedulable=1, failing=3), Reason.REPLICAS_FAILING, "4 replicas crash"),
    ],
)
def test_what_keeps_replicas_from_coming_is_told(pool: PoolState, reason: Reason, words: str) -> None:
    held, memory = limit_to_deliverable(POLICY, pool, Shortage(), 9, 0.0)
    given_up, _ = limit_to_deliverable(POLICY, pool, memory, 9, POLICY.capacity_deadline_s)

    assert (held.reason, given_up.reason) == (reason, reason)
    assert words in held.detail
    assert words in given_up.detail


def failed_once_more(memory: Shortage, now: float) -> tuple[Shortage, float]:
    """Two of four replicas that are asked for find no node until they are given up; memory, and when that was."""
    stuck = PoolState(4, 2, unschedulable=2)
    _, memory = limit_to_deliverable(POLICY, stuck, memory, 4, now)
    now += POLICY.capacity_deadline_s
    _, memory = limit_to_deliverable(POLICY, stuck, memory, 4, now)
    return memory, now


def failed(times: int) -> tuple[Shortage, list[float]]:
    """As many attempts in a row that failed, each made when growth was retried; how long each made the next wait."""
    memory, now, waits_s = Shortage(), 0.0, []
    for _ in range(times):
        memory, now = failed_once_more(memory, now)
        assert memory.until_s is not None
        waits_s.append(memory.until_s - now)
        now = memory.until_s
    return memory, waits_s


def test_each_attempt_waits_twice_as_long_as_the_last_and_none_more_than_an_hour() -> None:
    _, waits_s = failed(7)

    assert waits_s == [300.0, 600.0, 1200.0, 2400.0, HOUR_S, HOUR_S, HOUR_S]


def test_attempts_that_failed_are_forgotten_once_more_replicas_serve_than_could() -> None:
    memory, _ = failed(3)
    assert memory.until_s is not None

    _, same = limit_to_deliverable(POLICY, PoolState(2, 2), memory, 4, memory.until_s)
    _, more = limit_to_deliverable(POLICY, PoolState(3, 3), memory, 4, memory.until_s)

    assert same.failures == 3
    assert more == Shortage()


def test_attempts_that_failed_are_forgotten_once_nothing_has_failed_for_an_hour() -> None:
    memory, _ = failed(3)
    assert memory.until_s is not None

    _, soon = limit_to_deliverable(POLICY, PoolState(2, 2), memory, 2, memory.until_s + HOUR_S - 1.0)
    _, later = limit_to_deliverable(POLICY, PoolState(2, 2), memory, 2, memory.until_s + HOUR_S)

    assert soon.failures == 3
    assert later == Shortage()


def test_what_cannot_come_takes_no_pool_below_its_minimum() -> None:
    policy, nothing = replace(POLICY, min_replicas=3), PoolState(5, 0, unschedulable=5)

    _, memory = limit_to_deliverable(policy, nothing, Shortage(), 5, 0.0)
    given_up, memory = limit_to_deliverable(policy, nothing, memory, 5, policy.capacity_deadline_s)
    waiting, _ = limit_to_deliverable(policy, PoolState(3, 0), memory, 5, policy.capacity_deadline_s + TICK_S)

    assert (given_up.after, waiting.after) == (3, 3)


def test_growth_that_waits_tells_what_could_serve_and_when_it_is_tried_again() -> None:
    memory = Shortage(until_s=100.0, failures=2, served=5)

    stage, _ = limit_to_deliverable(POLICY, PoolState(5, 5), memory, 9, now=40.0)

    assert (stage.after, stage.reason) == (5, Reason.BACKING_OFF)
    assert stage.detail == "growth beyond 5, which could serve, is retried in 60 s, after 2 failed attempts"


@pytest.mark.parametrize(
    ("wanted", "told"),
    [(7, "pinned to 7 until taken back"), (99, "pinned to 99 until taken back; the bounds allow 20")],
)
def test_a_pin_outside_of_the_bounds_tells_what_they_allow(wanted: int, told: str) -> None:
    policy = replace(POLICY, hold=Hold(HoldKind.PIN, None, wanted))

    stage = obey(policy, held_bounds(policy, 4, now=0.0), 4, now=0.0)

    assert stage.detail == told
    assert stage.after == min(wanted, 20)
