"""What a tick tells people, made of its record."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from autoscaler.core.policy import Disaggregation, Hold, HoldKind, Mode, Role, SwitchPolicy
from autoscaler.daemon.notices import Notice, Topic, notices_of
from autoscaler.daemon.switching import StackSwitch
from autoscaler.targets.base import Outcome
from autoscaler.targets.switch import Position
from tests.daemon.builders import Bench, blind_signals, crowded_decode_signals, policy, role_policy
from tests.daemon.test_switching import ScriptedSwitch, without_prefill_load


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
        (Outcome.DEFERRED, Topic.HELD, False),
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


def switch_notices(answer: Outcome = Outcome.APPLIED) -> list[Notice]:
    """What is told of a switch that the policy turns off, without what is told of the pools."""
    switch = ScriptedSwitch(answer=answer)
    wanted = replace(policy(), switch=SwitchPolicy(Disaggregation.OFF, confirm_s=60.0, lease_s=30.0))
    bench = Bench(wanted, switch=StackSwitch(lambda _target: switch))
    found = []
    for _ in range(30):
        found += [notice for notice in told(bench) if notice.role is None]
        bench.source.signals = without_prefill_load()
    return found


def once(notices: list[Notice]) -> list[tuple[Topic, str]]:
    """Each notice the first time, by topic and the words before its numbers."""
    return list(dict.fromkeys((notice.topic, notice.message.partition(":")[0]) for notice in notices))


def test_a_move_of_the_switch_is_told_step_by_step_and_when_it_is_done() -> None:
    notices = switch_notices()

    assert once(notices) == [
        (Topic.SWITCHING, "the switch is moved, growing decode"),
        (Topic.SWITCHING, "the switch is moved, closing"),
        (Topic.SWITCHING, "the switch is moved, draining prefill"),
        (Topic.SWITCHED, "the switch is off"),
    ]
    assert {notice.cause for notice in notices if notice.topic is Topic.SWITCHING} == {
        "growing_decode",
        "closing",
        "draining_prefill",
    }
    assert [notice.is_warning for notice in notices] == [False] * len(notices)


def test_a_switch_that_the_server_refuses_to_move_is_a_warning_with_its_words() -> None:
    notices = switch_notices(Outcome.FORBIDDEN)

    failed = [notice for notice in notices if notice.topic is Topic.SWITCH_FAILED]
    assert failed[0].message == "the switch is not moved: configmaps/epp: done"
    assert failed[0].is_warning
    assert failed[0].cause == failed[1].cause


def test_a_stack_that_does_not_follow_its_switch_is_a_warning() -> None:
    notices = switch_notices(Outcome.CONFLICT)

    given_up = [notice for notice in notices if notice.message.startswith("the switch stays on: given up")]
    assert [(notice.topic, notice.is_warning) for notice in given_up[:1]] == [(Topic.SWITCH_FAILED, True)]


def test_a_stack_that_does_not_show_that_it_was_opened_is_a_warning() -> None:
    wanted = replace(policy(), switch=SwitchPolicy(Disaggregation.ON, confirm_s=60.0))
    switch = ScriptedSwitch(Position.OFF, answer=Outcome.CONFLICT)
    bench = Bench(wanted, switch=StackSwitch(lambda _target: switch))

    notices = [notice for _ in range(30) for notice in told(bench) if notice.role is None]

    given_up = [notice for notice in notices if notice.message.startswith("the switch stays off: given up")]
    assert [(notice.topic, notice.is_warning) for notice in given_up[:1]] == [(Topic.SWITCH_FAILED, True)]


@pytest.mark.parametrize(
    ("outcome", "topic"),
    [
        (Outcome.FROZEN, Topic.FROZEN),
        (Outcome.INSTRUCTED, Topic.ACTION_NEEDED),
        (Outcome.DEFERRED, Topic.HELD),
    ],
)
def test_who_keeps_the_switch_from_being_moved_is_told_under_a_topic_of_its_own(outcome: Outcome, topic: Topic) -> None:
    assert topic in {notice.topic for notice in switch_notices(outcome)}
