"""What a tick tells people, made of its record."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from autoscaler.core.policy import Hold, HoldKind, Mode, Role
from autoscaler.daemon.notices import Notice, Topic, notices_of
from autoscaler.targets.base import Outcome
from tests.daemon.builders import Bench, blind_signals, crowded_decode_signals, policy, role_policy


def told(bench: Bench, *, after_s: float = 15.0) -> list[Notice]:
    return list(notices_of(bench.tick(after_s)))


def only(notices: list[Notice]) -> Notice:
    (notice,) = notices
    return notice


def test_a_pool_that_has_what_it_needs_is_not_told_about() -> None:
    assert told(Bench()) == []


def test_a_change_is_told_with_its_story() -> None:
    notice = only(told(Bench(policy(prefill=role_policy(3)))))

    assert (notice.topic, notice.role, notice.is_warning) == (Topic.SCALED, Role.PREFILL, False)
    assert notice.message.startswith("scaled prefill from 2 to 3 replicas: ")
    assert "the policy wants at least 3" in notice.message


def test_two_changes_are_never_the_same_notice() -> None:
    bench = Bench(policy(prefill=role_policy(3)))
    first = only(told(bench))
    bench.target.counts[Role.PREFILL] = 2

    second = only(told(bench, after_s=3600.0))

    assert first.cause != second.cause


@pytest.mark.parametrize(
    ("outcome", "topic", "is_warning"),
    [
        (Outcome.CONFLICT, Topic.SCALE_CONFLICT, True),
        (Outcome.FORBIDDEN, Topic.SCALE_FAILED, True),
        (Outcome.UNAVAILABLE, Topic.SCALE_FAILED, True),
        (Outcome.REFUSED, Topic.SCALE_FAILED, True),
        (Outcome.FROZEN, Topic.FROZEN, True),
        (Outcome.INSTRUCTED, Topic.ACTION_NEEDED, False),
    ],
)
def test_a_change_that_was_not_made_says_why(outcome: Outcome, topic: Topic, *, is_warning: bool) -> None:
    bench = Bench(policy(prefill=role_policy(3)))
    bench.target.answers[Role.PREFILL] = outcome

    notice = only(told(bench))

    assert (notice.topic, notice.cause, notice.is_warning) == (topic, outcome.value, is_warning)
    assert notice.message == f"prefill from 2 to 3 replicas: deployments/chat-prefill: {outcome.value}"


def test_a_recommendation_is_told() -> None:
    notice = only(told(Bench(policy(Mode.RECOMMEND, prefill=role_policy(3)))))

    assert (notice.topic, notice.cause) == (Topic.RECOMMENDED, "2 to 3")


def test_a_checked_change_is_told() -> None:
    assert only(told(Bench(policy(Mode.SERVER_DRY_RUN, prefill=role_policy(3))))).topic is Topic.SCALE_CHECKED


def test_a_limit_that_holds_growth_back_is_told() -> None:
    bench = Bench(policy(decode=role_policy(1, 2)))
    bench.source.signals = crowded_decode_signals()

    notice = only(told(bench))

    assert (notice.topic, notice.cause, notice.is_warning) == (Topic.LIMITED, "at_max", True)
    assert re.fullmatch(
        r"decode stays at 2 replicas, \d+ were proposed: at max: the policy allows at most 2", notice.message
    )


def test_a_window_that_holds_a_shrink_back_is_told() -> None:
    bench = Bench(policy(prefill=role_policy(1, 10)))
    bench.target.counts[Role.PREFILL] = 6

    notice = only(told(bench))

    assert (notice.topic, notice.cause, notice.is_warning) == (Topic.HELD, "stabilized", False)
    assert notice.message.startswith("prefill stays at 6 replicas, 2 were proposed: stabilized: ")


def test_an_operator_s_hold_is_told() -> None:
    bench = Bench(policy(decode=replace(role_policy(3), hold=Hold(HoldKind.PAUSE))))
    bench.source.signals = crowded_decode_signals()

    notice = only(told(bench))

    assert (notice.topic, notice.cause) == (Topic.HELD, "paused")


def test_signals_that_cannot_be_used_are_told() -> None:
    bench = Bench()
    bench.source.signals = blind_signals()

    notices = told(bench)

    assert {(notice.role, notice.topic, notice.cause) for notice in notices} == {
        (role, Topic.HELD, "signals_unusable") for role in (Role.PREFILL, Role.DECODE)
    }
    assert "refused the connection" in notices[0].message


def test_a_pool_that_cannot_be_read_is_told() -> None:
    bench = Bench()
    bench.target.errors[Role.PREFILL] = "deployment chat-prefill does not exist"

    notice = only(told(bench))

    assert (notice.topic, notice.is_warning) == (Topic.UNREADABLE, True)
    assert notice.message == "prefill cannot be decided: deployment chat-prefill does not exist"


def test_a_tick_that_failed_tells_nothing_here() -> None:
    bench = Bench()

    def fail() -> None:
        raise ZeroDivisionError

    bench.source.on_read = fail

    assert told(bench) == []
