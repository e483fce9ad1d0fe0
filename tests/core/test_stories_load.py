"""Load that rises, falls, jitters or stays: how far and when a service follows."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from autoscaler.core.decision import Reason, StageName
from autoscaler.core.learn import excess_ratio
from autoscaler.core.policy import Behavior, Role, ServicePolicy
from autoscaler.core.roles.staffing import reserve_ratio
from tests.core.fluid import Fluid, Load
from tests.core.loads import BOTH, SETTLED_S, both, changes, either_way, prefill_work, reversals, settled
from tests.support.core import ROLE_POLICY, direction, pods
from tests.support.story import Story, stage, story

#: A moment at which three sequences run, of prompts of tens of thousands of tokens.
THREE_LONG_SEQUENCES = {"decode.running": 3.0, "decode.kv_utilization_mean": 0.3}


@either_way
@pytest.mark.parametrize("requests_per_s", [4.0, 20.0, 45.0])
def test_constant_load_makes_no_action_once_settled(policy: ServicePolicy, requests_per_s: float) -> None:
    """But for one step down, when the forecast has seen how calm the load is."""
    _, tale = settled(Load(requests_per_s), policy)

    tale.wait(3600)

    for role in BOTH:
        counts = tale.counts(role, SETTLED_S)
        assert changes(counts) <= 1, counts
        assert counts[-1] in {counts[0], counts[0] - 1}


@either_way
@pytest.mark.parametrize("seed", range(2))
def test_noise_on_constant_load_makes_no_flapping(policy: ServicePolicy, seed: int) -> None:
    """Dynamo makes 164 pairs of up and down in half an hour of constant load."""
    fluid = Fluid(Load(20.0), noise_ratio=0.05, seed=seed)

    tale = story(6, 3, policy=policy, service=fluid).at(SETTLED_S + 3600)

    assert all(reversals(tale.counts(role, SETTLED_S)) <= 4 for role in BOTH)


@either_way
@pytest.mark.parametrize("requests_per_s", [4.0, 20.0, 45.0])
def test_a_settled_service_serves_its_load_without_waste(policy: ServicePolicy, requests_per_s: float) -> None:
    load = Load(requests_per_s)
    fluid, tale = settled(load, policy)

    work = prefill_work(load)
    assert work < tale.current(Role.PREFILL) <= 2.0 * work + 1.0
    assert tale.current(Role.DECODE) <= max(work, 1.0)
    assert fluid.readings()["service.ttft_attainment_ratio"] > 0.95
    assert fluid.readings()["service.tpot_attainment_ratio"] > 0.95


@either_way
def test_load_that_doubles_doubles_the_pools(policy: ServicePolicy) -> None:
    fluid, tale = settled(Load(30.0), policy)
    before = {role: tale.current(role) for role in BOTH}

    fluid.load = fluid.load.times(2.0)
    tale.wait(1800)

    for role in BOTH:
        assert tale.current(role) > before[role], tale.explain()
    assert tale.current(Role.PREFILL) > prefill_work(fluid.load)
    assert fluid.readings()["service.ttft_attainment_ratio"] > 0.95


def test_a_step_of_load_is_followed_by_no_flapping() -> None:
    fluid = Fluid(Load(30.0))
    slow = both(replace(ROLE_POLICY, startup_time_s=240.0))
    tale = story(6, 3, policy=slow, service=fluid, startup_s=240.0).at(SETTLED_S)

    fluid.load = fluid.load.times(2.0)
    tale.wait(2 * 3600)

    later = {role: tale.counts(role, SETTLED_S + 3600) for role in BOTH}
    assert {role: reversals(counts) <= 1 for role, counts in later.items()} == dict.fromkeys(BOTH, True), later


@either_way
def test_a_starved_pool_does_not_ask_for_less_the_longer_it_starves(policy: ServicePolicy) -> None:
    """Nobody obeys, the queue grows: the ask may only grow with it."""
    tale = story(2, 4, policy=policy, service=Fluid(Load(40.0)), obeyed=False).at(1800)
    asked = [decided.roles[Role.PREFILL].uncapped for decided in tale.decisions]

    assert min(asked) >= prefill_work(Load(40.0))
    assert all(later >= earlier - 1 for earlier, later in pairwise(asked))


@pytest.mark.parametrize("role", BOTH)
def test_the_slower_replicas_start_the_less_load_may_exceed_what_is_held_ready(role: Role) -> None:
    shares = [excess_ratio(role, startup_s) for startup_s in (0.0, 60.0, 240.0, 600.0)]

    assert shares == sorted(shares, reverse=True)
    assert 0.3 == shares[0] > shares[2] > shares[3] > 0.0


def test_decode_is_held_ready_for_more_than_prefill() -> None:
    """What is too much for prefill waits, most of it in time; what is too much for decode slows every sequence."""
    assert excess_ratio(Role.DECODE, 240.0) < excess_ratio(Role.PREFILL, 240.0)


def test_a_shrink_leaves_something_to_spare() -> None:
    """Else the replica that was just given back is missed at the next breath of load."""
    held = 0
    for step in range(40):
        _, tale = settled(Load(20.0 + step / 4))
        decided = tale.decision.roles[Role.DECODE]
        proposal = decided.stages[0]
        if proposal.reason is Reason.SHRINK_RESERVE:
            held += 1
            reserved = (1.0 + reserve_ratio(decided.current)) * proposal.numbers["need"]
            assert decided.uncapped - 1 < min(reserved, decided.current) <= decided.uncapped
            assert "to spare" in proposal.detail

    assert held > 0


def test_the_smaller_a_pool_the_more_it_keeps_to_spare() -> None:
    shares = [reserve_ratio(replicas) for replicas in (2, 3, 4, 10, 100)]

    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 4 * shares[-1] > 0.0


def test_a_starved_pool_does_not_teach_that_its_engine_is_fast() -> None:
    tale = story(2, 4, service=Fluid(Load(40.0)), obeyed=False).at(1800)

    fit = tale.state.roles[Role.PREFILL].fit
    assert fit is not None
    assert min(fit.factors) > 0.8


@either_way
def test_load_that_doubles_on_a_saturated_pool_doubles_the_ask(policy: ServicePolicy) -> None:
    """Served work saturates exactly when a pool starves; offered work does not."""
    fluid = Fluid(Load(20.0))
    tale = story(2, 4, policy=policy, service=fluid, obeyed=False).at(300)
    before = tale.decision.roles[Role.PREFILL].uncapped

    fluid.load = fluid.load.times(2.0)
    tale.wait(300)

    assert tale.decision.roles[Role.PREFILL].uncapped >= 1.8 * before


def test_a_queue_before_prefill_is_not_yet_decodes_to_serve() -> None:
    """Two prefill replicas hand over 16 requests/s, whatever waits before them."""
    tale = story(2, 2, service=Fluid(Load(40.0)), obeyed=False).at(900)

    assert tale.desired(Role.DECODE) <= 4, tale.explain()


def test_a_step_of_load_does_not_overshoot() -> None:
    fluid = Fluid(Load(12.0))
    role = replace(ROLE_POLICY, startup_time_s=240.0)
    tale = story(3, 2, policy=both(role), service=fluid, startup_s=240.0).at(900)

    fluid.load = fluid.load.times(3.0)
    tale.wait(1800)

    work = prefill_work(fluid.load)
    assert max(tale.counts(Role.PREFILL)) <= 2.5 * work
    assert max(tale.counts(Role.DECODE)) <= 2.0 * work, tale.counts(Role.DECODE)


@either_way
def test_a_burst_into_the_queue_grows_prefill_at_the_next_tick(policy: ServicePolicy) -> None:
    """Dynamo #10528: service time says nothing, the queue says everything."""
    _, tale = settled(Load(8.0), policy)
    before = tale.current(Role.PREFILL)

    tale.wait(15).prefill_queue(2000.0)

    assert tale.desired(Role.PREFILL) > before
    assert tale.decision.roles[Role.PREFILL].stages[0].reason is Reason.PREFILL_BACKLOG


