"""Decode that serves both phases: what it is sized by, what it learns, and what it answers for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from autoscaler.core.capacity import scaled_prefill
from autoscaler.core.decision import Reason, Stage, SwitchStep
from autoscaler.core.policy import Disaggregation, Role, ServicePolicy, SwitchPolicy
from autoscaler.core.state import State, SwitchState
from tests.support.core import (
    ENGINE,
    PROMPTS_AT_DECODE,
    ROLE_POLICY,
    START_S,
    Missing,
    Reading,
    service_policy,
    without_prior,
)
from tests.support.story import Story, story

OFF = SwitchPolicy(Disaggregation.OFF)


def off(readings: Mapping[str, Reading] | None = None, policy: ServicePolicy | None = None, decode: int = 1) -> Story:
    """A service whose disaggregation has long been off."""
    tale = story(0, decode, policy=replace(policy or service_policy(), switch=OFF), obeyed=False)
    tale.state = State(started_at_s=START_S - 90_000.0, switch=SwitchState(SwitchStep.OFF, START_S - 90_000.0))
    return tale.says({**PROMPTS_AT_DECODE, **(readings or {})})


def proposed(tale: Story) -> Stage:
    return tale.decision.roles[Role.DECODE].stages[0]


@pytest.mark.parametrize(("running", "binds"), [(1.0, "by_rate"), (2000.0, "by_residency")])
def test_a_pool_with_much_to_spare_is_sized_by_what_arrives_and_a_starved_one_by_what_runs(
    running: float, binds: str
) -> None:
    tale = off({"decode.running": running})

    numbers, evidence = proposed(tale).numbers, tale.decision.roles[Role.DECODE].evidence
    assert numbers[binds] == max(numbers["by_rate"], numbers["by_residency"])
    assert evidence is not None
    assert evidence.demand == pytest.approx(numbers[binds] + numbers["backlog"])


def test_a_queue_before_either_pool_is_to_be_worked_off_within_a_minute() -> None:
    numbers = proposed(off({"decode.waiting": 500.0, "prefill.queue_depth": 100.0})).numbers

    served_per_s = 40.0 / numbers["by_rate"]
    assert numbers["backlog"] == pytest.approx(600.0 / served_per_s / 60.0)


def test_the_blocks_that_a_replica_is_seen_to_have_limit_its_batch() -> None:
    small = proposed(off({"decode.kv_capacity_tokens": 50_000.0})).numbers

    assert small["sequences"] < 50_000.0 / 2000.0 < proposed(off()).numbers["sequences"]


def test_prompts_take_the_time_that_prefill_is_known_to_take() -> None:
    slow = replace(ENGINE, prefill=scaled_prefill(ENGINE.prefill, (2.0, 2.0, 2.0)))

    usual, slower = (
        proposed(off(policy=service_policy(replace(ROLE_POLICY, engine=engine)))).numbers["by_rate"]
        for engine in (ENGINE, slow)
    )

    assert slower > 1.3 * usual


@pytest.mark.parametrize("unknown", [Role.PREFILL, Role.DECODE])
def test_without_a_model_of_either_phase_rules_decide(unknown: Role) -> None:
    roles = {role: without_prior() if role is unknown else ROLE_POLICY for role in (Role.PREFILL, Role.DECODE)}

    tale = off({"decode.kv_utilization_mean": 0.6}, service_policy(roles[Role.PREFILL], roles[Role.DECODE]))

    assert proposed(tale).reason is Reason.KV_UTILIZATION


@pytest.mark.parametrize("absent", ["decode.running", "decode.waiting"])
def test_without_the_requests_that_are_there_rules_decide_and_nothing_shrinks(absent: str) -> None:
    tale = off({absent: Missing.ABSENT}, decode=12)

    assert proposed(tale).reason is Reason.KV_UTILIZATION
    assert tale.at(1800).desired(Role.DECODE) == 12


def test_what_one_pool_for_both_phases_would_be_asked_for_is_remembered_from_tick_to_tick() -> None:
    tale = off().at(600)

    evidence = tale.decision.roles[Role.DECODE].evidence
    assert evidence is not None
    assert evidence.forecast is not None
    assert tale.state.roles[Role.AGGREGATED].forecast.at_s == tale.now


def margin(readings: Mapping[str, Reading]) -> float:
    """The margin on the pool's work after half an hour of these readings."""
    return proposed(off(readings).at(1800)).numbers["margin"]


@pytest.mark.parametrize("missed", ["service.ttft_attainment_ratio", "service.tpot_attainment_ratio"])
def test_the_pool_answers_for_both_objectives(missed: str) -> None:
    assert margin({missed: 0.6, "decode.queue_time_s": 0.5}) > 1.1


def test_the_pool_does_not_answer_for_first_tokens_that_are_late_though_nobody_waits() -> None:
    assert margin({"service.ttft_attainment_ratio": 0.6, "decode.queue_time_s": 0.001}) == 1.0


def test_the_pool_is_not_charged_for_what_missed_before_its_last_replica_served() -> None:
    tale = off({"service.ttft_attainment_ratio": 0.6, "decode.queue_time_s": 0.5}, decode=2)
    tale.pods[Role.DECODE].ready_at_s[-1] = START_S + 1700.0

    assert proposed(tale.at(1800)).numbers["margin"] == 1.0
    assert proposed(tale.at(3600)).numbers["margin"] > 1.1


def test_the_pool_does_not_answer_for_the_step_that_every_request_waits_for() -> None:
    waiting: dict[str, Reading] = {"decode.queue_time_s": 0.06, "decode.step_time_s": 0.035}

    assert margin({"service.ttft_attainment_ratio": 0.6, **waiting}) == 1.0
    assert margin({"service.ttft_attainment_ratio": 0.6, **waiting, "decode.step_time_s": 0.025}) > 1.1


def test_what_was_late_though_nobody_waited_is_no_fault_of_the_pool_once_somebody_waits() -> None:
    late: dict[str, Reading] = {"service.ttft_attainment_ratio": 0.6}
    each_minute = replace(service_policy(), interval_s=60.0)
    tale = off({**late, "decode.queue_time_s": 0.001}, each_minute).at(4 * 3600)

    tale.says({"decode.queue_time_s": 0.5}).wait(1800)

    assert proposed(tale).numbers["margin"] == 1.0
