from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.attribution import Attribution, Bottleneck
from autoscaler.core.decision import Reason, StageName
from autoscaler.core.policy import Role
from autoscaler.core.signals import CATALOGUE, absent
from autoscaler.report.explain import explain
from tests.report.builders import decision, role_decision
from tests.support.story import story


def test_every_step_is_told_with_its_numbers_before_and_after() -> None:
    tale = story(2, 2).says({"prefill.queue_depth": 80.0, "prefill.queue_time_s": 4.0})

    told = explain(tale.decision)

    for role, decided in tale.decision.roles.items():
        assert f"{role.value}: {decided.ready} ready of {decided.current}, wants {decided.desired}" in told
        for stage in decided.stages:
            assert f"    {stage.stage.value:<10}{stage.before:>4} -> {stage.after:<4}" in told
    assert "bottleneck: prefill" in told
    assert "one replica does" in told


def test_signals_are_told_with_their_age_or_what_is_wrong_with_them() -> None:
    tale = story(2, 2)

    told = explain(tale.decision)

    assert "queue_depth" in told
    assert " s old" in told


def test_the_binding_guard_says_what_would_change_the_answer() -> None:
    capped = role_decision(
        8,
        (StageName.PROPOSAL, 12, Reason.PREFILL_DEMAND, "work for 11.2 replicas arrives now"),
        (StageName.BOUNDS, 8, Reason.AT_MAX, "the policy allows at most 8"),
    )

    told = explain(decision(prefill=capped))

    assert "binding: bounds, at max" in told
    assert "another answer needs a larger max" in told


@pytest.mark.parametrize(
    ("hold", "remedy"),
    [
        (Reason.PINNED, "other signals, and taking the pin back"),
        (Reason.PAUSED, "other signals, and taking the pause back"),
        (Reason.GROW_ONLY, "other signals: this is what they ask for, and no guard changed it"),
    ],
)
def test_a_hold_at_the_number_that_signals_ask_for_would_keep_it(hold: Reason, remedy: str) -> None:
    held = role_decision(
        8, (StageName.PROPOSAL, 8, Reason.PREFILL_DEMAND, "work for 7.2 replicas"), (StageName.OPERATOR, 8, hold, "")
    )

    assert f"another answer needs {remedy}\n" in explain(decision(prefill=held))


@pytest.mark.parametrize(
    ("stage", "reason", "remedy"),
    [
        (StageName.SIGNALS, Reason.FALLBACK, "signals that may be used, or another fallbackReplicas"),
        (StageName.SIGNALS, Reason.REPLICAS_UNKNOWN, "the count of the other pool, which the message names"),
        (StageName.RATE, Reason.RATE_LIMITED, "another selectPolicy than Disabled"),
        (StageName.BUDGET, Reason.BUDGET_LIMITED, "a larger maxGpus or shared budget, or GPUs given up by other pools"),
    ],
)
def test_what_would_change_the_answer_is_that_of_the_stage_that_bound(
    stage: StageName, reason: Reason, remedy: str
) -> None:
    bound = role_decision(8, (StageName.PROPOSAL, 12, Reason.STEADY, ""), (stage, 8, reason, "said why"))

    assert f"another answer needs {remedy}\n" in explain(decision(prefill=bound))


def test_a_pool_whose_count_is_unknown_is_told_with_the_reason() -> None:
    blind = replace(
        decision(), roles={}, undecided={Role.DECODE: "deployments.apps/vllm-decode: 403, verb get is missing"}
    )

    assert "decode: not decided, deployments.apps/vllm-decode: 403, verb get is missing" in explain(blind)


def blind() -> str:
    why = "Prometheus at http://prometheus:9090 cannot be reached"
    nothing = {
        scope: {name: absent(spec.unit, why) for name, spec in specs.items()} for scope, specs in CATALOGUE.items()
    }
    unknown = Attribution(None, None, None, None, Bottleneck.NONE, "no part of the path holds requests up")
    return explain(replace(decision(), signals=nothing, attribution=unknown))


def test_what_nobody_measures_is_no_bottleneck_found() -> None:
    assert "bottleneck: unknown, no part of the path is measured" in blind()


def test_one_cause_of_many_absent_signals_is_told_once_a_scope() -> None:
    told = blind()

    assert told.count("cannot be reached") == len(
        [scope for scope in ("service", "prefill", "decode") if scope in told]
    )
    assert "as above" in told


def test_a_pool_that_is_held_for_want_of_signals_asks_for_them_and_not_for_others() -> None:
    held = role_decision(2, (StageName.PROPOSAL, 2, Reason.SIGNALS_UNUSABLE, "running is absent"))

    told = explain(decision(prefill=held))

    assert "another answer needs what is named above put right; `pd-autoscaler doctor`" in told