@either_way
def test_a_jitter_of_the_queue_grows_nothing(policy: ServicePolicy) -> None:
    _, tale = settled(Load(20.0), policy)
    before = tale.current(Role.PREFILL)

    tale.wait(15).prefill_queue(2.0)

    assert tale.desired(Role.PREFILL) == before


def test_a_moment_with_few_long_sequences_grows_nothing() -> None:
    """The length of a sequence sets how many a replica may hold; that of the last three says little about the next."""
    _, tale = settled(Load(8.0))
    before = tale.current(Role.DECODE)

    tale.wait(15).says(THREE_LONG_SEQUENCES)

    assert tale.desired(Role.DECODE) == before, tale.explain()


def by_default(load: Load) -> Story:
    """A settled service of pools that have no growth window of their own; changes are limited within a minute."""
    behavior = Behavior(direction(None, pods(10, 60.0)), direction(300.0))
    return settled(load, both(replace(ROLE_POLICY, behavior=behavior)))[1]


def test_a_crowd_at_decode_orders_a_replica_only_once_it_has_stayed() -> None:
    """Half a minute of it is over before the replica serves."""
    tale = by_default(Load(8.0))
    before = tale.current(Role.DECODE)

    tale.wait(15).says({"decode.running": 900.0}).wait(15)
    assert tale.desired(Role.DECODE) == before
    assert stage(tale.decision, Role.DECODE, StageName.WINDOW) is Reason.STABILIZED

    tale.wait(30)
    assert tale.desired(Role.DECODE) > before


