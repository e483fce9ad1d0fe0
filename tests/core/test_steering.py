"""Which pool answers for first tokens that are late: the one that requests wait for, and neither for a step to end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.policy import Role
from tests.support.core import OBJECTIVES, START_S, Missing, Reading, service_policy
from tests.support.story import Scripted, Story, story

# A first token within a second, so that 20 ms of waiting are not harmless.
TIGHT = replace(service_policy(), objectives=replace(OBJECTIVES, ttft=replace(OBJECTIVES.ttft, target_s=1.0)))
TRANSFER_S, STEP_S = 0.01, 0.017


def late(
    *, own_wait_s: float, step_s: Reading = STEP_S, prefill_wait_s: float = 0.001, third_serves_s: float = -1.0
) -> Story:
    """Half an hour in which two of five first tokens are late and requests wait so long for decode, a pool of three."""
    tale = story(2, 3, policy=TIGHT, service=Scripted(), obeyed=False)
    tale.pods[Role.DECODE].ready_at_s[2] = START_S + third_serves_s
    tale.says({"service.ttft_attainment_ratio": 0.6, "service.kv_transfer_time_s": TRANSFER_S})
    tale.says({"decode.queue_time_s": TRANSFER_S + own_wait_s, "decode.step_time_s": step_s})
    return tale.says({"prefill.queue_time_s": prefill_wait_s}).at(1800)


def margin(tale: Story, role: Role) -> float:
    return tale.state.roles[role].headroom.margin


def unavoidable(tale: Story) -> float:
    return tale.state.roles[Role.PREFILL].headroom.unavoidable_ratio


def test_decode_answers_for_late_first_tokens_of_requests_that_wait_for_it() -> None:
    assert margin(late(own_wait_s=0.1), Role.DECODE) > 1.1


def test_decode_does_not_answer_for_the_step_that_every_request_waits_for() -> None:
    assert margin(late(own_wait_s=1.9 * STEP_S), Role.DECODE) == 1.0


def test_a_step_longer_than_promised_excuses_no_wait() -> None:
    assert margin(late(own_wait_s=0.15, step_s=0.2), Role.DECODE) > 1.1


@pytest.mark.parametrize(("own_wait_s", "answers"), [(0.09, False), (0.11, True)])
def test_where_steps_are_not_told_they_count_as_long_as_promised(own_wait_s: float, *, answers: bool) -> None:
    tale = late(own_wait_s=own_wait_s, step_s=Missing.ABSENT)

    assert (margin(tale, Role.DECODE) > 1.0) == answers


def test_what_is_late_though_nobody_waits_is_learned_to_be_unavoidable() -> None:
    assert unavoidable(late(own_wait_s=0.01)) > 0.1


def test_a_wait_for_a_step_is_no_proof_that_nobody_waits() -> None:
    assert unavoidable(late(own_wait_s=1.9 * STEP_S)) == 0.0


def test_prefill_answers_for_late_first_tokens_while_requests_wait_for_a_step_alone() -> None:
    tale = late(own_wait_s=1.9 * STEP_S, prefill_wait_s=0.5)

    assert margin(tale, Role.PREFILL) > 1.1
    assert margin(tale, Role.DECODE) == 1.0


@pytest.mark.parametrize("serves_s", [1700.0, 2000.0])
def test_a_pool_is_not_charged_again_while_a_replica_starts_or_for_what_missed_before_it_served(
    serves_s: float,
) -> None:
    tale = late(own_wait_s=0.1, third_serves_s=serves_s)

    assert margin(tale, Role.DECODE) == 1.0
    assert margin(tale.at(serves_s + 115), Role.DECODE) == 1.0
    assert margin(tale.at(serves_s + 1800), Role.DECODE) > 1.1
