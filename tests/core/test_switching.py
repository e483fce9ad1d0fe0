"""When a change of the switch, or of the threshold, may begin: its saving has paid, and the pools may grow for it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from autoscaler.core.decision import SwitchDecision, SwitchStep
from autoscaler.core.policy import Disaggregation, Role, ServicePolicy, SwitchPolicy
from autoscaler.core.state import State, SwitchState
from tests.support.core import ROLE_POLICY, START_S, Reading, service_policy
from tests.support.story import Story, story

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


@pytest.mark.parametrize("fixed", [True, False])
def test_closing_waits_while_decode_may_not_have_what_both_phases_take(*, fixed: bool) -> None:
    switch = replace(SWITCH, disaggregation=Disaggregation.OFF) if fixed else SWITCH
    policy = at_most(Role.DECODE, 4, replace(AUTO, switch=switch))

    tale = resting(SwitchStep.ON, prefill=20, decode=4, policy=policy).at(1800)

    assert switch_of(tale).step is SwitchStep.ON
    assert "it would take 5 decode replicas, and the policy allows 4" in switch_of(tale).detail


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
