"""Signals that are missing, old, idle or back again: absent is never zero, and blind is never brave."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.decision import Reason
from autoscaler.core.policy import Role, ServicePolicy
from autoscaler.core.signals import Scope
from autoscaler.core.state import State
from tests.core.fluid import Fluid, Load
from tests.support.core import NO_TRAFFIC, ROLE_POLICY, Missing, Reading, every, service_policy, without_prior
from tests.support.story import Scripted, Story, story

BOTH = (Role.PREFILL, Role.DECODE)
WITH_PRIOR = service_policy()
BY_RULES = service_policy(without_prior(), without_prior())
BLIND = every(Missing.ABSENT)
OLD = every(Missing.STALE)

either_way = pytest.mark.parametrize("policy", [WITH_PRIOR, BY_RULES], ids=["with a prior", "by rules"])


def with_fallback(replicas: int) -> ServicePolicy:
    role = replace(ROLE_POLICY, fallback_replicas=replicas)
    return service_policy(role, role)


def oversized(policy: ServicePolicy = WITH_PRIOR, *, obeyed: bool = True) -> Story:
    """Ten replicas each, for work for about one."""
    return story(10, 10, policy=policy, service=Fluid(Load(4.0)), obeyed=obeyed)


@either_way
def test_an_oversized_service_shrinks_while_its_signals_are_fine(policy: ServicePolicy) -> None:
    """The control of every story below that holds."""
    tale = oversized(policy).at(600)

    assert all(tale.desired(role) <= 3 for role in BOTH), tale.explain()


@either_way
@pytest.mark.parametrize("missing", [BLIND, OLD], ids=["absent", "stale"])
def test_without_any_signal_nothing_shrinks_for_as_long_as_it_takes(
    policy: ServicePolicy, missing: dict[str, Reading]
) -> None:
    tale = oversized(policy).says(missing).at(7200)

    assert {role: set(tale.counts(role)) for role in BOTH} == {role: {10} for role in BOTH}


@either_way
def test_without_any_signal_the_reason_names_what_is_missing(policy: ServicePolicy) -> None:
    tale = oversized(policy).says(BLIND)

    tale.expect(prefill=10, decode=10, because=Reason.SIGNALS_UNUSABLE)
    for role, name in ((Role.PREFILL, "queue_depth"), (Role.DECODE, "kv_utilization_mean")):
        assert f"{name} is absent: no series matches" in tale.decision.roles[role].stages[0].detail


def test_a_stack_that_exports_nothing_says_so() -> None:
    tale = oversized().says(every(Missing.UNKNOWN_TO_STACK))

    assert "the stack does not export it" in tale.decision.roles[Role.DECODE].stages[0].detail


@either_way
@pytest.mark.parametrize(
    ("role", "name"),
    [
        (Role.PREFILL, "prefill.queue_depth"),
        (Role.PREFILL, "prefill.offered_tokens_per_s"),
        (Role.DECODE, "decode.running"),
        (Role.DECODE, "decode.waiting"),
        (Role.DECODE, "decode.kv_utilization_mean"),
    ],
)
@pytest.mark.parametrize("missing", [Missing.ABSENT, Missing.STALE])
def test_a_pool_shrinks_only_while_all_its_signals_are_fine(
    policy: ServicePolicy, role: Role, name: str, missing: Missing
) -> None:
    tale = oversized(policy).says({name: missing}).at(900)

    assert set(tale.counts(role)) == {10}
    assert tale.reasons(role) & {Reason.SHRINK_NEEDS_ALL_SIGNALS, Reason.SIGNALS_UNUSABLE}


@either_way
@pytest.mark.parametrize("name", ["prefill.queue_depth", "decode.waiting", "decode.kv_utilization_mean"])
def test_a_signal_that_is_absent_is_not_taken_for_zero(policy: ServicePolicy, name: str) -> None:
    blind, calm = (
        story(6, 6, policy=policy, service=Fluid(Load(12.0)), obeyed=False).says({name: reading}).at(600)
        for reading in (Missing.ABSENT, 0.0)
    )

    assert all(blind.desired(role) >= calm.desired(role) for role in BOTH)


@pytest.mark.parametrize("name", ["prefill.uncached_ratio", "prefill.queue_depth", "decode.waiting"])
def test_what_rounds_below_zero_is_zero(name: str) -> None:
    """`1 - hits / queries` is -2e-16 when everything is cached."""
    zero, below = (oversized(obeyed=False).says({name: reading}).at(600) for reading in (0.0, -2e-16))

    assert {role: below.desired(role) for role in BOTH} == {role: zero.desired(role) for role in BOTH}


@either_way
def test_a_pool_grows_on_the_signals_that_are_left(policy: ServicePolicy) -> None:
    """One dead query must not hide a service on fire."""
    tale = story(2, 2, policy=policy, service=Fluid(Load(40.0)))
    tale.says({"prefill.uncached_ratio": Missing.ABSENT, "prefill.queue_time_s": Missing.STALE})
    tale.says({"decode.waiting_for_kv": Missing.ABSENT, "service.ttft_s": Missing.ABSENT})

    assert tale.at(120).current(Role.PREFILL) > 2, tale.explain()


@either_way
@pytest.mark.parametrize("role", BOTH)
def test_a_pool_does_not_shrink_while_some_of_its_replicas_do_not_report(policy: ServicePolicy, role: Role) -> None:
    """Sums over those that do say nothing of the work of the others."""
    tale = oversized(policy).says({f"{role}.reporting_replicas": 9.0}).at(900)

    assert set(tale.counts(role)) == {10}
    assert Reason.SHRINK_NEEDS_ALL_SIGNALS in tale.reasons(role)
    assert "of 10 replicas that serve 9 report" in tale.explain()

    tale.wait(15).says({f"{role}.reporting_replicas": 10.0}).wait(900)
    assert tale.desired(role) <= 3


def test_a_replica_that_has_just_become_ready_need_not_report_yet() -> None:
    tale = oversized(obeyed=False).says({"prefill.reporting_replicas": 10.0}).at(900)
    tale.pods[Role.PREFILL].ready_at_s.append(tale.time_s)

    tale.wait(105)
    assert Reason.SHRINK_NEEDS_ALL_SIGNALS not in tale.reasons(Role.PREFILL)

    tale.wait(60)
    assert Reason.SHRINK_NEEDS_ALL_SIGNALS in tale.reasons(Role.PREFILL), tale.explain()


@either_way
def test_a_pool_grows_though_some_of_its_replicas_do_not_report(policy: ServicePolicy) -> None:
    tale = story(2, 2, policy=policy, service=Fluid(Load(40.0))).says({"prefill.reporting_replicas": 1.0})

    assert tale.at(120).current(Role.PREFILL) > 2, tale.explain()


@either_way
@pytest.mark.parametrize("waiting", [50.0, 5000.0])
def test_a_prefill_pool_that_hangs_is_not_taken_for_idle(policy: ServicePolicy, waiting: float) -> None:
    """What is offered is told by what is served and by how the queue grows: of a queue that stands still, nothing."""
    hangs: dict[str, Reading] = {
        "prefill.offered_tokens_per_s": 0.0,
        "prefill.request_rate": 0.0,
        "service.request_rate": 0.0,
        "prefill.in_flight": 32.0,
    }
    tale = story(8, 4, policy=policy, service=Scripted(), obeyed=False).says(hangs).prefill_queue(waiting).at(1800)

    assert min(tale.counts(Role.PREFILL)) >= 8, tale.explain()
    assert tale.desired(Role.PREFILL) >= 8, tale.explain()


@either_way
def test_an_outage_of_metrics_holds_and_recovery_needs_no_restart(policy: ServicePolicy) -> None:
    tale = oversized(policy).at(30).says(BLIND).at(900)
    assert {role: tale.desired(role) for role in BOTH} == dict.fromkeys(BOTH, 10)

    tale.wait(15).as_before().wait(240)

    assert all(tale.desired(role) < 10 for role in BOTH), tale.explain()


@either_way
def test_a_shrink_does_not_happen_at_once_when_signals_return(policy: ServicePolicy) -> None:
    """A pool that held blind for an hour has no calm window behind it."""
    tale = oversized(policy).at(30).says(BLIND).at(3600).as_before()

    assert {role: tale.desired(role) for role in BOTH} == dict.fromkeys(BOTH, 10)


def test_after_the_deadline_an_outage_grows_to_the_fallback() -> None:
    tale = story(2, 2, policy=with_fallback(5)).says(BLIND)

    assert tale.at(585).desired(Role.DECODE) == 2
    tale.at(600).expect(prefill=5, decode=5, because=Reason.FALLBACK)


def test_the_fallback_never_shrinks() -> None:
    tale = story(8, 8, policy=with_fallback(5)).says(BLIND)

    tale.at(3600).expect(prefill=8, decode=8, because=Reason.SIGNALS_UNUSABLE)


def test_a_blink_in_an_outage_starts_the_deadline_again() -> None:
    tale = story(2, 2, policy=with_fallback(5)).says(BLIND).at(500).as_before().at(515).says(BLIND)

    assert tale.at(1000).desired(Role.DECODE) == 2
    assert tale.at(1140).desired(Role.DECODE) == 5


@pytest.mark.parametrize("dead", BOTH)
def test_one_pool_that_is_blind_falls_back_while_the_other_is_live(dead: Role) -> None:
    tale = story(2, 2, policy=with_fallback(5)).says(every(Missing.ABSENT, Scope(dead.value)))

    assert tale.at(900).desired(dead) == 5


@either_way
def test_no_traffic_at_all_shrinks_to_the_minimum_although_every_mean_is_nan(policy: ServicePolicy) -> None:
    tale = story(7, 3, policy=policy, service=Fluid(Load(30.0))).at(300).served_by(Scripted(NO_TRAFFIC))

    tale.at(900).expect(prefill=1, decode=1)
    assert Reason.IDLE in tale.reasons(Role.PREFILL)
    assert Reason.IDLE in tale.reasons(Role.DECODE)


@either_way
def test_no_traffic_shrinks_a_pool_that_may_go_to_nothing(policy: ServicePolicy) -> None:
    roles = {**policy.roles, Role.PREFILL: replace(policy.roles[Role.PREFILL], min_replicas=0)}
    tale = story(3, 3, policy=replace(policy, roles=roles), service=Scripted(NO_TRAFFIC))

    tale.at(900).expect(prefill=0, decode=1)


@either_way
def test_traffic_that_comes_back_grows_a_pool_from_nothing(policy: ServicePolicy) -> None:
    roles = {**policy.roles, Role.PREFILL: replace(policy.roles[Role.PREFILL], min_replicas=0)}
    tale = story(0, 1, policy=replace(policy, roles=roles), service=Scripted(NO_TRAFFIC)).at(300)

    tale.says({"prefill.queue_depth": 30.0, "prefill.request_rate": 8.0, "service.request_rate": 8.0})
    tale.says({"prefill.offered_tokens_per_s": 16_000.0, "service.input_tokens_mean": 2000.0})

    assert tale.at(360).current(Role.PREFILL) >= 1, tale.explain()


@either_way
def test_no_traffic_holds_before_it_shrinks(policy: ServicePolicy) -> None:
    """A sudden silence is more often a broken gateway than a public holiday."""
    tale = story(7, 3, policy=policy, service=Fluid(Load(30.0))).at(300).served_by(Scripted(NO_TRAFFIC))
    before = {role: tale.current(role) for role in BOTH}

    assert {role: tale.desired(role) for role in BOTH} == before


def test_silence_that_cannot_be_told_from_a_dead_gateway_is_not_idle() -> None:
    """Nothing waits and nothing runs, but whether requests arrive is unknown."""
    tale = story(5, 5, service=Scripted(NO_TRAFFIC)).says({"service.request_rate": Missing.ABSENT})
    tale.says({"prefill.offered_tokens_per_s": Missing.ABSENT})

    assert set(tale.at(900).counts(Role.PREFILL)) == {5}


@either_way
@pytest.mark.parametrize("after_s", [0.0, 45.0, 105.0])
def test_a_restart_without_memory_shrinks_nothing_for_one_window(policy: ServicePolicy, after_s: float) -> None:
    tale = oversized(policy, obeyed=False).at(900)
    assert all(tale.desired(role) < 10 for role in BOTH)

    tale.wait(15).restart(remembers=False).wait(after_s)

    assert {role: tale.desired(role) for role in BOTH} == dict.fromkeys(BOTH, 10)
    assert all(tale.wait(180).desired(role) < 10 for role in BOTH)


@either_way
def test_a_restart_with_memory_goes_on_as_if_nothing_had_happened(policy: ServicePolicy) -> None:
    unbroken, restarted = (oversized(policy).at(300) for _ in range(2))
    restarted.restart(remembers=True)

    for tale in (unbroken, restarted):
        tale.at(900)

    assert {role: unbroken.counts(role) for role in BOTH} == {role: restarted.counts(role) for role in BOTH}


@either_way
def test_a_restart_without_memory_may_grow_at_once(policy: ServicePolicy) -> None:
    tale = story(2, 2, policy=policy, service=Fluid(Load(40.0))).at(45)
    tale.restart(remembers=False)
    tale.state = State()

    assert tale.desired(Role.PREFILL) > 2


def test_a_pool_whose_replicas_are_unknown_is_left_alone_and_said_so() -> None:
    tale = oversized().at(300)
    del tale.pods[Role.PREFILL]

    decided = tale.wait(15).decision

    assert Role.PREFILL not in decided.roles
    assert decided.undecided[Role.PREFILL] == "its replica count is unknown"
    assert Role.DECODE in decided.roles
