"""Pods that start, fail, roll or find no node; budgets, bands and the operator's word."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from autoscaler.core.decide import decide
from autoscaler.core.decision import Reason, StageName
from autoscaler.core.policy import Hold, HoldKind, RatioBand, Role, RolePolicy, ServicePolicy
from autoscaler.core.snapshot import PoolState
from autoscaler.core.state import State
from tests.core.fluid import Fluid, Load
from tests.support.core import ROLE_POLICY, START_S, STEADY, Missing, every, service_policy, snapshot, without_prior
from tests.support.story import Scripted, stage, story

BOTH = (Role.PREFILL, Role.DECODE)
WITH_PRIOR = service_policy()
BY_RULES = service_policy(without_prior(), without_prior())

either_way = pytest.mark.parametrize("policy", [WITH_PRIOR, BY_RULES], ids=["with a prior", "by rules"])


def changed(policy: ServicePolicy, role: Role, **changes: Any) -> ServicePolicy:
    return replace(policy, roles={**policy.roles, role: replace(policy.roles[role], **changes)})


@either_way
def test_a_role_whose_pods_start_does_not_freeze_the_other(policy: ServicePolicy) -> None:
    """Dynamo #14251: prefill must be able to shrink while decode waits for its pods."""
    three_decode = changed(policy, Role.DECODE, min_replicas=3)
    tale = story(8, 2, policy=three_decode, service=Fluid(Load(8.0)), startup_s=1800.0).at(600)

    assert tale.decision.roles[Role.DECODE].ready < tale.decision.roles[Role.DECODE].current
    assert tale.current(Role.PREFILL) <= 4, tale.explain()


@either_way
def test_a_pool_does_not_shrink_in_the_tick_in_which_the_other_is_short(policy: ServicePolicy) -> None:
    tale = story(8, 2, policy=policy, service=Fluid(Load(8.0)), obeyed=False).says({"decode.waiting": 900.0}).at(600)

    assert set(tale.counts(Role.PREFILL)) == {8}
    assert tale.desired(Role.DECODE) > 2
    assert stage(tale.decision, Role.PREFILL, StageName.SIGNALS) is Reason.OTHER_POOL_SHORT


@either_way
def test_one_pool_gives_back_once_the_other_has_what_it_needs(policy: ServicePolicy) -> None:
    tale = story(8, 2, policy=policy, service=Fluid(Load(8.0))).says({"decode.waiting": 900.0}).at(60)
    assert tale.current(Role.DECODE) > 2

    tale.as_before().wait(900)

    assert tale.current(Role.PREFILL) < 8, tale.explain()


@either_way
def test_a_pool_at_its_maximum_does_not_freeze_the_other(policy: ServicePolicy) -> None:
    """Nothing that prefill could give up is missing at decode: it may not grow anyway."""
    few = changed(policy, Role.DECODE, max_replicas=2)
    tale = story(8, 2, policy=few, service=Scripted()).says({"decode.waiting": 3000.0})

    tale.at(1800)

    assert tale.current(Role.PREFILL) < 8, tale.explain()


@either_way
def test_pods_without_a_node_hold_growth_and_say_so(policy: ServicePolicy) -> None:
    tale = story(2, 2, policy=policy, service=Fluid(Load(40.0))).cluster_full(Role.PREFILL).at(60)
    stuck = tale.current(Role.PREFILL)

    tale.at(600)

    assert tale.current(Role.PREFILL) == stuck
    assert stage(tale.decision, Role.PREFILL, StageName.CAPACITY) is Reason.UNSCHEDULABLE


@either_way
def test_pods_without_a_node_are_given_up_after_a_deadline_and_tried_again_later(policy: ServicePolicy) -> None:
    tale = story(2, 2, policy=policy, service=Fluid(Load(40.0))).cluster_full(Role.PREFILL).at(960)
    assert tale.current(Role.PREFILL) == 2, tale.explain()

    tale.at(1800)

    assert max(tale.counts(Role.PREFILL, 1300)) > 2


