"""A change of the switch, or of the threshold, in whole decisions: when it may begin, what the pools hold for it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from autoscaler.core.decision import Reason, SwitchDecision, SwitchStep
from autoscaler.core.policy import Disaggregation, Hold, HoldKind, Role, ServicePolicy, SwitchPolicy
from autoscaler.core.proposal import Proposal, RoleContext, Term
from autoscaler.core.signals import Scope
from autoscaler.core.state import State, SwitchState, ThresholdState
from tests.support.core import NO_TRAFFIC, ROLE_POLICY, START_S, Missing, Reading, every, service_policy, without_prior
from tests.support.story import Scripted, Story, story

LONG_AGO_S = START_S - 90_000.0
SWITCH = SwitchPolicy(sustain_s=60.0, dead_zone_ratio=0.0)
AUTO = replace(service_policy(), switch=SWITCH)
#: 100 requests/s of 300 in and 100 out, with prefill: one pool for both phases would be cheaper.
SHORT: dict[str, Reading] = {
    "prefill.offered_tokens_per_s": 30_000.0,
    "prefill.request_rate": 100.0,
    "prefill.prefill_time_s": 0.03,
    "decode.running": 100.0,
    "decode.generation_tokens_per_s": 10_000.0,
    "service.request_rate": 100.0,
    "service.input_tokens_mean": 300.0,
    "service.input_tokens_p50": 210.0,
    "service.input_tokens_p90": 600.0,
    "service.output_tokens_mean": 100.0,
}
#: 10 requests/s of 8,000 in and 200 out, all at decode: two pools would be cheaper.
LONG: dict[str, Reading] = {
    "prefill.offered_tokens_per_s": 0.0,
    "prefill.request_rate": 0.0,
    "prefill.queue_depth": 0.0,
    "prefill.in_flight": 0.0,
    "decode.offered_tokens_per_s": 80_000.0,
    "decode.uncached_ratio": 1.0,
    "decode.request_rate": 10.0,
    "decode.running": 75.0,
    "decode.generation_tokens_per_s": 2000.0,
    "service.request_rate": 10.0,
    "service.input_tokens_mean": 8000.0,
    "service.input_tokens_p50": 7000.0,
    "service.input_tokens_p90": 12_000.0,
}


def resting(step: SwitchStep, prefill: int, decode: int, policy: ServicePolicy = AUTO) -> Story:
    """A service whose switch has long been where it is."""
    tale = story(prefill, decode, policy=policy).says(SHORT if step is SwitchStep.ON else LONG)
    tale.state = State(started_at_s=LONG_AGO_S, switch=SwitchState(step, LONG_AGO_S))
    return tale


def under_threshold(tokens: float, policy: ServicePolicy) -> Story:
    """A service of short prompts whose stack has shown its threshold."""
    tale = story(policy=policy).says(SHORT)
    tale.state = State(threshold=ThresholdState(tokens, known=True))
    return tale


def switch_of(tale: Story) -> SwitchDecision:
    assert tale.decision.switch is not None
    return tale.decision.switch


def starting_in(startup_s: float, policy: ServicePolicy = AUTO) -> ServicePolicy:
    slow = {role: replace(pool, startup_time_s=startup_s) for role, pool in policy.roles.items()}
    return replace(policy, roles=slow)


def waits_s(tale: Story) -> float:
    """How long an advantage must last, as the decision says."""
    found = re.search(r"changes after (\d+) s", switch_of(tale).detail)
    assert found is not None, switch_of(tale).detail
    return float(found[1])


# What a change saves must have paid for what it holds twice


def test_closing_waits_until_its_saving_has_paid_for_the_replicas_that_decode_holds_beside_prefill() -> None:
    tale = resting(SwitchStep.ON, prefill=3, decode=2, policy=starting_in(60.0))

    together_gpus, apart_gpus = switch_of(tale).together_gpus, switch_of(tale).apart_gpus
    assert together_gpus is not None
    assert apart_gpus is not None
    more_gpus = together_gpus - 2 * ROLE_POLICY.gpus_per_replica
    assert waits_s(tale) == pytest.approx(more_gpus * (60.0 + SWITCH.lease_s) / (apart_gpus - together_gpus), abs=1.0)


def test_opening_waits_the_longer_the_longer_prefill_is_held_before_decode_gives_back() -> None:
    watched = replace(AUTO, switch=replace(SWITCH, observe_s=SWITCH.observe_s + 600.0))

    soon, slow, later = (
        waits_s(resting(SwitchStep.OFF, prefill=0, decode=12, policy=policy))
        for policy in (starting_in(60.0), starting_in(660.0), starting_in(60.0, watched))
    )

    assert SWITCH.sustain_s < soon < later
    # Prefill, forecast for longer, may begin with more.
    assert later <= slow


@pytest.mark.parametrize("step", [SwitchStep.ON, SwitchStep.OFF])
def test_a_change_whose_replicas_are_there_already_waits_for_no_saving(step: SwitchStep) -> None:
    """However long new ones would take to start."""
    kept = replace(AUTO, switch=replace(SWITCH, prefill_off_replicas=16))

    assert waits_s(resting(step, prefill=16, decode=20, policy=starting_in(7200.0, kept))) == SWITCH.sustain_s


# The pools must be allowed what a change begins with


def at_most(role: Role, replicas: int, policy: ServicePolicy) -> ServicePolicy:
    return replace(policy, roles={**policy.roles, role: replace(policy.roles[role], max_replicas=replicas)})


@pytest.mark.parametrize("who", [Disaggregation.OFF, Disaggregation.AUTO])
def test_closing_waits_while_decode_may_not_have_what_both_phases_take(who: Disaggregation) -> None:
    policy = at_most(Role.DECODE, 4, fixed(who))

    tale = resting(SwitchStep.ON, prefill=20, decode=4, policy=policy).at(1800)

    assert switch_of(tale).step is SwitchStep.ON
    assert "it would take 5 decode replicas, and the policy allows 4" in switch_of(tale).detail


def test_turning_off_does_not_wait_for_signals_of_prefill() -> None:
    by_rules = service_policy(without_prior(), without_prior())
    tale = resting(SwitchStep.ON, prefill=2, decode=2, policy=fixed(Disaggregation.OFF, by_rules))
    tale.says({"decode.waiting": 0.0, **every(Missing.ABSENT, Scope.PREFILL)})

    assert switch_of(tale).step is SwitchStep.GROWING_DECODE


@pytest.mark.parametrize("role", [Role.PREFILL, Role.DECODE])
def test_no_change_begins_while_the_operator_holds_a_pool(role: Role) -> None:
    policy = fixed(Disaggregation.OFF)
    pool = replace(policy.roles[role], hold=Hold(HoldKind.GROW_ONLY, START_S + 600.0))
    tale = resting(SwitchStep.ON, prefill=9, decode=9, policy=replace(policy, roles={**policy.roles, role: pool}))

    assert switch_of(tale.at(585)).step is SwitchStep.ON
    assert f"{role} is held by the operator" in switch_of(tale).detail
    assert switch_of(tale.at(600)).step is SwitchStep.GROWING_DECODE


@pytest.mark.parametrize(("tokens", "role", "enough"), [(512.0, Role.PREFILL, 2), (1024.0, Role.DECODE, 5)])
def test_a_threshold_that_a_pool_may_not_grow_for_is_not_chosen(tokens: float, role: Role, enough: int) -> None:
    """Prompts of 300 tokens in the mean are served for less where decode prefills the short ones."""
    switch = replace(SWITCH, disaggregation=Disaggregation.THRESHOLD, thresholds_tokens=(0.0, tokens))
    policy = replace(AUTO, switch=switch)

    allowed, forbidden = (
        switch_of(under_threshold(0.0, at_most(role, replicas, policy))).detail for replicas in (enough, enough - 1)
    )

    assert f"from {tokens:.0f}, " in allowed
    assert "moves after" in allowed
    assert "not worth a move" in forbidden


# What a change begins with, and what the pools hold until it is over


def fixed(disaggregation: Disaggregation, policy: ServicePolicy = AUTO) -> ServicePolicy:
    return replace(policy, switch=replace(SWITCH, disaggregation=disaggregation))


def test_a_change_begins_with_all_that_a_pool_is_asked_for_forecast_and_headroom_included() -> None:
    tale = resting(SwitchStep.OFF, prefill=0, decode=20, policy=fixed(Disaggregation.ON, starting_in(7200.0)))

    asked = tale.decision.roles[Role.PREFILL].uncapped
    apart_gpus = switch_of(tale).apart_gpus
    assert apart_gpus is not None
    assert asked > apart_gpus / ROLE_POLICY.gpus_per_replica
    assert tale.state.switch.step is SwitchStep.GROWING_PREFILL
    assert tale.state.switch.prefill_floor == asked


def test_opening_takes_one_prefill_replica_though_none_is_asked_for() -> None:
    policy = fixed(Disaggregation.ON, service_policy(replace(ROLE_POLICY, min_replicas=0)))
    tale = resting(SwitchStep.OFF, prefill=0, decode=2, policy=policy).served_by(Scripted(NO_TRAFFIC)).as_before()

    tale.expect(prefill=1, because=Reason.SWITCHING)


def test_turning_on_waits_while_nothing_tells_what_the_prefill_replicas_that_are_there_could_do() -> None:
    by_rules = service_policy(without_prior(), without_prior())
    tale = resting(SwitchStep.OFF, prefill=1, decode=8, policy=fixed(Disaggregation.ON, by_rules))
    tale.says({**LONG, **every(Missing.ABSENT, Scope.PREFILL)})

    assert switch_of(tale).step is SwitchStep.OFF
    assert "cannot be told: queue_depth is absent" in switch_of(tale).detail


def changing(step: SwitchStep, decode: int) -> Story:
    """A service in the middle of a change that takes three prefill and nine decode replicas, and hardly any load."""
    tale = story(2, decode, policy=AUTO).says({"decode.running": 1.0, "decode.generation_tokens_per_s": 10.0})
    memory = SwitchState(step, START_S, prefill_floor=3, decode_floor=9)
    tale.state = State(started_at_s=LONG_AGO_S, switch=memory)
    return tale


@pytest.mark.parametrize(
    ("step", "told", "rests"),
    [
        (SwitchStep.GROWING_DECODE, Disaggregation.ON, SwitchStep.ON),
        (SwitchStep.GROWING_PREFILL, Disaggregation.OFF, SwitchStep.OFF),
        (SwitchStep.GROWING_DECODE, Disaggregation.OFF, SwitchStep.GROWING_DECODE),
        (SwitchStep.GROWING_PREFILL, Disaggregation.ON, SwitchStep.GROWING_PREFILL),
        (SwitchStep.CLOSING, Disaggregation.ON, SwitchStep.CLOSING),
        (SwitchStep.OPENING, Disaggregation.OFF, SwitchStep.OPENING),
    ],
)
def test_a_change_that_the_policy_takes_back_is_dropped_as_long_as_only_replicas_grow(
    step: SwitchStep, told: Disaggregation, rests: SwitchStep
) -> None:
    tale = changing(step, decode=2)
    tale.policy = fixed(told)

    assert switch_of(tale).step is rests


def test_decode_grows_to_what_closing_takes() -> None:
    changing(SwitchStep.GROWING_DECODE, decode=2).expect(decode=9, because=Reason.SWITCHING)


@pytest.mark.parametrize("step", [SwitchStep.CLOSING, SwitchStep.DRAINING_PREFILL])
def test_decode_that_takes_prefill_over_keeps_what_that_takes(step: SwitchStep) -> None:
    changing(step, decode=2).expect(decode=9)
    changing(step, decode=12).expect(decode=12)
    assert changing(step, decode=12).decode_waiting(9000.0).desired(Role.DECODE) > 12


def test_prefill_that_goes_because_disaggregation_is_off_says_so() -> None:
    resting(SwitchStep.OFF, prefill=2, decode=20).expect(prefill=0, because=Reason.DISAGGREGATION_OFF)


@pytest.mark.parametrize("step", [SwitchStep.GROWING_PREFILL, SwitchStep.OPENING, SwitchStep.OBSERVING])
def test_decode_does_not_shrink_before_the_open_switch_has_been_watched_and_grows_by_its_own_need(
    step: SwitchStep,
) -> None:
    changing(step, decode=2).expect(decode=2)
    changing(step, decode=12).expect(decode=12)


@pytest.mark.parametrize("absent", ["prefill.request_rate", "service.request_rate"])
def test_thresholds_are_compared_while_one_place_does_not_count_requests(absent: str) -> None:
    tale = under_threshold(0.0, fixed(Disaggregation.THRESHOLD)).says({absent: Missing.ABSENT})

    assert switch_of(tale).apart_gpus is not None


@pytest.mark.parametrize("kind", [Disaggregation.OFF, Disaggregation.THRESHOLD])
def test_a_role_policy_of_ones_own_sizes_decode_that_serves_both_phases_too(kind: Disaggregation) -> None:
    def five_more(ctx: RoleContext) -> Proposal:
        return Proposal((Term(ctx.pool.ready + 5.0, Reason.STEADY, "always five more"),))

    own = fixed(kind, service_policy(decode=replace(ROLE_POLICY, propose=five_more)))
    tale = resting(SwitchStep.OFF, prefill=0, decode=2, policy=own)
    tale.state = replace(tale.state, threshold=ThresholdState(4096.0))

    tale.expect(decode=7)


# A threshold


@pytest.mark.parametrize("unknown", [Role.PREFILL, Role.DECODE])
def test_no_threshold_is_compared_without_models_of_both_phases(unknown: Role) -> None:
    policy = fixed(Disaggregation.THRESHOLD)
    tale = under_threshold(0.0, replace(policy, roles={**policy.roles, unknown: without_prior()}))

    assert "what other thresholds cost cannot be told" in switch_of(tale).detail


def under(tokens: float) -> Story:
    """Two pools under a threshold that has long stood; nothing teaches how fast prefill is."""
    tale = story(3, 2, policy=fixed(Disaggregation.THRESHOLD)).says({**SHORT, "prefill.prefill_time_s": Missing.ABSENT})
    tale.state = State(started_at_s=LONG_AGO_S, threshold=ThresholdState(tokens, known=True, since_s=LONG_AGO_S))
    return tale


def test_under_a_threshold_decode_is_sized_for_the_short_prompts_too() -> None:
    alone, both = (under(tokens).decision.roles[Role.DECODE] for tokens in (0.0, 1024.0))

    assert alone.stages[0].reason in {Reason.DECODE_DEMAND, Reason.DECODE_FORECAST}
    assert both.stages[0].reason in {Reason.AGGREGATED_DEMAND, Reason.AGGREGATED_FORECAST}
    assert both.uncapped > alone.uncapped


def test_pools_grow_to_what_a_move_of_the_threshold_takes() -> None:
    tale = under(0.0)
    moving = replace(tale.state.threshold, moving_to=1024.0, since_s=START_S, prefill_floor=6, decode_floor=7)
    tale.state = replace(tale.state, threshold=moving)

    tale.expect(prefill=6, decode=7, because=Reason.SWITCHING)


def test_where_decode_could_meet_the_objectives_with_no_threshold_it_is_not_moved() -> None:
    tale = under_threshold(8192.0, fixed(Disaggregation.THRESHOLD)).says({"decode.step_time_s": 0.12}).at(1800)

    assert switch_of(tale).threshold_tokens == 8192.0
    assert switch_of(tale).detail.endswith("what other thresholds cost cannot be told")
