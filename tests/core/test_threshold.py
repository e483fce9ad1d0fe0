"""The prompt-length threshold: what each costs, and how it moves."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Self

import pytest

from autoscaler.core.arrangement import Load, compare
from autoscaler.core.decision import SwitchStep
from autoscaler.core.engines import find_engine
from autoscaler.core.lengths import PromptLengths
from autoscaler.core.policy import Disaggregation, LatencyObjective, Objectives, Role, SwitchPolicy
from autoscaler.core.snapshot import PoolState
from autoscaler.core.state import ThresholdState
from autoscaler.core.threshold import Sized, advance, local_load, size, stage, step_of
from tests.support.core import START_S, snapshot

ENGINE = find_engine("llama-3.1-70b", "h100", 4)[1]
OBJECTIVES = Objectives(LatencyObjective(0.95, 2.0), LatencyObjective(0.95, 0.05), 0.99)
LENGTHS = PromptLengths(1500.0, 1.2)
LOAD = Load(20.0, LENGTHS.tokens_above(0.0), LENGTHS.tokens_above(0.0), 250.0)
GPUS = (4.0, 4.0)
POLICY = SwitchPolicy(Disaggregation.THRESHOLD)
TICK_S = 15.0


def sized(tokens: float, load: Load = LOAD, objectives: Objectives = OBJECTIVES) -> Sized:
    return size(ENGINE, ENGINE, GPUS, load, LENGTHS, objectives, tokens)


# What a threshold costs


def test_a_threshold_of_zero_is_disaggregation_of_all() -> None:
    alike = PromptLengths(2000.0, 1e-3)
    load = Load(20.0, 2000.0, 2000.0, 250.0)
    apart = compare(ENGINE, ENGINE, GPUS, load, OBJECTIVES)

    found = size(ENGINE, ENGINE, GPUS, load, alike, OBJECTIVES, 0.0)

    assert found.prefill_replicas == pytest.approx(apart.prefill_replicas, rel=0.01)
    assert found.decode_replicas == pytest.approx(apart.decode_replicas, rel=0.1)


def test_a_threshold_above_every_prompt_needs_no_prefill() -> None:
    alike = PromptLengths(500.0, 1e-3)
    load = Load(20.0, 500.0, 500.0, 250.0)
    together = compare(ENGINE, ENGINE, GPUS, load, OBJECTIVES)

    found = size(ENGINE, ENGINE, GPUS, load, alike, OBJECTIVES, 1024.0)

    assert found.prefill_replicas == 0.0
    assert found.decode_replicas == pytest.approx(together.together_replicas, rel=0.01)


def test_prefill_falls_and_decode_rises_with_the_threshold() -> None:
    steps = [sized(tokens) for tokens in POLICY.thresholds_tokens]

    assert [item.prefill_replicas for item in steps] == sorted((item.prefill_replicas for item in steps), reverse=True)
    assert [item.decode_replicas for item in steps] == sorted(item.decode_replicas for item in steps)


def test_a_prompt_that_decode_could_not_prefill_in_time_forbids_its_threshold() -> None:
    strict = replace(OBJECTIVES, ttft=LatencyObjective(0.95, 0.5))

    assert math.isfinite(sized(0.0, objectives=strict).gpus)
    assert math.isinf(sized(16384.0, objectives=strict).gpus)


def test_decode_gets_the_tokens_of_short_prompts_alone() -> None:
    assert local_load(LOAD, LENGTHS, 0.0).uncached_tokens == pytest.approx(0.0)
    assert local_load(LOAD, LENGTHS, math.inf).uncached_tokens == pytest.approx(LOAD.uncached_tokens)


def test_what_a_cache_holds_need_not_be_computed_at_prefill() -> None:
    cached = replace(LOAD, uncached_tokens=0.25 * LOAD.uncached_tokens)

    assert sized(1024.0, cached).prefill_replicas < 0.5 * sized(1024.0).prefill_replicas


# How it moves


@dataclass
class Dial:
    """A threshold that moves where it is told to, and its pools, on a fake clock."""

    candidates: list[Sized]
    policy: SwitchPolicy = POLICY
    memory: ThresholdState = field(default_factory=ThresholdState)
    prefill: PoolState = field(default_factory=lambda: PoolState(4, 4))
    decode: PoolState = field(default_factory=lambda: PoolState(2, 2))
    shown: float | None = 0.0
    follows: bool = True
    now: float = START_S
    steps: list[SwitchStep] = field(default_factory=list)
    commands: list[float | None] = field(default_factory=list)
    detail: str = ""

    def wait(self, seconds: float, *, blocked: str = "") -> Self:
        until = self.now + seconds
        while self.now < until:
            self.now += TICK_S
            seen = replace(
                snapshot(prefill=self.prefill, decode=self.decode, at_s=self.now), threshold_tokens=self.shown
            )
            decided, self.memory = advance(self.policy, seen, self.candidates, self.memory, self.now, blocked=blocked)
            self.steps.append(decided.step)
            self.commands.append(decided.threshold_tokens)
            self.shown = decided.threshold_tokens if self.follows and decided.threshold_tokens else self.shown
            self.detail = decided.detail
        return self


CHEAPER = [Sized(0.0, 20.0, 4.0, 1.0), Sized(2048.0, 14.0, 1.5, 2.0), Sized(8192.0, math.inf, 1.0, 3.0)]


def test_the_cheapest_threshold_that_lasts_is_taken() -> None:
    dial = Dial(CHEAPER).wait(POLICY.sustain_s - 60)
    assert set(dial.commands) == {0.0}

    dial.wait(120)

    assert dial.commands[-1] == 2048.0
    assert dial.steps[-1] is SwitchStep.OBSERVING


def test_nothing_moves_for_less_than_the_dead_zone() -> None:
    dial = Dial([Sized(0.0, 15.0, 4.0, 1.0), Sized(2048.0, 14.0, 1.5, 2.0)]).wait(4 * POLICY.sustain_s)

    assert set(dial.commands) == {0.0}
    assert "not worth a move" in dial.detail


def test_the_pools_grow_before_the_threshold_moves() -> None:
    dial = Dial(CHEAPER, decode=PoolState(1, 1)).wait(POLICY.sustain_s + 120)
    assert dial.steps[-1] is SwitchStep.MOVING_THRESHOLD
    assert stage(Role.DECODE, dial.decode, dial.steps[-1], dial.memory, 1).after == 2
    assert dial.commands[-1] == 0.0

    dial.decode = PoolState(2, 2)
    dial.wait(TICK_S)

    assert dial.commands[-1] == 2048.0


@pytest.mark.parametrize(
    "busy",
    [PoolState(3, 2), PoolState(2, 2, terminating=1), PoolState(2, 2, updating=True)],
    ids=["start", "end", "roll"],
)
def test_no_move_begins_while_a_scaling_is_under_way(busy: PoolState) -> None:
    dial = Dial(CHEAPER, decode=busy).wait(POLICY.sustain_s + 600)
    assert set(dial.commands) == {0.0}
    assert "waits for a scaling under way" in dial.detail

    dial.decode = PoolState(2, 2)

    assert dial.wait(2 * TICK_S).commands[-1] == 2048.0


def test_no_pool_shrinks_until_a_moved_threshold_has_been_watched() -> None:
    dial = Dial(CHEAPER).wait(POLICY.sustain_s + 60)
    assert stage(Role.PREFILL, dial.prefill, step_of(POLICY, dial.memory, dial.now), dial.memory, 2).after == 4

    dial.wait(POLICY.observe_s)

    assert stage(Role.PREFILL, dial.prefill, step_of(POLICY, dial.memory, dial.now), dial.memory, 2).after == 2


def test_two_moves_keep_their_distance() -> None:
    dial = Dial(CHEAPER, policy=replace(POLICY, sustain_s=60.0)).wait(120)
    assert dial.memory.tokens == 2048.0
    moved_s = dial.memory.changed_at_s
    assert moved_s is not None

    dial.candidates = [Sized(0.0, 10.0, 1.0, 1.0), *CHEAPER[1:]]
    dial.wait(moved_s + POLICY.dwell_s - dial.now - TICK_S)
    assert dial.memory.tokens == 2048.0
    assert "moved less than 3600 s ago" in dial.detail

    assert dial.wait(3 * TICK_S).memory.tokens == 0.0


def test_of_thresholds_that_cost_the_same_the_one_that_sends_more_apart_is_taken() -> None:
    alike = [Sized(0.0, 20.0, 4.0, 1.0), Sized(8192.0, 14.0, 1.0, 2.0), Sized(2048.0, 14.0, 1.5, 2.0)]

    assert Dial(alike).wait(POLICY.sustain_s + 120).memory.tokens == 2048.0


def test_each_pool_grows_to_what_the_move_takes_and_by_its_own_need() -> None:
    memory = ThresholdState(0.0, known=True, moving_to=2048.0, since_s=START_S, prefill_floor=5, decode_floor=3)

    asked = {
        (role, before): stage(role, PoolState(2, 2), SwitchStep.MOVING_THRESHOLD, memory, before).after
        for role in (Role.PREFILL, Role.DECODE)
        for before in (1, 9)
    }

    assert asked == {(Role.PREFILL, 1): 5, (Role.DECODE, 1): 3, (Role.PREFILL, 9): 9, (Role.DECODE, 9): 9}


def test_a_move_whose_replicas_do_not_come_is_given_up() -> None:
    dial = Dial(CHEAPER, decode=PoolState(2, 1)).wait(POLICY.sustain_s + 60)
    dial.decode = PoolState(1, 1)
    dial.wait(60)
    assert dial.steps[-1] is SwitchStep.MOVING_THRESHOLD

    dial.wait(POLICY.grow_s + 60)

    assert dial.memory.moving_to is None
    assert set(dial.commands) == {0.0}


def test_a_move_to_a_threshold_that_may_no_longer_be_chosen_ends() -> None:
    dial = Dial(CHEAPER, decode=PoolState(1, 1)).wait(POLICY.sustain_s + 60)
    assert dial.memory.moving_to == 2048.0

    dial.policy = replace(POLICY, thresholds_tokens=(0.0,))
    dial.candidates = CHEAPER[:1]
    dial.wait(TICK_S)

    assert dial.steps[-1] is SwitchStep.ON
    assert stage(Role.DECODE, dial.decode, dial.steps[-1], dial.memory, 1).after == 1


def test_costs_that_are_unknown_move_nothing() -> None:
    assert set(Dial([]).wait(4 * POLICY.sustain_s).commands) == {0.0}


def test_an_operators_hold_moves_nothing() -> None:
    dial = Dial(CHEAPER).wait(4 * POLICY.sustain_s, blocked="decode is held by the operator")

    assert set(dial.commands) == {0.0}
    assert "held by the operator" in dial.detail


# Where it stands


def test_what_the_stack_shows_is_believed() -> None:
    assert set(Dial([], shown=512.0).wait(60).commands) == {512.0}


def test_it_is_not_moved_before_the_stack_has_shown_where_it_stands() -> None:
    dial = Dial(CHEAPER, shown=None).wait(4 * POLICY.sustain_s)
    assert set(dial.commands) == {None}
    assert "until the stack shows where it stands" in dial.detail

    dial.shown = 2048.0

    assert dial.wait(TICK_S).commands[-1] == 2048.0


def test_it_stays_where_it_was_while_the_stack_does_not_show_it() -> None:
    dial = Dial([], shown=512.0, follows=False).wait(60)

    dial.shown = None

    assert dial.wait(600).commands[-1] == 512.0


def test_a_stack_where_no_prompt_goes_apart_is_left_there_until_both_pools_can_serve_another_threshold() -> None:
    dial = Dial(CHEAPER, shown=math.inf, prefill=PoolState(1, 1), decode=PoolState(3, 3)).wait(POLICY.sustain_s + 120)
    assert set(dial.commands) == {None}
    assert set(dial.steps[:-20]) == {SwitchStep.OFF}
    assert dial.steps[-1] is SwitchStep.MOVING_THRESHOLD
    assert stage(Role.PREFILL, dial.prefill, dial.steps[-1], dial.memory, 1).after == 2

    dial.prefill = PoolState(2, 2)

    assert dial.wait(TICK_S).commands[-1] == 2048.0


def test_a_move_that_someone_takes_back_to_where_no_prompt_goes_apart_is_not_repeated_at_once() -> None:
    dial = Dial(CHEAPER).wait(POLICY.sustain_s + 60)
    assert dial.commands[-1] == 2048.0

    dial.shown, dial.follows = math.inf, False
    dial.wait(POLICY.confirm_s + 60)

    assert dial.commands[-1] is None
    assert set(dial.wait(POLICY.dwell_s - 120).commands[-10:]) == {None}
