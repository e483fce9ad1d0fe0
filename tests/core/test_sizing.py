"""How many replicas a need comes to: prefill by what may be missed, decode by what its links may carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from autoscaler.core.decide import decide
from autoscaler.core.decision import Reason, RoleDecision, Stage, SwitchStep
from autoscaler.core.demand import DecodeDemand, decode_demand
from autoscaler.core.forecast import Outlook
from autoscaler.core.passes import full_pass
from autoscaler.core.policy import Role, ServicePolicy
from autoscaler.core.prompts import prompts_now
from autoscaler.core.proposal import Proposal, RoleContext, whole
from autoscaler.core.roles import prefill
from autoscaler.core.roles.staffing import when
from autoscaler.core.state import State
from tests.support.core import (
    ENGINE,
    NO_TRAFFIC,
    OBJECTIVES,
    START_S,
    Missing,
    Reading,
    service_policy,
    snapshot,
    with_unspent,
)

BUSY: dict[str, Reading] = {
    "prefill.offered_tokens_per_s": 240_000.0,
    "prefill.request_rate": 120.0,
    "prefill.queue_depth": 0.0,
}
FEW: dict[str, Reading] = {
    "prefill.offered_tokens_per_s": 26_000.0,
    "prefill.request_rate": 20.8,
    "prefill.queue_depth": 0.0,
    "service.input_tokens_mean": 1250.0,
}
UNTOLD: dict[str, Reading] = {"service.ttft_attainment_ratio": Missing.ABSENT}


def decided(
    unspent_ratio: float,
    changes: dict[str, Reading] | None = None,
    policy: ServicePolicy | None = None,
    replicas: int = 12,
) -> RoleDecision:
    """What is decided for prefill a tick after so much of the budget was found unspent."""
    policy = policy or service_policy()
    seen = snapshot({**BUSY, **(changes or {})}, prefill=replicas)
    _, state = decide(policy, seen, State(), START_S)
    state = with_unspent(state, unspent_ratio)
    decision, _ = decide(policy, replace(seen, at_s=START_S + 15.0), state, START_S + 15.0)
    return decision.roles[Role.PREFILL]


def proposed(
    unspent_ratio: float, changes: dict[str, Reading] | None = None, policy: ServicePolicy | None = None
) -> Stage:
    """What is proposed for prefill a tick after so much of the budget was found unspent."""
    return decided(unspent_ratio, changes, policy).stages[0]


def looking(seen: list[RoleContext]) -> ServicePolicy:
    """A service policy that keeps what prefill's own policy gets to see."""

    def look(ctx: RoleContext) -> Proposal:
        seen.append(ctx)
        return prefill.propose(ctx)

    policy = service_policy()
    return replace(policy, roles={**policy.roles, Role.PREFILL: replace(policy.roles[Role.PREFILL], propose=look)})


def demanded(unspent_ratio: float) -> Mapping[str, float]:
    """The numbers behind what present demand asks of prefill, whatever else asks for more."""
    seen: list[RoleContext] = []
    proposed(unspent_ratio, policy=looking(seen))
    (term,) = (term for term in prefill.propose(seen[-1]).terms if term.reason is Reason.PREFILL_DEMAND)
    return term.numbers


def test_the_more_of_the_budget_is_left_the_fuller_prefill_may_run() -> None:
    stages = [proposed(unspent) for unspent in (0.0, 0.5, 1.0)]

    asked = [stage.after for stage in stages]
    assert asked == sorted(asked, reverse=True)
    assert stages[0].numbers["utilization_ratio"] < stages[-1].numbers["utilization_ratio"] <= 1.0


def test_the_slack_of_full_passes_is_given_up_as_the_budget_stays_whole() -> None:
    spent, half, unspent = (demanded(unspent_ratio) for unspent_ratio in (0.0, 0.5, 1.0))

    prompts = prompts_now(snapshot(BUSY, prefill=12), SwitchStep.ON)
    assert prompts is not None
    planned = full_pass(prompts, ENGINE, OBJECTIVES.ttft.target_s)
    assert spent["service_s"] == pytest.approx(planned.service_s)
    assert half["service_s"] == pytest.approx(planned.service_s * (1 - planned.slack_ratio / 16), rel=1e-3)
    assert unspent["service_s"] == pytest.approx(planned.share_s, rel=1e-2)
    assert unspent["work"] / spent["work"] == pytest.approx(planned.share_s / planned.service_s, rel=1e-2)


def test_a_pool_whose_objectives_allow_long_waits_is_still_not_filled_to_the_brim() -> None:
    loose = replace(OBJECTIVES, attainment_ratio=0.9, ttft=replace(OBJECTIVES.ttft, percentile_ratio=0.9))
    stage = proposed(1.0, policy=replace(service_policy(), objectives=loose))

    assert stage.numbers["utilization_ratio"] <= 0.95
    assert stage.after == whole(stage.numbers["least_replicas"])
    assert "and 5% of full passes is spare" in stage.detail


def tolerated(unspent_ratio: float, rate: float) -> Stage:
    """What tolerance makes of a growth of eight prefill replicas, so many requests a second being there."""
    changes: dict[str, Reading] = {"prefill.offered_tokens_per_s": 2000.0 * rate, "prefill.request_rate": rate}
    return decided(unspent_ratio, changes, replicas=8).stages[2]


