"""The record of a decision: stages that follow each other, reasons, words, and numbers that add up."""

from __future__ import annotations

from hypothesis import given, settings

from autoscaler.core.decision import Reason, RoleDecision, Stage, StageName
from autoscaler.core.policy import Role, ServicePolicy
from autoscaler.core.proposal import whole
from tests.core.strategies import POLICIES, PROPERTY, Tick, histories, lived


@settings(PROPERTY)
@given(POLICIES, histories())
def test_each_stage_starts_where_the_one_before_ended(policy: ServicePolicy, history: list[Tick]) -> None:
    for _, tick, _, decision, _ in lived(policy, history):
        for role, pool in ((Role.PREFILL, tick.prefill), (Role.DECODE, tick.decode)):
            decided = decision.roles[role]
            ends = [decided.current, *(stage.after for stage in decided.stages)]
            assert [stage.before for stage in decided.stages] == ends[:-1]
            assert decided.desired == ends[-1]
            assert decided.uncapped == decided.stages[0].after
            assert (decided.current, decided.ready) == (pool.current, pool.ready)


@settings(PROPERTY)
@given(POLICIES, histories())
def test_the_reason_of_a_decision_is_that_of_the_last_stage_that_changed_it(
    policy: ServicePolicy, history: list[Tick]
) -> None:
    for _, _, _, decision, _ in lived(policy, history):
        for decided in decision.roles.values():
            binding = [stage for stage in decided.stages if stage.after != stage.before] or [decided.stages[0]]
            assert decided.reason is binding[-1].reason


@settings(PROPERTY)
@given(POLICIES, histories())
def test_a_stage_that_changes_a_number_says_why_in_words(policy: ServicePolicy, history: list[Tick]) -> None:
    for _, _, _, decision, _ in lived(policy, history):
        for decided in decision.roles.values():
            assert all(stage.detail for stage in decided.stages if stage.after != stage.before)


# Steps against latency are no proportion of a need, so tolerance lets them pass.
FIRM = {Reason.TTFT_OVER_TARGET, Reason.TPOT_OVER_TARGET}


def recomputed(stage: Stage, decided: RoleDecision, need: float) -> int:
    """A guard's number once more, from nothing but the numbers that it shows."""
    shown = stage.numbers
    match stage.stage:
        case StageName.TOLERANCE if (
            whole(need) == stage.before and decided.current and decided.stages[0].reason not in FIRM
        ):
            outside = abs(shown["need"] / decided.current - 1.0) > shown["tolerance_ratio"] + 1e-9
            return stage.before if outside else decided.current
        case StageName.WINDOW:
            return int(min(max(decided.current, shown["least"]), shown["most"]))
        case StageName.RATE if "limit" in shown:
            closest = min if stage.before > decided.current else max
            return int(closest(stage.before, shown["limit"]))
        case StageName.BOUNDS:
            return int(min(max(stage.before, shown["min"]), shown["max"]))
        case _:
            return stage.after


@settings(PROPERTY)
@given(POLICIES, histories(wild=False))
def test_every_number_shown_can_be_recomputed_from_the_stages_shown(policy: ServicePolicy, history: list[Tick]) -> None:
    for _, _, _, decision, _ in lived(policy, history):
        for decided in decision.roles.values():
            steps = {stage.stage: stage for stage in decided.stages}
            need = steps[StageName.TOLERANCE].numbers["need"]
            assert whole(need) == steps[StageName.PROPOSAL].after or not steps[StageName.PROPOSAL].numbers
            for stage in decided.stages:
                assert recomputed(stage, decided, need) == stage.after
