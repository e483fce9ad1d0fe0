"""The disaggregation switch: both safe orders, confirmation, giving up, and what it waits for."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.core import codec
from autoscaler.core.arrangement import Comparison
from autoscaler.core.decision import SwitchStep
from autoscaler.core.policy import Disaggregation, Role, SwitchPolicy
from autoscaler.core.snapshot import PoolState
from autoscaler.core.state import SwitchState
from autoscaler.core.switch import advance
from tests.support.core import START_S, Missing, Reading, snapshot

AUTO = SwitchPolicy()
TICK_S = 15.0
QUIET: dict[str, Reading] = {"prefill.queue_depth": 0.0, "prefill.in_flight": 0.0}


def needing(apart: float, together: float) -> Comparison:
    """GPUs of both arrangements, of four a replica; prefill takes a quarter of those that are apart."""
    return Comparison(apart, together, apart / 16.0, apart * 3 / 16.0, together / 4.0)


BETTER_TOGETHER = needing(16.0, 12.0)
BETTER_APART = needing(12.0, 16.0)
LEVEL = needing(16.0, 16.0)


@dataclass
class Machine:
    """A switch, its pools and the stack that it moves, on a fake clock."""

    policy: SwitchPolicy = AUTO
    comparison: Comparison | None = LEVEL
    on: bool | None = True
    obedient: bool = True
    prefill: PoolState = field(default_factory=lambda: PoolState(2, 2))
    decode: PoolState = field(default_factory=lambda: PoolState(4, 4))
    readings: dict[str, Reading] = field(default_factory=dict)
    memory: SwitchState = field(default_factory=SwitchState)
    now: float = START_S
    commands: list[bool | None] = field(default_factory=list)
    steps: list[SwitchStep] = field(default_factory=list)
    detail: str = ""

    def look(self) -> Self:
        """One decision, which the stack then obeys or not."""
        seen = replace(
            snapshot(self.readings, prefill=self.prefill, decode=self.decode, at_s=self.now), disaggregated=self.on
        )
        decided, self.memory = advance(self.policy, seen, self.comparison, self.memory, self.now)
        self.commands.append(decided.disaggregate)
        self.steps.append(decided.step)
        self.detail = decided.detail
        if decided.disaggregate is not None and self.obedient:
            self.on = decided.disaggregate
        return self

    def wait(self, seconds: float) -> Self:
        """Look every quarter of a minute until so much time has passed."""
        until = self.now + seconds
        while self.now < until:
            self.now += TICK_S
            self.look()
        return self

    def grown(self, prefill: int, decode: int) -> Self:
        self.prefill, self.decode = PoolState(prefill, prefill), PoolState(decode, decode)
        return self

    @property
    def step(self) -> SwitchStep:
        return self.steps[-1]

    @property
    def visited(self) -> list[SwitchStep]:
        """The steps in order, each once."""
        return [step for index, step in enumerate(self.steps) if index == 0 or step is not self.steps[index - 1]]


def on(comparison: Comparison | None = LEVEL, policy: SwitchPolicy = AUTO) -> Machine:
    return Machine(policy, comparison).look()


def off(comparison: Comparison | None = LEVEL, policy: SwitchPolicy = AUTO) -> Machine:
    machine = Machine(policy, comparison, on=False)
    machine.prefill = PoolState(0, 0)
    return machine.look()


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


def test_replicas_that_do_not_come_end_the_attempt() -> None:
    machine = off(BETTER_APART).wait(AUTO.sustain_s + 60)

    machine.wait(AUTO.grow_s + 60)

    assert machine.step is SwitchStep.OFF
    assert True not in machine.commands
    assert SwitchStep.GROWING_PREFILL not in machine.steps[-3:]


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


@pytest.mark.parametrize("name", ["prefill.queue_depth", "prefill.in_flight"])
@pytest.mark.parametrize("reading", [1.0, Missing.ABSENT, Missing.STALE])
def test_prefill_is_not_let_go_while_it_may_be_working(name: str, reading: Reading) -> None:
    machine = on(BETTER_TOGETHER)
    machine.readings = {**QUIET, name: reading}

    machine.wait(AUTO.sustain_s + 3600)

    assert machine.step is SwitchStep.DRAINING_PREFILL
    assert "waits until prefill is idle" in machine.detail


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


@settings(deadline=None)
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
