"""Windows, rates and foresight: how soon a service follows its load, and how fast."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.decision import Reason
from autoscaler.core.policy import Behavior, Role, ServicePolicy
from tests.core.fluid import Fluid, Load
from tests.core.loads import BOTH, SETTLED_S, both, either_way, prefill_work, settled
from tests.support.core import ROLE_POLICY, direction, percent, pods, without_prior
from tests.support.story import story


@either_way
def test_load_that_halves_shrinks_after_the_window_and_not_before(policy: ServicePolicy) -> None:
    fluid, tale = settled(Load(40.0), policy)
    before = {role: tale.current(role) for role in BOTH}

    fluid.load = fluid.load.times(0.25)
    tale.wait(105)
    assert tale.current(Role.PREFILL) == before[Role.PREFILL]

    tale.wait(900)
    assert all(tale.current(role) < before[role] for role in BOTH), tale.explain()


@pytest.mark.parametrize("interval_s", [5.0, 15.0, 40.0])
def test_a_window_is_as_long_however_often_is_looked(interval_s: float) -> None:
    """Delays count seconds, not ticks."""
    role = without_prior(replace(ROLE_POLICY, behavior=Behavior(direction(0.0), direction(120.0))))
    tale = story(6, 6, policy=replace(both(role), interval_s=interval_s), service=Fluid(Load(4.0)))

    assert tale.at(119).current(Role.DECODE) == 6
    assert tale.at(120 + interval_s).desired(Role.DECODE) < 6


@either_way
def test_a_window_lets_go_while_the_load_keeps_jittering_below_it(policy: ServicePolicy) -> None:
    """A window that each little peak starts anew never ends (AIBrix #1159, Ray #26455)."""
    fluid = Fluid(Load(40.0))
    tale = story(8, 4, policy=policy, service=fluid).at(900)
    before = tale.current(Role.PREFILL)

    for index in range(120):
        fluid.load = Load(10.0 if index % 2 else 8.0)
        tale.wait(15)

    assert tale.current(Role.PREFILL) <= before / 2


@pytest.mark.parametrize("seed", range(2))
def test_noise_that_looks_like_a_rise_keeps_no_pool_that_is_far_too_large(seed: int) -> None:
    tale = story(12, 6, service=Fluid(Load(20.0), noise_ratio=0.2, seed=seed)).at(2 * 3600)

    assert max(tale.counts(Role.PREFILL, 3600.0)) <= 6
    assert max(tale.counts(Role.DECODE, 3600.0)) <= 4


@either_way
def test_a_short_dip_shrinks_nothing(policy: ServicePolicy) -> None:
    patient = Behavior(direction(0.0), direction(300.0))
    roles = {name: replace(policy.roles[name], behavior=patient) for name in policy.roles}
    fluid, tale = settled(Load(40.0), replace(policy, roles=roles))
    before = tale.current(Role.PREFILL)

    fluid.load = fluid.load.times(0.1)
    tale.wait(60)
    fluid.load = fluid.load.times(10.0)
    tale.wait(600)

    assert min(tale.counts(Role.PREFILL, SETTLED_S)) >= before - 1, "one step down may have been due"


@either_way
def test_a_rate_limits_growth_over_time(policy: ServicePolicy) -> None:
    one_a_minute = Behavior(direction(0.0, pods(1, 60.0)), direction(120.0))
    roles = {name: replace(policy.roles[name], behavior=one_a_minute) for name in policy.roles}

    counts = story(2, 4, policy=replace(policy, roles=roles), service=Fluid(Load(60.0))).at(600).counts(Role.PREFILL)

    assert counts[-1] >= 8
    assert all(counts[index + 4] - counts[index] <= 1 for index in range(len(counts) - 4))


@either_way
def test_a_rate_limits_shrink_over_time(policy: ServicePolicy) -> None:
    half_in_two_minutes = Behavior(direction(0.0), direction(0.0, percent(50, 120.0)))
    roles = {name: replace(policy.roles[name], behavior=half_in_two_minutes) for name in policy.roles}

    counts = story(16, 4, policy=replace(policy, roles=roles), service=Fluid(Load(1.0))).at(900).counts(Role.PREFILL)

    assert counts[-1] == 1
    assert all(counts[index + 8] >= counts[index] // 2 for index in range(len(counts) - 8))


def test_a_change_counts_from_when_it_was_made() -> None:
    """HPA's default, 100 % in 15 s, doubles at every look that is 15 s after the last."""
    doubling = Behavior(direction(0.0, percent(100, 15.0)), direction(120.0))
    tale = story(1, 4, policy=both(replace(ROLE_POLICY, behavior=doubling)), service=Fluid(Load(100.0))).at(60)

    assert tale.counts(Role.PREFILL) == [2, 4, 8, 16]


@either_way
def test_someone_elses_change_is_taken_as_it_is_and_counts_for_the_rates(policy: ServicePolicy) -> None:
    limited = Behavior(direction(0.0, pods(4, 120.0)), direction(120.0))
    roles = {name: replace(policy.roles[name], behavior=limited) for name in policy.roles}
    tale = story(2, 4, policy=replace(policy, roles=roles), service=Fluid(Load(60.0)), obeyed=False).at(150)

    tale.resized_by_hand(Role.PREFILL, 5)

    assert tale.decision.roles[Role.PREFILL].current == 5
    assert tale.desired(Role.PREFILL) == 6, "three of the four pods of this period came by hand"


def test_a_growth_that_is_foreseen_is_ordered_a_startup_time_ahead() -> None:
    """A ramp: the ask leads the load by about one startup time."""
    fluid = Fluid(Load(10.0))
    slow = both(replace(ROLE_POLICY, startup_time_s=300.0))
    tale = story(3, 2, policy=slow, service=fluid, startup_s=300.0).at(900)

    short_ticks = 0
    for _ in range(120):
        fluid.load = Load(fluid.load.requests_per_s + 0.25)
        tale.wait(15)
        short_ticks += tale.decision.roles[Role.PREFILL].ready < prefill_work(fluid.load)

    assert short_ticks <= 24, "prefill was short for more than a fifth of the ramp"
    assert tale.decision.roles[Role.PREFILL].stages[0].reason in {Reason.PREFILL_FORECAST, Reason.PREFILL_BACKLOG}


def test_a_startup_time_that_was_measured_replaces_the_configured_one() -> None:
    tale = story(2, 2, service=Fluid(Load(30.0)), startup_s=200.0).at(600)

    evidence = tale.decision.roles[Role.PREFILL].evidence
    assert evidence is not None
    assert evidence.startup_time_s == 200.0
