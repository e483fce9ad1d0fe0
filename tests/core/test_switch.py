"""The disaggregation switch: both safe orders, confirmation, and what it waits for."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core import codec
from autoscaler.core.arrangement import Comparison
from autoscaler.core.decision import SwitchStep
from autoscaler.core.policy import Disaggregation, Role
from autoscaler.core.snapshot import PoolState
from autoscaler.core.state import SwitchState
from autoscaler.core.switch import advance
from tests.core.switch_machine import (
    AUTO,
    BETTER_APART,
    BETTER_TOGETHER,
    LEVEL,
    QUIET,
    TICK_S,
    Machine,
    needing,
    off,
    on,
)
from tests.support.core import START_S, Missing, Reading, snapshot


@pytest.mark.parametrize(("shown", "step"), [(True, SwitchStep.ON), (False, SwitchStep.OFF), (None, SwitchStep.ON)])
def test_it_begins_with_what_the_stack_shows(shown: bool | None, step: SwitchStep) -> None:
    assert Machine(on=shown).look().step is step


def test_what_is_not_worth_a_change_changes_nothing() -> None:
    machine = on(needing(16.0, 15.0)).wait(3 * 3600)

    assert machine.visited == [SwitchStep.ON]
    assert "within 15%, not worth a change" in machine.detail


def test_costs_that_are_unknown_change_nothing() -> None:
    assert on(None).wait(3 * 3600).visited == [SwitchStep.ON]


def test_off_grows_decode_then_closes_then_lets_prefill_go() -> None:
    machine = on(BETTER_TOGETHER)
    machine.readings = {"prefill.in_flight": 3.0}
    machine.wait(AUTO.sustain_s + 60)
    assert machine.step is SwitchStep.DRAINING_PREFILL
    assert machine.on is False

    machine.readings = dict(QUIET)
    machine.wait(AUTO.lease_s + 2 * TICK_S)

    assert machine.visited == [
        SwitchStep.ON,
        SwitchStep.GROWING_DECODE,
        SwitchStep.CLOSING,
        SwitchStep.DRAINING_PREFILL,
        SwitchStep.OFF,
    ]


def test_on_grows_prefill_then_opens_then_watches() -> None:
    machine = off(BETTER_APART).wait(AUTO.sustain_s + 60)
    assert machine.step is SwitchStep.GROWING_PREFILL
    assert machine.on is False

    machine.grown(2, 4).wait(AUTO.observe_s + 4 * TICK_S)

    assert machine.on is True
    assert machine.visited == [
        SwitchStep.OFF,
        SwitchStep.GROWING_PREFILL,
        SwitchStep.OPENING,
        SwitchStep.OBSERVING,
        SwitchStep.ON,
    ]


def test_the_switch_is_not_opened_before_prefill_serves() -> None:
    machine = off(BETTER_APART).wait(AUTO.sustain_s + 60)
    machine.prefill = PoolState(2, 0)

    machine.wait(600)

    assert True not in machine.commands


def test_the_switch_is_not_closed_before_decode_has_grown() -> None:
    machine = on(needing(40.0, 30.0)).wait(AUTO.sustain_s + 600)

    assert machine.step is SwitchStep.GROWING_DECODE
    assert False not in machine.commands
    assert "waits for 8 decode replicas, 4 serve" in machine.detail


@pytest.mark.parametrize(
    ("step", "does"),
    [
        (SwitchStep.ON, False),
        (SwitchStep.GROWING_DECODE, False),
        (SwitchStep.OFF, True),
        (SwitchStep.OPENING, True),
        (SwitchStep.OBSERVING, True),
    ],
)
def test_decode_is_sized_for_both_phases_until_prefill_has_proved_itself(step: SwitchStep, does: bool) -> None:
    assert step.decode_does_prefill is does


@pytest.mark.parametrize("step", [SwitchStep.CLOSING, SwitchStep.DRAINING_PREFILL])
def test_decode_is_sized_for_both_phases_from_the_moment_the_switch_closes(step: SwitchStep) -> None:
    assert step.decode_does_prefill


def test_an_advantage_must_last() -> None:
    machine = on(BETTER_TOGETHER).wait(AUTO.sustain_s - 60)
    assert machine.step is SwitchStep.ON

    machine.comparison = LEVEL
    machine.wait(TICK_S)
    machine.comparison = BETTER_TOGETHER
    machine.wait(AUTO.sustain_s - 60)

    assert machine.visited == [SwitchStep.ON]
    assert "changes after 1800 s" in machine.detail


def test_two_changes_keep_their_distance() -> None:
    machine = off(BETTER_APART).wait(AUTO.sustain_s + 60)
    machine.grown(2, 4).wait(AUTO.observe_s + 4 * TICK_S)
    assert machine.step is SwitchStep.ON
    changed_s = machine.now

    machine.comparison = needing(16.0, 8.0)
    while machine.step is SwitchStep.ON:
        machine.wait(TICK_S)

    assert machine.now - changed_s >= AUTO.dwell_s - 4 * TICK_S


@pytest.mark.parametrize(
    "busy",
    [PoolState(5, 4), PoolState(4, 4, terminating=1), PoolState(4, 4, updating=True)],
    ids=["start", "end", "roll"],
)
def test_no_change_begins_while_a_scaling_is_under_way(busy: PoolState) -> None:
    machine = on(BETTER_TOGETHER)
    machine.decode = busy
    machine.wait(AUTO.sustain_s + 600)
    assert machine.visited == [SwitchStep.ON]
    assert "waits for a scaling under way" in machine.detail

    machine.grown(2, 4).wait(TICK_S)

    assert machine.visited == [SwitchStep.ON, SwitchStep.GROWING_DECODE]


@pytest.mark.parametrize("name", ["prefill.queue_depth", "prefill.in_flight"])
@pytest.mark.parametrize("reading", [1.0, Missing.ABSENT, Missing.STALE])
def test_prefill_is_not_let_go_while_it_may_be_working(name: str, reading: Reading) -> None:
    machine = on(BETTER_TOGETHER)
    machine.readings = {**QUIET, name: reading}

    machine.wait(AUTO.sustain_s + 3600)

    assert machine.step is SwitchStep.DRAINING_PREFILL
    assert "waits until prefill is idle" in machine.detail


@pytest.mark.parametrize(
    ("left", "gone"),
    [
        (PoolState(0, 0), True),
        (PoolState(1, 0), False),
        (PoolState(0, 1), False),
        (PoolState(0, 0, terminating=1), False),
    ],
    ids=["none", "one starts", "one serves", "one ends"],
)
def test_prefill_that_has_no_replica_left_is_not_waited_for(left: PoolState, gone: bool) -> None:
    machine = on(BETTER_TOGETHER)
    machine.readings = {"prefill.in_flight": Missing.ABSENT}
    machine.wait(AUTO.sustain_s + 60)
    assert machine.step is SwitchStep.DRAINING_PREFILL

    machine.prefill = left

    assert (machine.wait(TICK_S).visited[-1] is SwitchStep.OFF) is gone


def test_a_late_request_starts_the_lease_anew() -> None:
    machine = on(BETTER_TOGETHER)
    machine.readings = dict(QUIET)
    while machine.step is not SwitchStep.DRAINING_PREFILL:
        machine.wait(TICK_S)
    machine.wait(AUTO.lease_s - TICK_S)
    machine.readings = {**QUIET, "prefill.in_flight": 1.0}
    machine.wait(TICK_S)
    machine.readings = dict(QUIET)

    assert machine.wait(AUTO.lease_s).step is SwitchStep.DRAINING_PREFILL
    assert machine.wait(2 * TICK_S).step is SwitchStep.OFF


def test_a_fixed_position_is_taken_up_at_once_by_the_safe_order() -> None:
    machine = on(needing(12.0, 16.0), replace(AUTO, disaggregation=Disaggregation.OFF))
    machine.readings = dict(QUIET)

    machine.wait(300)

    assert machine.visited[:3] == [SwitchStep.GROWING_DECODE, SwitchStep.CLOSING, SwitchStep.DRAINING_PREFILL]
    assert machine.on is False


def test_a_fixed_position_that_is_held_moves_nothing() -> None:
    machine = on(BETTER_TOGETHER, replace(AUTO, disaggregation=Disaggregation.ON)).wait(3 * 3600)

    assert set(machine.commands) == {None}


@pytest.mark.parametrize("begin", [on, off])
def test_a_restart_in_any_step_goes_on_where_it_stopped(begin: object) -> None:
    def change(*, restarting: bool) -> list[SwitchStep]:
        machine = on(BETTER_TOGETHER) if begin is on else off(BETTER_APART)
        machine.readings = dict(QUIET)
        if begin is off:
            machine.wait(AUTO.sustain_s + 60).grown(2, 4)
        for _ in range(400):
            if restarting:
                machine.memory = codec.decode(SwitchState, json.loads(json.dumps(codec.encode(machine.memory))))
            machine.wait(TICK_S)
        return machine.steps

    assert change(restarting=True) == change(restarting=False)


COMPARISONS = st.none() | st.builds(needing, st.floats(1.0, 100.0), st.floats(1.0, 100.0))


LOOKS = st.tuples(
    COMPARISONS,
    st.sampled_from([True, False, None]),
    st.integers(0, 6),
    st.integers(1, 10),
    st.sampled_from([15.0, 600.0, 4000.0, -600.0]),
    st.booleans(),
)


@given(
    st.sampled_from(Disaggregation),
    st.lists(LOOKS, max_size=30),
)
def test_no_prefill_is_let_go_while_the_switch_is_open_and_none_opens_without_prefill(
    wanted: Disaggregation, looks: list[tuple[Comparison | None, bool | None, int, int, float, bool]]
) -> None:
    """Whatever the stack shows, the pools do and the clock says."""
    memory, now = SwitchState(), START_S
    policy = replace(AUTO, disaggregation=wanted)
    for comparison, shown, prefill, decode, elapsed_s, idle in looks:
        now += elapsed_s
        seen = snapshot(QUIET if idle else {}, prefill=prefill, decode=decode, at_s=now)
        before = memory
        decided, memory = advance(policy, replace(seen, disaggregated=shown), comparison, memory, now)
        if decided.disaggregate is True and not memory.given_up:
            assert before.step in {SwitchStep.GROWING_PREFILL, SwitchStep.OPENING}
            assert before.step is not SwitchStep.GROWING_PREFILL or prefill >= before.prefill_floor >= 1
        if decided.disaggregate is False and not memory.given_up:
            assert before.step in {SwitchStep.GROWING_DECODE, SwitchStep.CLOSING}
            assert before.step is not SwitchStep.GROWING_DECODE or decode >= before.decode_floor
        if decided.step is SwitchStep.DRAINING_PREFILL and before.step is SwitchStep.CLOSING:
            assert shown is False


def test_the_roles_of_a_snapshot_without_pools_hold_a_change_back() -> None:
    machine = off(BETTER_APART).wait(AUTO.sustain_s + 60)
    seen = replace(snapshot({}, at_s=machine.now), pools={Role.DECODE: PoolState(4, 4)}, disaggregated=False)

    decided, _ = advance(AUTO, seen, BETTER_APART, machine.memory, machine.now)

    assert decided.step is SwitchStep.GROWING_PREFILL
    assert decided.disaggregate is None
