"""The stack's switch in the daemon, with the real core deciding."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from autoscaler.core.decision import SwitchDecision, SwitchStep
from autoscaler.core.policy import Disaggregation, Mode, Role, SwitchPolicy
from autoscaler.core.signals import Scope, Signal, measured
from autoscaler.daemon.conditions import accepted, conditions_of
from autoscaler.daemon.leadership import LED_BY_ANOTHER
from autoscaler.daemon.ledger import Account
from autoscaler.daemon.metrics.of_service import of_service
from autoscaler.daemon.notices import notices_of
from autoscaler.daemon.policy_status import status_of
from autoscaler.daemon.switching import StackSwitch, SwitchHand, setting_text
from autoscaler.daemon.tick import Dependency, Tick
from autoscaler.targets.base import Outcome, PoolReading, WriteResult
from autoscaler.targets.switch import (
    ALWAYS_TOKENS,
    NEVER_TOKENS,
    InstructedSwitch,
    Position,
    PrefillZeroSwitch,
    Setting,
    SwitchReading,
)
from tests.daemon.builders import Bench, ScriptedSource, ScriptedTarget, crowded_decode_signals, policy, steady_signals

OFF = SwitchPolicy(Disaggregation.OFF, confirm_s=60.0, lease_s=30.0)


@dataclass
class ScriptedSwitch:
    """A switch of its own; `answer` says what becomes of moving it."""

    position: Position = Position.ON
    answer: Outcome = Outcome.APPLIED
    asked: list[tuple[Setting, bool]] = field(default_factory=list)
    broken: bool = False
    closed: bool = False
    threshold_tokens: float | None = None

    def read(self) -> SwitchReading:
        if self.broken:
            raise RuntimeError("no such key")
        return SwitchReading(self.position, self.threshold_tokens, f"the field is {self.position}")

    def set(self, setting: Setting, *, dry_run: bool) -> WriteResult:
        if self.broken:
            raise RuntimeError("no such key")
        self.asked.append((setting, dry_run))
        if self.answer is Outcome.APPLIED and not dry_run:
            self.position = Position.ON if setting is Position.ON else Position.OFF
        return WriteResult(Outcome.DRY_RUN if dry_run else self.answer, "configmaps/epp: done")

    def close(self) -> None:
        self.closed = True


def bench(switch: ScriptedSwitch, mode: Mode = Mode.ENFORCE, off: SwitchPolicy = OFF) -> Bench:
    wanted = replace(policy(mode), switch=off)
    return Bench(policy=wanted, switch=StackSwitch(lambda _target: switch, switch.close))


def stepped(made: Bench, step: SwitchStep, ticks: int = 20) -> Tick:
    """Tick until the switch stands there."""
    for _ in range(ticks):
        done = made.tick()
        assert done.decision is not None
        assert done.decision.switch is not None
        if done.decision.switch.step is step:
            return done
    raise AssertionError(f"never came to {step}")


def metrics_of(made: Bench, done: Tick) -> dict[str, object]:
    """What the metrics say after a tick, those with labels left out."""
    account = Account(made.policy, "serving", 0.0, latest=done)
    samples = of_service(account, lambda at_s: at_s, lambda _service: True)
    return {sample.name: sample.value for sample in samples if not sample.labels}


def without_prefill_load() -> dict[Scope, dict[str, Signal]]:
    signals = steady_signals()
    signals[Scope.PREFILL] = {
        "queue_depth": measured(0.0, "requests", 1.0),
        "in_flight": measured(0.0, "requests", 1.0),
        "offered_tokens_per_s": measured(0.0, "tokens/s", 1.0),
    }
    return signals


def test_a_switch_that_the_policy_turns_off_is_moved_read_back_and_prefill_then_emptied() -> None:
    switch = ScriptedSwitch()
    made = bench(switch)

    closing = stepped(made, SwitchStep.CLOSING)
    assert switch.asked == [(Position.OFF, False)]
    assert closing.switched == WriteResult(Outcome.APPLIED, "configmaps/epp: done")
    assert made.target.writes == []

    made.source.signals = without_prefill_load()
    after = stepped(made, SwitchStep.OFF)
    assert after.switch is not None
    assert after.switch.position is Position.OFF
    made.tick()
    assert made.target.counts[Role.PREFILL] == 0
    assert len(switch.asked) == 1


@pytest.mark.parametrize(
    ("stands", "begun_by", "growing", "edited_to", "rests"),
    [
        (Position.ON, Disaggregation.OFF, SwitchStep.GROWING_DECODE, Disaggregation.ON, SwitchStep.ON),
        (Position.OFF, Disaggregation.ON, SwitchStep.GROWING_PREFILL, Disaggregation.OFF, SwitchStep.OFF),
    ],
)
def test_a_change_that_the_policy_takes_back_while_replicas_grow_moves_nothing(
    stands: Position,
    begun_by: Disaggregation,
    growing: SwitchStep,
    edited_to: Disaggregation,
    rests: SwitchStep,
) -> None:
    switch = ScriptedSwitch(stands)
    made = bench(switch, off=replace(OFF, disaggregation=begun_by))
    stepped(made, growing)

    made.policy = replace(made.policy, switch=replace(OFF, disaggregation=edited_to))
    made.runner.close()
    made.restart()

    stepped(made, rests, ticks=1)
    for _ in range(10):
        stepped(made, rests, ticks=1)
    assert switch.asked == []


def test_the_move_is_logged_once_with_what_the_stack_shows_and_what_came_of_it() -> None:
    made = bench(ScriptedSwitch(answer=Outcome.CONFLICT))

    stepped(made, SwitchStep.CLOSING)
    made.tick()

    lines = [line for line in made.lines if line["event"] == "switch" and line["to"] == "off"]
    (line,) = lines
    assert (line["step"], line["outcome"], line["message"]) == ("closing", "conflict", "configmaps/epp: done")
    assert (line["shown"], line["mode"]) == ("the field is on", "enforce")


def test_recommending_says_what_it_would_do_and_moves_nothing() -> None:
    switch = ScriptedSwitch()
    made = bench(switch, Mode.RECOMMEND)

    done = stepped(made, SwitchStep.CLOSING)

    assert (switch.asked, done.switched) == ([], None)
    assert [line["to"] for line in made.lines if line["event"] == "switch" and line["step"] == "closing"] == ["off"]


def test_a_server_dry_run_moves_the_switch_only_as_one() -> None:
    switch = ScriptedSwitch()

    stepped(bench(switch, Mode.SERVER_DRY_RUN), SwitchStep.CLOSING)

    assert switch.asked == [(Position.OFF, True)]


def test_who_does_not_lead_reads_the_switch_and_does_not_move_it() -> None:
    switch = ScriptedSwitch()
    made = bench(switch)
    made.may_write = lambda: False

    done = stepped(made, SwitchStep.CLOSING)

    assert (switch.asked, done.switched) == ([], None)


def test_a_lease_that_is_lost_while_others_are_looked_for_leaves_the_switch_alone() -> None:
    switch = ScriptedSwitch()
    made = bench(switch)

    def others() -> tuple[str, ...]:
        made.may_write = lambda: False
        return ()

    made.switch = StackSwitch(lambda _target: switch, others=others)
    made.restart()

    done = stepped(made, SwitchStep.CLOSING)

    assert (switch.asked, done.switched, done.troubles) == ([], LED_BY_ANOTHER, ())


def test_the_intent_is_kept_before_the_switch_is_moved() -> None:
    switch = ScriptedSwitch()
    made = bench(switch)
    stepped(made, SwitchStep.GROWING_DECODE)

    stepped(made, SwitchStep.CLOSING)

    kept = made.store.load("chat", made.now_s)
    assert kept.switch.step is SwitchStep.CLOSING
    assert kept.originals[Role.PREFILL] == 2


def test_a_switch_that_is_refused_is_a_trouble_and_stops_no_count() -> None:
    made = bench(ScriptedSwitch(answer=Outcome.FORBIDDEN))
    stepped(made, SwitchStep.CLOSING)
    made.source.signals = crowded_decode_signals()

    done = made.tick()

    assert [(one.dependency, one.subject) for one in done.troubles] == [(Dependency.WRITE, "switch")]
    assert done.writes[Role.DECODE].outcome is Outcome.APPLIED


def test_a_switch_that_cannot_be_read_is_told_with_what_it_is_taken_for_and_not_shown_as_known() -> None:
    switch = ScriptedSwitch(position=Position.UNKNOWN)
    made = bench(switch, off=SwitchPolicy(Disaggregation.AUTO))

    done = made.tick()

    said = "cannot be read, and is taken to be on: the field is unknown"
    assert [(one.dependency, one.subject, one.message) for one in done.troubles] == [
        (Dependency.REPLICAS, "switch", said)
    ]
    assert f"the switch {said}" in [notice.message for notice in notices_of(done)]
    assert [line["message"] for line in made.lines if line["event"] == "trouble"] == [said]
    assert status_of(done, accepted(), 1, {})["summary"]["switch"] == "on?"
    effective = next(one for one in conditions_of(done) if one.type == "Effective")
    assert (effective.holds, effective.message) == (False, f"switch: {said}")
    assert "switch_disaggregated" not in metrics_of(made, done)

    switch.position = Position.ON
    after = made.tick()

    assert after.troubles == ()
    assert metrics_of(made, after)["switch_disaggregated"] == 1.0


def test_a_switch_that_is_on_its_way_is_no_trouble() -> None:
    class OnItsWay(ScriptedSwitch):
        def read(self) -> SwitchReading:
            return SwitchReading(Position.UNKNOWN, None, "the router is restarting", written=Position.ON)

    assert bench(OnItsWay(), off=SwitchPolicy(Disaggregation.AUTO)).tick().troubles == ()


def test_a_defect_in_a_switch_stops_no_count_either() -> None:
    switch = ScriptedSwitch()
    made = bench(switch)
    stepped(made, SwitchStep.GROWING_DECODE)
    switch.broken = True

    closing = stepped(made, SwitchStep.CLOSING)

    assert closing.switched is not None
    assert "please report it" in closing.switched.message
    assert closing.switch is not None
    assert closing.switch.position is Position.UNKNOWN


def test_closing_a_switch_that_is_the_prefill_count_writes_it_once_and_nobody_fights() -> None:
    made = Bench(policy=replace(policy(), switch=OFF), switch=StackSwitch(PrefillZeroSwitch))

    closing = stepped(made, SwitchStep.CLOSING)
    assert [(write.role, write.replicas, write.basis) for write in made.target.writes] == [(Role.PREFILL, 0, "v2")]
    assert closing.writes == {}

    stepped(made, SwitchStep.OFF)
    for _ in range(10):
        done = made.tick()
        assert done.blockers == {}
    assert len(made.target.writes) == 1
    assert done.decision is not None
    assert done.decision.roles[Role.PREFILL].desired == 0


def test_opening_a_switch_that_is_the_prefill_count_is_growing_prefill() -> None:
    made = Bench(
        policy=replace(policy(), switch=SwitchPolicy(Disaggregation.ON, observe_s=30.0)),
        switch=StackSwitch(PrefillZeroSwitch),
    )
    made.target.counts[Role.PREFILL] = 0

    stepped(made, SwitchStep.ON)

    assert made.target.counts[Role.PREFILL] >= 1
    assert {write.role for write in made.target.writes} == {Role.PREFILL}


def test_a_switch_that_a_person_moves_is_told_exactly_even_when_only_recommending() -> None:
    words = {Position.OFF: "set ROUTING_ALGORITHM to random", Position.ON: "set it to pd"}
    made = Bench(
        policy=replace(policy(Mode.RECOMMEND), switch=OFF), switch=StackSwitch(lambda _target: InstructedSwitch(words))
    )

    done = stepped(made, SwitchStep.CLOSING)

    assert done.switched == WriteResult(Outcome.INSTRUCTED, "set ROUTING_ALGORITHM to random")
    assert done.troubles == ()


@pytest.mark.parametrize(
    ("prefill", "decode", "confirmed"),
    [(0.0, 5.0, True), (5.0, 5.0, False), (None, 5.0, False), (0.0, 0.0, False), (1.0, 5.0, False)],
)
def test_where_the_stack_shows_no_switch_the_traffic_tells_that_it_was_moved(
    prefill: float | None, decode: float, *, confirmed: bool
) -> None:
    made = Bench(
        policy=replace(policy(), switch=OFF),
        switch=StackSwitch(lambda _target: InstructedSwitch({Position.OFF: "move it"})),
    )
    stepped(made, SwitchStep.CLOSING)
    signals = without_prefill_load()
    if prefill is not None:
        signals[Scope.PREFILL]["request_rate"] = measured(prefill, "requests/s", 1.0)
    signals[Scope.DECODE]["request_rate"] = measured(decode, "requests/s", 1.0)
    made.source.signals = signals

    done = made.tick()

    assert done.decision is not None
    assert done.decision.switch is not None
    assert (done.decision.switch.step is SwitchStep.DRAINING_PREFILL) is confirmed


def test_a_threshold_is_set_where_it_differs_from_the_one_shown() -> None:
    switch = ScriptedSwitch()
    hand = SwitchHand(StackSwitch(lambda _target: switch), ScriptedTarget())
    switch.threshold_tokens = 512.0
    hand.read(PoolReading({}))

    same = hand.move(SwitchDecision(None, SwitchStep.ON, "", threshold_tokens=512.0), Mode.ENFORCE)
    other = hand.move(SwitchDecision(None, SwitchStep.OBSERVING, "", threshold_tokens=2048.0), Mode.ENFORCE)

    assert same is None
    assert other is not None
    assert switch.asked == [(2048.0, False)]


def test_what_is_wanted_of_the_switch_is_said_in_a_few_words() -> None:
    assert [setting_text(one) for one in (None, Position.ON, 512.0)] == ["stays", "on", "512 tokens"]


def test_the_switchs_connections_are_closed_with_the_runner() -> None:
    switch = ScriptedSwitch()
    made = bench(switch)

    made.runner.close()

    assert switch.closed


def test_without_a_switch_in_the_policy_none_is_read() -> None:
    done = Bench(source=ScriptedSource()).tick()

    assert (done.switch, done.switched) == (None, None)


def test_the_ends_of_the_threshold_are_on_and_off() -> None:
    made = Bench(policy=replace(policy(), switch=OFF), switch=StackSwitch(PrefillZeroSwitch))

    on = made.tick().switch
    assert on is not None
    assert on.threshold_tokens == ALWAYS_TOKENS
    made.target.counts[Role.PREFILL] = 0
    off = made.tick().switch
    assert off is not None
    assert off.threshold_tokens == NEVER_TOKENS
