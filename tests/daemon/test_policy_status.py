"""The status of a policy object, made of records."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.decision import SwitchDecision, SwitchStep
from autoscaler.core.policy import Hold, HoldKind, Mode, Role
from autoscaler.core.signals import Scope, Signal, measured
from autoscaler.daemon.conditions import accepted
from autoscaler.daemon.policy_status import status_of
from autoscaler.daemon.tick import Tick
from autoscaler.targets.base import Outcome, WriteResult
from autoscaler.targets.kubernetes.refs import JsonObject
from autoscaler.targets.switch import Position, SwitchReading
from tests.daemon.builders import (
    Bench,
    blind_signals,
    crowded_decode_signals,
    policy,
    role_policy,
    steady_signals,
)


def idle_decode() -> dict[str, Signal]:
    return {
        "kv_utilization_mean": measured(0.02, "ratio", 1.0),
        "running": measured(1.0, "requests", 1.0),
        "waiting": measured(0.0, "requests", 1.0),
    }


def conditions(tick: Tick, before: JsonObject | None = None) -> dict[str, tuple[str, str]]:
    status = status_of(tick, accepted(), 3, before or {})
    return {found["type"]: (found["status"], found["reason"]) for found in status["conditions"]}


def test_a_service_that_is_fine_is_ready_effective_active_and_free() -> None:
    assert conditions(Bench().tick()) == {
        "Ready": ("True", "Accepted"),
        "Effective": ("True", "SignalsHealthy"),
        "Active": ("True", "Enforcing"),
        "Limited": ("False", "WithinLimits"),
        "Conflicted": ("False", "NobodyElse"),
        "SwitchInProgress": ("False", "NoSwitch"),
    }


def test_the_last_decision_is_told_with_its_reasons() -> None:
    bench = Bench(policy(prefill=role_policy(3)))

    status = status_of(bench.tick(), accepted(), 3, {})

    assert status["observedGeneration"] == 3
    assert status["mode"] == "enforce"
    assert status["summary"] == {"prefill": "2 -> 3", "decode": "2 -> 2", "switch": None, "slo": None}
    assert status["roles"]["prefill"]["reason"] == "at_min"
    assert status["roles"]["prefill"]["message"].endswith("the policy wants at least 3")
    assert status["lastScaleTime"] == status["lastDecisionTime"] == "2023-11-14T22:13:35Z"


def test_a_tick_that_scales_nothing_leaves_the_last_scale_time_alone() -> None:
    assert "lastScaleTime" not in status_of(Bench().tick(), accepted(), 3, {})


def moving(step: SwitchStep, shown: SwitchReading | None = None) -> Tick:
    done = Bench().tick()
    assert done.decision is not None
    switch = SwitchDecision(None, step, "together is cheaper")
    return replace(done, decision=replace(done.decision, switch=switch), switch=shown)


@pytest.mark.parametrize(
    ("step", "condition"),
    [
        (SwitchStep.CLOSING, ("True", "Closing")),
        (SwitchStep.GROWING_DECODE, ("True", "GrowingDecode")),
        (SwitchStep.OFF, ("False", "AtRest")),
    ],
)
def test_a_switch_that_is_being_moved_is_told_with_its_step(step: SwitchStep, condition: tuple[str, str]) -> None:
    assert conditions(moving(step))["SwitchInProgress"] == condition


def test_kubectl_get_shows_the_switch_and_the_promise() -> None:
    done = moving(SwitchStep.ON, SwitchReading(Position.ON, 512.0, ""))
    assert done.decision is not None
    kept = {"ttft_attainment_ratio": 0.97, "tpot_attainment_ratio": 1.0}
    service = {name: measured(ratio, "ratio", 1.0) for name, ratio in kept.items()}
    told = replace(done, decision=replace(done.decision, signals={**done.decision.signals, Scope.SERVICE: service}))

    summary = status_of(told, accepted(), 3, {})["summary"]

    assert (summary["switch"], summary["slo"]) == ("on, from 512 tokens", "ttft 97.0%, tpot 100.0%")


def test_signals_that_are_missing_make_it_ineffective_and_say_which() -> None:
    bench = Bench()
    bench.source.signals = blind_signals()

    status = status_of(bench.tick(), accepted(), 3, {})

    (effective,) = (found for found in status["conditions"] if found["type"] == "Effective")
    assert (effective["status"], effective["reason"]) == ("False", "SignalsMissing")
    assert "refused the connection" in effective["message"]


def test_a_role_that_cannot_be_read_makes_it_ineffective_and_is_shown_as_unknown() -> None:
    bench = Bench()
    bench.target.errors[Role.PREFILL] = "deployment chat-prefill does not exist"

    done = bench.tick()

    assert conditions(done)["Effective"] == ("False", "SignalsMissing")
    status = status_of(done, accepted(), 3, {})
    assert (status["summary"]["prefill"], status["roles"]["prefill"]) == ("?", None)


@pytest.mark.parametrize(("mode", "reason"), [(Mode.RECOMMEND, "Recommend"), (Mode.SERVER_DRY_RUN, "ServerDryRun")])
def test_an_adviser_is_not_active(mode: Mode, reason: str) -> None:
    assert conditions(Bench(policy(mode)).tick())["Active"] == ("False", reason)


def test_a_held_service_is_not_active() -> None:
    held = replace(role_policy(), hold=Hold(HoldKind.PAUSE))

    assert conditions(Bench(policy(decode=held)).tick())["Active"] == ("False", "Held")


def test_a_pool_that_may_only_grow_is_active_while_nothing_is_kept_from_it() -> None:
    held = replace(role_policy(), hold=Hold(HoldKind.GROW_ONLY))
    bench = Bench(policy(decode=held))
    bench.source.signals = crowded_decode_signals()
    done = bench.tick()

    assert done.writes[Role.DECODE].outcome is Outcome.APPLIED
    assert conditions(done)["Active"] == ("True", "Enforcing")


def test_a_pool_that_may_only_grow_is_held_where_it_would_shrink() -> None:
    held = replace(role_policy(high=3), hold=Hold(HoldKind.GROW_ONLY))
    bench = Bench(policy(decode=held))
    bench.target.counts[Role.DECODE] = 3
    bench.source.signals = {**steady_signals(), Scope.DECODE: idle_decode()}
    done = [bench.tick() for _ in range(80)][-1]

    assert conditions(done)["Active"] == ("False", "Held")


def test_a_limit_is_named() -> None:
    bench = Bench(policy(decode=role_policy(1, 2)))
    bench.source.signals = crowded_decode_signals()

    assert conditions(bench.tick())["Limited"] == ("True", "AtMax")


@pytest.mark.parametrize("mode", [Mode.RECOMMEND, Mode.ENFORCE])
def test_a_pool_that_may_grow_but_not_far_enough_is_limited(mode: Mode) -> None:
    bench = Bench(policy(mode, decode=role_policy(1, 3)))
    bench.source.signals = crowded_decode_signals()

    status = status_of(bench.tick(), accepted(), 3, {})

    (limited,) = (found for found in status["conditions"] if found["type"] == "Limited")
    assert status["summary"]["decode"] == "2 -> 3"
    assert (limited["status"], limited["reason"]) == ("True", "AtMax")
    assert limited["message"].startswith("decode gets 3 replicas where ")


def test_another_writer_is_a_conflict() -> None:
    bench = Bench(policy(prefill=role_policy(3)))
    bench.target.answers[Role.PREFILL] = Outcome.CONFLICT

    assert conditions(bench.tick())["Conflicted"] == ("True", "OthersWrite")


def test_what_blocks_writing_is_a_conflict_and_stops_activity() -> None:
    done = replace(Bench().tick(), blockers={Role.DECODE: ("an HPA scales it",)})

    assert conditions(done)["Conflicted"] == ("True", "Blocked")
    assert conditions(done)["Active"] == ("False", "Blocked")


@pytest.mark.parametrize("outcome", [Outcome.FORBIDDEN, Outcome.MISSING, Outcome.REJECTED, Outcome.UNAVAILABLE])
def test_writes_that_fail_are_not_carried_out_and_it_says_which(outcome: Outcome) -> None:
    bench = Bench(policy(prefill=role_policy(3)))
    bench.target.answers[Role.PREFILL] = outcome

    status = status_of(bench.tick(), accepted(), 3, {})

    (active,) = (found for found in status["conditions"] if found["type"] == "Active")
    assert (active["status"], active["reason"]) == ("False", "WriteFailed")
    assert active["message"] == f"prefill: deployments/chat-prefill: {outcome.value}"


def test_a_switch_that_cannot_be_moved_is_not_active() -> None:
    done = replace(Bench().tick(), switched=WriteResult(Outcome.FORBIDDEN, "may not patch configmaps"))

    assert conditions(done)["Active"] == ("False", "WriteFailed")


def test_a_tick_that_failed_keeps_the_last_decision_and_is_not_active() -> None:
    bench = Bench()

    def fail() -> None:
        raise ZeroDivisionError

    bench.source.on_read = fail
    done = bench.tick()

    assert conditions(done)["Active"] == ("False", "Failed")
    assert conditions(done)["Effective"] == ("False", "SignalsMissing")
    assert {conditions(done)[name] for name in ("Limited", "Conflicted", "SwitchInProgress")} == {("Unknown", "Failed")}
    assert "summary" not in status_of(done, accepted(), 3, {})


def test_a_condition_keeps_its_date_while_its_status_stays() -> None:
    bench = Bench()
    first = status_of(bench.tick(), accepted(), 3, {})
    bench.source.signals = blind_signals()

    second = status_of(bench.tick(), accepted(), 3, first)

    dates = {found["type"]: found["lastTransitionTime"] for found in second["conditions"]}
    assert dates["Ready"] == "2023-11-14T22:13:35Z"
    assert dates["Effective"] == "2023-11-14T22:13:50Z"


def test_no_credentials_get_into_a_status() -> None:
    bench = Bench()
    bench.target.errors[Role.PREFILL] = "https://user:hunter2@proxy refused Authorization: Bearer abc.def"

    assert "hunter2" not in str(status_of(bench.tick(), accepted(), 3, {}))
