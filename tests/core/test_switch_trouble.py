"""A switch that does not do as it is told, or is moved by somebody else: given up, believed, tried again."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from autoscaler.core.decision import SwitchStep
from autoscaler.core.policy import Disaggregation
from tests.core.switch_machine import (
    AUTO,
    BETTER_APART,
    BETTER_TOGETHER,
    QUIET,
    TICK_S,
    Machine,
    needing,
    off,
    on,
)


def test_replicas_that_do_not_come_end_the_attempt() -> None:
    machine = off(BETTER_APART).wait(AUTO.sustain_s + 60)

    machine.wait(AUTO.grow_s + 60)

    assert machine.step is SwitchStep.OFF
    assert True not in machine.commands
    assert SwitchStep.GROWING_PREFILL not in machine.steps[-3:]


def test_decode_replicas_that_do_not_come_end_the_attempt_to_close() -> None:
    machine = on(BETTER_TOGETHER).grown(2, 2).wait(AUTO.sustain_s + AUTO.grow_s + 120)

    assert machine.visited == [SwitchStep.ON, SwitchStep.GROWING_DECODE, SwitchStep.ON]
    assert False not in machine.commands


def test_an_attempt_that_was_given_up_is_not_repeated_before_the_dwell_time() -> None:
    machine = off(BETTER_APART).wait(AUTO.sustain_s + AUTO.grow_s + 120)
    gave_up = len(machine.steps)

    machine.wait(AUTO.dwell_s - 300)

    assert SwitchStep.GROWING_PREFILL not in machine.steps[gave_up:]


@pytest.mark.parametrize("shown", [True, None])
def test_a_stack_that_does_not_confirm_is_taken_back_and_said_so(shown: bool | None) -> None:
    machine = on(BETTER_TOGETHER)
    machine.obedient, machine.on = False, shown
    machine.wait(AUTO.sustain_s + AUTO.confirm_s + 60)

    assert machine.step is SwitchStep.ON
    closing = machine.steps.index(SwitchStep.CLOSING)
    assert machine.commands[closing] is False
    back = machine.steps.index(SwitchStep.ON, closing)
    assert machine.commands[back] is True


def test_a_switch_that_someone_else_opened_while_prefill_ends_keeps_prefill() -> None:
    machine = on(BETTER_TOGETHER)
    machine.readings = {"prefill.in_flight": 3.0}
    machine.wait(AUTO.sustain_s + 60)
    assert machine.step is SwitchStep.DRAINING_PREFILL

    machine.on, machine.readings = True, dict(QUIET)

    assert machine.wait(TICK_S).step is SwitchStep.OBSERVING
    assert machine.wait(AUTO.observe_s + TICK_S).step is SwitchStep.ON


def unconfirmed() -> Machine:
    """An opening that the stack has not confirmed in time, although prefill gets prompts."""
    machine = off(BETTER_APART).wait(AUTO.sustain_s + 60)
    machine.obedient, machine.on, machine.readings = False, None, {"prefill.in_flight": 2.0}
    machine.grown(2, 4).wait(TICK_S + AUTO.confirm_s)
    assert machine.visited[-2:] == [SwitchStep.OPENING, SwitchStep.DRAINING_PREFILL]
    return machine


def test_an_opening_that_is_not_confirmed_is_taken_back_in_the_order_of_closing() -> None:
    machine = unconfirmed()
    assert machine.commands[-1] is False

    assert machine.wait(3600).step is SwitchStep.DRAINING_PREFILL

    machine.readings = dict(QUIET)
    assert machine.wait(AUTO.lease_s + 2 * TICK_S).step is SwitchStep.OFF


def test_an_opening_that_was_taken_back_is_not_taken_for_one_of_somebody_else() -> None:
    machine = unconfirmed()
    machine.on = True

    assert machine.wait(AUTO.confirm_s - TICK_S).step is SwitchStep.DRAINING_PREFILL
    assert set(machine.commands[-8:]) == {False}
    assert machine.wait(2 * TICK_S).step is SwitchStep.OBSERVING


def test_the_dwell_time_of_an_opening_that_was_taken_back_begins_with_that() -> None:
    machine = unconfirmed()
    machine.on, machine.readings = False, dict(QUIET)
    gave_up_s = machine.now

    while machine.step is not SwitchStep.GROWING_PREFILL:
        machine.wait(TICK_S)

    assert machine.now - gave_up_s == pytest.approx(AUTO.dwell_s, abs=2 * TICK_S)


def test_a_switch_that_cannot_be_read_is_not_taken_for_moved() -> None:
    machine = on(BETTER_TOGETHER).wait(AUTO.sustain_s - 30)
    machine.on, machine.obedient = None, False

    machine.wait(120)

    assert SwitchStep.DRAINING_PREFILL not in machine.steps


def test_a_switch_that_someone_else_closed_is_met_as_if_we_had_closed_it() -> None:
    machine = on().wait(600)
    machine.on = False

    assert machine.wait(TICK_S).step is SwitchStep.DRAINING_PREFILL
    assert machine.commands[-1] is None


def test_a_switch_that_someone_else_opened_is_watched_before_decode_shrinks() -> None:
    machine = off().wait(600)
    machine.on = True

    assert machine.wait(TICK_S).step is SwitchStep.OBSERVING
    assert machine.commands[-1] is None


@pytest.mark.parametrize(
    ("wanted", "turned"), [(Disaggregation.ON, SwitchStep.OPENING), (Disaggregation.OFF, SwitchStep.CLOSING)]
)
def test_a_fixed_position_that_the_stack_does_not_confirm_is_tried_again_after_the_dwell_time(
    wanted: Disaggregation, turned: SwitchStep
) -> None:
    policy = replace(AUTO, disaggregation=wanted)
    machine = off(policy=policy) if wanted is Disaggregation.ON else on(policy=policy)
    machine.obedient, machine.readings = False, dict(QUIET)
    machine.grown(4, 4)

    machine.wait(AUTO.dwell_s)
    assert machine.visited.count(turned) == 1
    assert "gave up" in machine.detail

    machine.wait(AUTO.confirm_s + 4 * TICK_S)
    assert machine.visited.count(turned) == 2


def test_a_fixed_position_whose_replicas_do_not_come_is_tried_again_after_the_dwell_time() -> None:
    machine = off(policy=replace(AUTO, disaggregation=Disaggregation.ON)).wait(AUTO.grow_s + 60)
    assert machine.step is SwitchStep.OFF

    machine.wait(AUTO.dwell_s - 120)
    assert machine.step is SwitchStep.OFF
    assert set(machine.commands) == {None}

    assert machine.wait(120).step is SwitchStep.GROWING_PREFILL


def test_replicas_that_are_there_when_the_deadline_passes_have_come() -> None:
    """`grow` may be shorter than a tick, and a tick may be late."""
    hasty = replace(AUTO, grow_s=TICK_S / 2)
    machine = on(BETTER_TOGETHER, hasty)
    while SwitchStep.GROWING_DECODE not in machine.steps:
        machine.wait(TICK_S)

    machine.grown(2, 40).wait(TICK_S)

    assert machine.step is SwitchStep.CLOSING


@pytest.mark.parametrize(("apart", "together"), [(math.inf, 20.0), (20.0, math.inf), (math.inf, math.inf)])
def test_what_no_number_of_gpus_can_do_is_said_without_one(apart: float, together: float) -> None:
    machine = on(needing(apart, together)).wait(TICK_S)

    assert "meets the objectives with no number of GPUs" in machine.detail
    assert machine.gpus == tuple(gpus if math.isfinite(gpus) else None for gpus in (apart, together))
