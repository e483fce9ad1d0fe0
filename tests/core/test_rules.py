"""Rules, while no model can be trusted: what is not idle, and what they do without one of their signals."""

from __future__ import annotations

import pytest

from autoscaler.core.decision import Reason
from autoscaler.core.policy import Role, ServicePolicy
from tests.support.core import NO_TRAFFIC, Missing, Reading, service_policy, without_prior
from tests.support.story import Scripted, story

BY_RULES = service_policy(without_prior(), without_prior())


@pytest.mark.parametrize(
    ("left", "role"),
    [
        ("prefill.queue_depth", Role.PREFILL),
        ("prefill.in_flight", Role.PREFILL),
        ("decode.waiting", Role.DECODE),
    ],
)
def test_a_pool_with_requests_is_not_idle_though_none_finishes(left: str, role: Role) -> None:
    tale = story(4, 4, policy=BY_RULES, service=Scripted(NO_TRAFFIC), obeyed=False).says({left: 50.0}).at(1800)

    assert min(tale.counts(role)) >= 4, tale.explain()


def test_the_first_replica_of_a_pool_is_one() -> None:
    tale = story(0, 2, policy=BY_RULES).says({"prefill.request_rate": Missing.ABSENT, "prefill.in_flight": 0.0})

    tale.expect(prefill=1, because=Reason.FIRST_REPLICA)


@pytest.mark.parametrize("absent", ["prefill.prefill_time_s", "prefill.in_flight", "prefill.request_rate"])
def test_a_queue_of_which_not_all_is_known_lets_no_replica_go(absent: str) -> None:
    readings: dict[str, Reading] = {"prefill.queue_depth": 60.0, absent: Missing.ABSENT}
    tale = story(4, 4, policy=BY_RULES, obeyed=False).says(readings).at(600)

    assert min(tale.counts(Role.PREFILL)) >= 4, tale.explain()


def test_a_queue_whose_prefill_time_is_unknown_asks_for_one_replica_more() -> None:
    unknown: dict[str, Reading] = {"prefill.queue_depth": 60.0, "prefill.prefill_time_s": Missing.ABSENT}

    story(4, 4, policy=BY_RULES).says(unknown).expect(prefill=5, because=Reason.PREFILL_BACKLOG)


def test_a_queue_whose_prefill_time_is_known_asks_for_what_drains_it_in_time() -> None:
    tale = story(4, 4, policy=BY_RULES).prefill_queue(100.0)

    step = tale.decision.roles[Role.PREFILL].stages[0]
    numbers = step.numbers
    assert step.reason is Reason.PREFILL_BACKLOG
    drained_per_s = numbers["queue_depth"] / numbers["wait_budget_s"]
    assert step.after - 1 < (numbers["request_rate"] + drained_per_s) * numbers["service_s"] <= step.after


def test_a_prefill_pool_whose_times_are_unknown_is_sized_by_what_it_works_on() -> None:
    readings: dict[str, Reading] = {"prefill.queue_depth": 0.0, "prefill.prefill_time_s": Missing.ABSENT}

    tale = story(4, 4, policy=BY_RULES).says({**readings, "prefill.in_flight": 3.5})

    tale.expect(prefill=5, because=Reason.PREFILL_THROUGHPUT)


def test_requests_that_wait_for_decode_get_replicas_for_the_batch_that_a_full_one_carries() -> None:
    """Four replicas that are a quarter full with ten sequences each could carry forty."""
    busy: dict[str, Reading] = {"decode.running": 40.0, "decode.kv_utilization_mean": 0.25, "decode.waiting": 100.0}

    step = story(4, 4, policy=BY_RULES).says(busy).decision.roles[Role.DECODE].stages[0]

    assert step.reason is Reason.DECODE_WAITING
    assert step.numbers["batch"] == pytest.approx(40.0)
    assert step.after == 4 + 3


@pytest.mark.parametrize(
    "hot", [{"decode.preemption_rate": 0.5}, {"decode.kv_utilization_max": 0.98}], ids=["preempts", "full"]
)
@pytest.mark.parametrize("policy", [BY_RULES, service_policy()], ids=["by rules", "with a prior"])
def test_a_decode_pool_with_an_engine_out_of_blocks_keeps_its_replicas(
    policy: ServicePolicy, hot: dict[str, Reading]
) -> None:
    tale = story(4, 4, policy=policy, obeyed=False).says(hot).at(900)

    assert set(tale.counts(Role.DECODE)) == {4}
    assert tale.decision.roles[Role.DECODE].stages[0].reason is Reason.KV_FULL


def test_requests_that_wait_for_their_kv_alone_ask_for_no_decode_replica() -> None:
    tale = story(4, 4, policy=BY_RULES).says({"decode.waiting": 50.0, "decode.waiting_for_kv": 50.0}).at(3600)

    assert max(tale.counts(Role.DECODE)) == 4, tale.explain()


@pytest.mark.parametrize(("running", "replicas"), [(10.0, 2), (125.0, 26)])
def test_a_tpot_that_replicas_do_not_mend_does_not_make_decode_swing(running: float, replicas: int) -> None:
    missed: dict[str, Reading] = {"decode.running": running, "decode.kv_utilization_mean": 0.05, "service.tpot_s": 0.08}
    tale = story(4, replicas, policy=BY_RULES).says(missed).at(14_400)

    counts = list(tale.counts(Role.DECODE))
    assert counts == sorted(counts), tale.explain()