@either_way
def test_each_attempt_for_a_node_waits_longer(policy: ServicePolicy) -> None:
    tale = story(2, 2, policy=changed(policy, Role.PREFILL, capacity_deadline_s=60.0), service=Fluid(Load(40.0)))
    counts = tale.cluster_full(Role.PREFILL).at(2 * 3600).counts(Role.PREFILL)

    starts = [index for index in range(1, len(counts)) if counts[index] > 2 >= counts[index - 1]]
    pauses = [later - earlier for earlier, later in pairwise(starts)]
    assert len(pauses) >= 3
    assert all(later > 1.5 * earlier for earlier, later in pairwise(pauses)), pauses


@either_way
def test_nodes_that_come_end_the_back_off(policy: ServicePolicy) -> None:
    tale = story(2, 2, policy=policy, service=Fluid(Load(40.0))).cluster_full(Role.PREFILL).at(960)

    tale.cluster_full(Role.PREFILL, full=False).wait(1800)

    assert tale.decision.roles[Role.PREFILL].ready >= 5, tale.explain()


@either_way
def test_a_pod_without_a_node_does_not_freeze_the_loop_when_load_goes(policy: ServicePolicy) -> None:
    """Dynamo #14251: over an hour in observation mode, even with no traffic."""
    fluid = Fluid(Load(40.0))
    tale = story(6, 3, policy=policy, service=fluid).cluster_full(Role.PREFILL).cluster_full(Role.DECODE).at(300)

    fluid.load = Load(1.0)
    tale.wait(1800)

    tale.expect(prefill=1, decode=1)


@either_way
def test_pods_that_crash_are_given_up_like_those_without_a_node(policy: ServicePolicy) -> None:
    few = changed(policy, Role.DECODE, capacity_deadline_s=60.0)
    tale = story(2, 4, policy=few, obeyed=False, service=Fluid(Load(8.0)))
    tale.pods[Role.DECODE].ready_at_s = [START_S - 1.0] * 2 + [float("inf")] * 2

    tale.at(300)

    assert tale.desired(Role.DECODE) <= 2


@either_way
def test_a_replica_that_crashes_while_growth_waits_gets_its_deadline_too(policy: ServicePolicy) -> None:
    tale = story(2, 2, policy=policy, service=Fluid(Load(40.0))).cluster_full(Role.PREFILL).at(960)
    assert tale.current(Role.PREFILL) == 2, tale.explain()
    served_since_s = tale.pods[Role.PREFILL].ready_at_s[1]

    tale.pods[Role.PREFILL].ready_at_s[1] = float("inf")
    assert tale.at(1140).current(Role.PREFILL) == 2, tale.explain()
    assert stage(tale.decision, Role.PREFILL, StageName.CAPACITY) is Reason.UNSCHEDULABLE

    tale.pods[Role.PREFILL].ready_at_s[1] = served_since_s
    assert tale.at(1185).current(Role.PREFILL) == 2
    assert stage(tale.decision, Role.PREFILL, StageName.CAPACITY) is Reason.BACKING_OFF


@either_way
def test_a_replica_that_crashes_for_good_while_growth_waits_is_given_up_too(policy: ServicePolicy) -> None:
    quick = changed(policy, Role.PREFILL, capacity_deadline_s=60.0)
    tale = story(2, 2, policy=quick, service=Fluid(Load(40.0))).cluster_full(Role.PREFILL).at(120)
    assert tale.current(Role.PREFILL) == 2, tale.explain()

    tale.pods[Role.PREFILL].ready_at_s[1] = float("inf")

    assert tale.at(240).current(Role.PREFILL) == 1, tale.explain()


