"""Replicas that cannot come: what holds whatever the pods of a pool do."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.decision import Reason
from autoscaler.core.snapshot import PoolState
from autoscaler.core.supply import Shortage, limit_to_deliverable
from tests.support.core import ROLE_POLICY

TICK_S = 15.0
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