def test_no_growth_is_held_as_within_tolerance_once_the_slack_it_stands_on_is_given_up() -> None:
    slack, full = tolerated(0.0, 62.0), tolerated(1.0, 63.0)

    assert 8.0 < full.numbers["need"] < slack.numbers["need"] < 8.8
    assert (slack.after, slack.reason) == (8, Reason.WITHIN_TOLERANCE)
    assert (full.after, full.reason) == (9, Reason.OUTSIDE_TOLERANCE)
    assert "is within 10% of 8, but cannot wait" in full.detail


def test_a_small_pool_gets_more_replicas_the_longer_the_tail_of_prompt_lengths() -> None:
    alike = proposed(0.0, {**FEW, "service.input_tokens_p50": 1000.0, "service.input_tokens_p90": 2500.0})
    tailed = proposed(0.0, {**FEW, "service.input_tokens_p50": 290.0, "service.input_tokens_p90": 2200.0})

    assert alike.numbers["work"] == pytest.approx(tailed.numbers["work"], rel=0.1)
    assert tailed.numbers["service_scv"] > 3.0 > alike.numbers["service_scv"]
    assert tailed.after > alike.after


def test_the_tail_of_prompt_lengths_is_known_by_the_hour_and_not_by_the_moment() -> None:
    policy, state, now = service_policy(), State(), START_S
    known = []
    for tick in range(481):
        high = 2200.0 if tick < 240 else 400.0
        seen = snapshot({**FEW, "service.input_tokens_p50": 290.0, "service.input_tokens_p90": high}, prefill=12)
        _, state = decide(policy, replace(seen, at_s=now), state, now)
        known.append(state.roles[Role.PREFILL].squares_ratio or 0.0)
        now += 15.0

    settled, moment, hour = known[239], known[241], known[480]
    assert moment == pytest.approx(settled, rel=0.05)
    assert hour > settled * 1.2


def test_whoever_reads_a_proposal_sees_how_many_prompts_share_a_pass() -> None:
    assert proposed(0.0).numbers["prompts_per_pass"] > 1.0


def test_a_service_that_does_not_tell_its_attainment_may_miss_what_is_promised_and_no_more() -> None:
    assert proposed(0.0, UNTOLD).numbers["missed_ratio"] == pytest.approx(1.0 - OBJECTIVES.attainment_ratio)


def after_an_hour(changes: Mapping[str, Reading]) -> float:
    """Share of the budget that counts as unspent, of 90 %, after an hour of such signals."""
    policy, state = service_policy(), State()
    for tick in range(241):
        now = START_S + tick * 15.0
        _, state = decide(policy, replace(snapshot(changes, prefill=12), at_s=now), state, now)
        if tick == 0:
            state = with_unspent(state, 0.9)
    return state.roles[Role.PREFILL].headroom.unspent_ratio


def test_a_budget_that_is_told_no_more_counts_as_spent_after_hours() -> None:
    assert after_an_hour(BUSY) > 0.9
    assert 0.5 < after_an_hour({**BUSY, **UNTOLD}) < 0.7


def test_a_night_without_requests_leaves_the_budget_as_it_was() -> None:
    assert after_an_hour(NO_TRAFFIC) == pytest.approx(0.9)


def test_whoever_reads_that_many_may_wait_is_told_why() -> None:
    assert "at most wait" in proposed(0.6).detail
    assert "60% of the error budget is unspent" in proposed(0.6).detail
    assert "budget" not in proposed(0.0).detail


def test_no_more_is_expected_to_be_missed_than_may_be() -> None:
    numbers = proposed(0.7).numbers

    assert 0.0 <= numbers["expected_missed_ratio"] <= numbers["missed_ratio"] <= 0.3


def test_whoever_reads_of_a_forecast_is_told_who_lifted_its_bound() -> None:
    calm = Outlook(4.0, 4.5, "slow_level", 315.0)

    assert when(calm) == "at most in 315 s (slow level)"
    assert when(replace(calm, lifted_by="steep_trend")) == "at most in 315 s (slow level, lifted by steep trend)"


def transferred(time_s: float, alone_s: float, rate: float) -> DecodeDemand:
    seen = snapshot({"service.kv_transfer_time_s": time_s, "prefill.request_rate": rate}, decode=1)
    demand = decode_demand(seen, ENGINE, OBJECTIVES, 1, alone_s / 2000.0)
    assert demand is not None
    return demand


@pytest.mark.parametrize("ready", [1, 4])
def test_a_crowd_in_front_of_decode_asks_for_as_much_again_and_not_for_all_it_would_fill(ready: int) -> None:
    """Ten thousand wait; each replica carries two hundred, and the first ones that start take them in a minute."""
    demand = decode_demand(snapshot({"decode.waiting": 10_000.0}), ENGINE, OBJECTIVES, ready)

    assert demand is not None
    assert demand.by_residency > 20
    assert demand.work == pytest.approx(demand.lasting + max(ready, demand.lasting))


def test_a_few_who_wait_for_decode_count_as_they_are() -> None:
    demand = decode_demand(snapshot({"decode.waiting": 20.0}), ENGINE, OBJECTIVES, 1)

    assert demand is not None
    assert demand.work == max(demand.by_rate, demand.by_residency)


def test_a_link_that_is_three_quarters_busy_with_short_transfers_is_enough() -> None:
    """0.01 s each and 75 of them a second, which makes them four times as long: nothing to a TTFT of seconds."""
    assert transferred(0.04, 0.01, 75.0).by_transfer < 1.0


def test_a_link_that_is_three_quarters_busy_with_long_transfers_is_not() -> None:
    """0.3 s each, four times as long by sharing: half of a TTFT of seconds is gone."""
    assert transferred(1.2, 0.3, 2.5).by_transfer > 1.2