@either_way
def test_what_load_let_go_while_growth_waits_may_come_back_with_it(policy: ServicePolicy) -> None:
    """Those replicas were served by nodes that are there."""
    quick = changed(policy, Role.PREFILL, capacity_deadline_s=60.0)
    tale = story(2, 2, policy=quick, service=Fluid(Load(40.0))).cluster_full(Role.PREFILL).at(1200)
    shortage = tale.state.roles[Role.PREFILL].shortage
    assert shortage.failures >= 2, tale.explain()
    assert tale.current(Role.PREFILL) == 2, tale.explain()
    assert shortage.until_s is not None
    assert shortage.until_s - START_S - tale.time_s > 60

    tale.resized_by_hand(Role.PREFILL, 1).cluster_full(Role.PREFILL, full=False).wait(60)

    assert tale.current(Role.PREFILL) == 2, tale.explain()


@either_way
def test_a_rollout_whose_extra_pod_finds_no_node_takes_no_replica_away(policy: ServicePolicy) -> None:
    """All four serve the old revision; the fifth, of the new one, is stuck."""
    fluid, state = Fluid(Load(24.0)), State()
    for tick in range(120):
        now = START_S + 15.0 * tick
        fluid.advance(15.0, 4, 4)
        pool = PoolState(4, 4, unschedulable=1, updating=True)
        decided, state = decide(policy, snapshot(fluid.readings(), prefill=pool, decode=4, at_s=now), state, now)

        assert decided.roles[Role.PREFILL].desired >= 4, decided.roles[Role.PREFILL].stages


@either_way
def test_a_rollout_holds_shrink_and_not_growth(policy: ServicePolicy) -> None:
    fluid = Fluid(Load(4.0))
    tale = story(6, 6, policy=policy, service=fluid)
    tale.rollout(Role.PREFILL, under_way=True).rollout(Role.DECODE, under_way=True).at(900)
    assert {role: set(tale.counts(role)) for role in BOTH} == {role: {6} for role in BOTH}
    assert Reason.ROLLOUT_IN_PROGRESS in tale.reasons(Role.DECODE)

    fluid.load = Load(120.0)
    tale.wait(600)

    assert tale.current(Role.PREFILL) > 6


@either_way
def test_after_a_rollout_the_shrink_waits_for_a_window_of_its_own(policy: ServicePolicy) -> None:
    tale = story(6, 6, policy=policy, service=Fluid(Load(4.0))).rollout(Role.DECODE, under_way=True).at(900)

    tale.rollout(Role.DECODE, under_way=False)

    assert tale.wait(105).current(Role.DECODE) == 6
    assert tale.wait(60).current(Role.DECODE) < 6


# Bounds, ratio band, budget


@either_way
def test_a_pool_outside_of_its_bounds_moves_into_them_whatever_its_signals_say(policy: ServicePolicy) -> None:
    bounded = changed(changed(policy, Role.PREFILL, min_replicas=3), Role.DECODE, max_replicas=4)

    story(1, 9, policy=bounded).says(every(Missing.ABSENT)).expect(prefill=3, decode=4, because=Reason.AT_MIN)


@either_way
def test_pods_without_a_node_do_not_take_a_pool_below_its_minimum(policy: ServicePolicy) -> None:
    tale = story(1, 2, policy=changed(policy, Role.PREFILL, min_replicas=3)).cluster_full(Role.PREFILL)
    tale.pods[Role.PREFILL].ready_at_s = [float("inf")]

    assert tale.desired(Role.PREFILL) >= 3, tale.explain()


@either_way
def test_the_ratio_band_is_repaired_by_growth(policy: ServicePolicy) -> None:
    banded = replace(policy, ratio=RatioBand(0.5, 2.0))
    tale = story(1, 1, policy=banded, service=Fluid(Load(40.0))).at(600)

    for decided in tale.decisions:
        assert decided.roles[Role.PREFILL].desired <= 2 * decided.roles[Role.DECODE].desired
    assert tale.current(Role.PREFILL) > 2
    reasons = {stage(decided, Role.DECODE, StageName.RATIO) for decided in tale.decisions}
    assert Reason.RATIO_REPAIRED in reasons