@pytest.mark.parametrize(("since_the_shrink_s", "waits"), [(300, True), (900, False)])
def test_a_pool_that_shrank_within_ten_minutes_turns_round_only_for_what_stays(
    since_the_shrink_s: int, waits: bool
) -> None:
    tale = by_default(Load(8.0))
    before = tale.current(Role.PREFILL)
    tale.resized_by_hand(Role.PREFILL, before + 1).wait(15).resized_by_hand(Role.PREFILL, before)

    tale.wait(since_the_shrink_s).prefill_queue(9000.0)
    assert (tale.desired(Role.PREFILL) == before) is waits, tale.explain()

    tale.wait(45)
    assert tale.desired(Role.PREFILL) > before


def test_sequences_that_stay_long_grow_decode() -> None:
    _, tale = settled(Load(8.0))
    before = tale.current(Role.DECODE)

    tale.wait(15).says(THREE_LONG_SEQUENCES).wait(120)

    assert tale.desired(Role.DECODE) > before


@either_way
def test_an_empty_queue_at_busy_replicas_is_no_reason_to_shrink(policy: ServicePolicy) -> None:
    """Dynamo removes one when nothing waits, at 89 % busy, and adds it again at the next tick."""
    load = Load(1.78 / prefill_work(Load(1.0)))
    tale = story(2, 2, policy=policy, service=Fluid(load)).at(1800)

    assert min(tale.counts(Role.PREFILL)) >= 2


@either_way
def test_replicas_on_their_way_are_not_ordered_twice(policy: ServicePolicy) -> None:
    """Dynamo #9774, #8422: while pods start, signals stay bad; the same need must not stack up."""
    role = replace(ROLE_POLICY, startup_time_s=600.0)
    roles = {name: replace(policy.roles[name], startup_time_s=600.0) for name in policy.roles}
    slow = replace(policy, roles=roles)
    load = Load(6.0 / prefill_work(Load(1.0)))
    tale = story(4, 4, policy=slow, service=Fluid(load), startup_s=role.startup_time_s).at(60)
    ordered = tale.current(Role.PREFILL)

    tale.at(585)

    assert tale.current(Role.PREFILL) <= 1.5 * ordered, tale.explain()


@either_way
def test_growth_goes_on_while_earlier_replicas_start(policy: ServicePolicy) -> None:
    """Dynamo #8583: waiting for full readiness is a deadlock."""
    fluid = Fluid(Load(16.0))
    tale = story(2, 2, policy=policy, service=fluid, startup_s=600.0).at(120)
    starting = tale.current(Role.PREFILL)

    fluid.load = fluid.load.times(3.0)
    tale.at(420)

    assert starting > 2
    assert tale.current(Role.PREFILL) > starting