@either_way
def test_the_budget_is_never_exceeded_also_not_while_pods_start(policy: ServicePolicy) -> None:
    fluid = Fluid(Load(40.0))
    tale = story(6, 2, policy=replace(policy, budget_gpus=40.0), service=fluid).at(600)
    fluid.load = Load(24.0, prompt_tokens=400.0, output_tokens=4000.0)
    tale.wait(600)

    for decided in tale.decisions:
        assert sum(4.0 * max(role.current, role.desired) for role in decided.roles.values()) <= 40.0


@either_way
def test_a_full_budget_goes_to_the_pool_that_needs_it(policy: ServicePolicy) -> None:
    """Dynamo #12428, #14296: order down before up, wait for the release, and do get there."""
    tale = story(8, 2, policy=replace(policy, budget_gpus=40.0), service=Fluid(Load(8.0)))
    tale.says({"decode.waiting": 900.0}).at(1800)

    assert tale.current(Role.PREFILL) < 8
    assert tale.current(Role.DECODE) > 2, tale.explain()


@pytest.mark.parametrize("seen", [True, False], ids=["seen before", "never seen"])
@either_way
def test_a_pool_that_cannot_be_read_holds_its_gpus(policy: ServicePolicy, seen: bool) -> None:
    bounded = changed(policy, Role.PREFILL, max_replicas=6)
    tale = story(6, 2, policy=replace(bounded, budget_gpus=32.0), service=Scripted())
    tale.wait(60.0 if seen else 0.0)
    del tale.pods[Role.PREFILL]

    tale.says({"decode.waiting": 3000.0, "decode.kv_utilization_mean": 0.95}).wait(60)

    assert tale.desired(Role.DECODE) == 2, tale.explain()
    assert stage(tale.decision, Role.DECODE, StageName.BUDGET) is Reason.BUDGET_LIMITED


@either_way
def test_the_ratio_band_holds_against_a_pool_that_cannot_be_read_as_it_was_last_seen(policy: ServicePolicy) -> None:
    tale = story(2, 2, policy=replace(policy, ratio=RatioBand(0.5, 2.0)), service=Scripted()).wait(60)
    del tale.pods[Role.PREFILL]

    tale.says({"decode.waiting": 3000.0, "decode.kv_utilization_mean": 0.95}).wait(60)

    assert tale.desired(Role.DECODE) == 4, tale.explain()
    assert stage(tale.decision, Role.DECODE, StageName.RATIO) is Reason.RATIO_REPAIRED


@either_way
def test_the_ratio_band_says_nothing_of_a_pool_that_was_never_seen(policy: ServicePolicy) -> None:
    tale = story(2, 2, policy=replace(policy, ratio=RatioBand(0.5, 2.0)), service=Scripted())
    del tale.pods[Role.PREFILL]

    assert tale.desired(Role.DECODE) <= 2, tale.explain()
    assert stage(tale.decision, Role.DECODE, StageName.RATIO) is Reason.RATIO_HOLDS


def test_draining_pods_hold_their_gpus_until_they_are_gone() -> None:
    policy = replace(WITH_PRIOR, budget_gpus=24.0)
    tale = story(2, 2, policy=policy, service=Fluid(Load(40.0)), obeyed=False)
    calm = tale.at(60).desired(Role.PREFILL)

    tale.pods[Role.DECODE].terminating = 2

    assert tale.wait(15).desired(Role.PREFILL) < calm


# The operator's word


def held(kind: HoldKind, *, until_s: float | None = None, replicas: int = 0) -> ServicePolicy:
    hold = Hold(kind, None if until_s is None else START_S + until_s, replicas)
    role = replace(ROLE_POLICY, hold=hold)
    return service_policy(role, role)


@pytest.mark.parametrize("load", [Load(1.0), Load(100.0)])
def test_a_paused_pool_stays_what_it_is(load: Load) -> None:
    tale = story(4, 4, policy=held(HoldKind.PAUSE), service=Fluid(load)).at(900)

    assert {role: set(tale.counts(role)) for role in BOTH} == {role: {4} for role in BOTH}
    assert stage(tale.decision, Role.PREFILL, StageName.OPERATOR) is Reason.PAUSED


def test_a_paused_pool_may_be_resized_by_hand() -> None:
    tale = story(4, 4, policy=held(HoldKind.PAUSE), service=Fluid(Load(1.0))).at(300)

    tale.resized_by_hand(Role.DECODE, 7).at(900)

    assert set(tale.counts(Role.DECODE, 300)) == {7}


def test_a_grow_only_pool_grows_and_does_not_shrink() -> None:
    fluid = Fluid(Load(1.0))
    tale = story(4, 4, policy=held(HoldKind.GROW_ONLY), service=fluid).at(900)
    assert {role: set(tale.counts(role)) for role in BOTH} == {role: {4} for role in BOTH}

    fluid.load = Load(60.0)
    tale.wait(300)

    assert tale.current(Role.PREFILL) > 4
    assert stage(tale.decision, Role.DECODE, StageName.OPERATOR) is Reason.GROW_ONLY


@pytest.mark.parametrize(("wanted", "got"), [(3, 3), (99, 40), (0, 1)])
def test_a_pinned_pool_is_what_it_is_pinned_to_inside_of_its_bounds(wanted: int, got: int) -> None:
    tale = story(4, 4, policy=held(HoldKind.PIN, replicas=wanted), service=Fluid(Load(8.0)))

    tale.expect(prefill=got, decode=got, because=Reason.PINNED)


def test_a_pin_does_not_spend_what_the_budget_does_not_have() -> None:
    pinned = changed(replace(WITH_PRIOR, budget_gpus=40.0), Role.PREFILL, hold=Hold(HoldKind.PIN, None, 8))
    tale = story(3, 7, policy=pinned, service=Fluid(Load(8.0))).says({"decode.waiting": 900.0}).at(60)

    for decided in tale.decisions:
        assert sum(4.0 * max(role.current, role.desired) for role in decided.roles.values()) <= 40.0
    assert stage(tale.decision, Role.PREFILL, StageName.BUDGET) is Reason.BUDGET_LIMITED


def test_a_hold_ends_by_itself() -> None:
    tale = story(6, 6, policy=held(HoldKind.PAUSE, until_s=600.0), service=Fluid(Load(1.0))).at(585)
    assert tale.desired(Role.DECODE) == 6

    tale.wait(300)

    assert tale.current(Role.DECODE) < 6


def test_a_hold_says_how_long_it_lasts() -> None:
    tale = story(policy=held(HoldKind.PAUSE, until_s=600.0))

    steps = tale.decision.roles[Role.PREFILL].stages
    assert next(step.detail for step in steps if step.stage is StageName.OPERATOR) == "paused for another 600 s"


def test_a_role_without_a_policy_is_not_decided() -> None:
    only_decode = replace(WITH_PRIOR, roles={Role.DECODE: ROLE_POLICY})

    assert set(story(policy=only_decode).decision.roles) == {Role.DECODE}


@pytest.mark.parametrize("lonely", BOTH)
def test_a_service_with_one_role_is_decided(lonely: Role) -> None:
    only: dict[Role, RolePolicy] = {lonely: ROLE_POLICY}
    tale = story(policy=replace(WITH_PRIOR, roles=only), service=Scripted(STEADY)).at(300)

    assert tale.desired(lonely) >= 1


def test_the_default_snapshot_is_one_of_a_service_that_may_stay_as_it_is() -> None:
    assert snapshot().pools == {role: PoolState(2, 2) for role in BOTH}
    story().expect(prefill=2, decode=2)
