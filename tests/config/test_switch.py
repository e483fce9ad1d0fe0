from __future__ import annotations

from typing import Any

import pytest

from autoscaler.core.policy import Disaggregation, SwitchPolicy
from tests.config.builders import error, errors, policy


def test_a_policy_without_a_switch_leaves_the_stacks_alone() -> None:
    assert policy().core().switch is None


def test_an_empty_switch_has_the_defaults_of_the_core() -> None:
    assert policy({"spec.switch": {}}).core().switch == SwitchPolicy()


@pytest.mark.parametrize("word", ["on", True])
def test_a_bare_on_means_on_although_yaml_reads_true(word: object) -> None:
    switch = policy({"spec.switch": {"disaggregation": word}}).core().switch

    assert switch is not None
    assert switch.disaggregation is Disaggregation.ON


def test_every_part_of_the_switch_reaches_the_core() -> None:
    written = {
        "disaggregation": False,
        "deadZone": "20%",
        "sustain": "10m",
        "dwell": "2h",
        "grow": "15m",
        "confirm": "90s",
        "observe": "4m",
        "lease": "30s",
        "prefillOff": 1,
    }

    switch = policy({"spec.switch": written}).core().switch

    assert switch == SwitchPolicy(Disaggregation.OFF, 0.2, 600.0, 7200.0, 900.0, 90.0, 240.0, 30.0, 1)


def test_thresholds_to_choose_from_may_be_given() -> None:
    switch = policy({"spec.switch": {"disaggregation": "threshold", "thresholds": [0, 512, 4096.0]}}).core().switch

    assert switch is not None
    assert (switch.disaggregation, switch.thresholds_tokens) == (Disaggregation.THRESHOLD, (0.0, 512.0, 4096.0))


def test_the_place_of_the_switch_is_as_written() -> None:
    place = {
        "spec": "llm-d-epp",
        "name": "epp-config",
        "key": "config.yaml",
        "router": "epp",
        "allowRouterRestart": True,
        "onTokens": 512,
    }

    switch = policy({"spec.switch": {"target": place}}).spec.switch

    assert switch is not None
    assert switch.target.model_dump(by_alias=True, exclude_unset=True) == place


@pytest.mark.parametrize(
    ("switch", "path", "words"),
    [
        ({"disaggregation": "of"}, "spec.switch.disaggregation", "allowed: auto, on, off, threshold"),
        ({"deadzone": "15%"}, "spec.switch.deadzone", "did you mean deadZone?"),
        ({"deadZone": 1.5}, "spec.switch.deadZone", "less than 100%"),
        ({"sustain": 1800}, "spec.switch.sustain", "a number without a unit"),
        ({"dwell": "1m"}, "spec.switch.dwell", "120s or more"),
        ({"thresholds": [0, 512]}, "spec.switch.thresholds", "disaggregation is not threshold"),
        ({"target": {"spec": "prefill_zero"}}, "spec.switch.target.spec", "letters, digits and dashes"),
        ({"target": {"name": "EPP"}}, "spec.switch.target.name", "did you mean epp?"),
        ({"target": {"onTokens": -1}}, "spec.switch.target.onTokens", "at least 0"),
        ({"target": {"allowRestart": True}}, "spec.switch.target.allowRestart", "allowRouterRestart"),
        ({"prefillOff": -1}, "spec.switch.prefillOff", "at least 0"),
    ],
)
def test_what_a_switch_cannot_be_is_refused_where_it_stands(switch: dict[str, Any], path: str, words: str) -> None:
    problem = error({"spec.switch": switch})

    assert problem.path == path
    assert words in str(problem)


def test_a_target_may_be_told_in_the_words_of_a_target_spec() -> None:
    target = {
        "spec": "dynamo-dgd",
        "name": "graph",
        "entry": "VllmPrefillWorker",
        "pods": {"nvidia.com/dynamo-component": "VllmPrefillWorker"},
        "maxReplicas": 3,
    }

    ref = policy({"spec.roles.prefill.target": target}).spec.roles.prefill.target

    assert ref.model_dump(by_alias=True, exclude_unset=True) == target
    assert ref.pod_selector == "nvidia.com/dynamo-component=VllmPrefillWorker"
    assert str(ref) == "dynamo-dgd graph"


@pytest.mark.parametrize(
    ("target", "path", "words"),
    [
        ({"spec": "deployment", "kind": "Deployment"}, "target.kind", "deployment knows it"),
        ({"spec": "Deployment"}, "target.spec", "does not have the right form"),
        ({"pods": {"a b": "c"}}, "target.pods", "the name of a Kubernetes label"),
        ({"pods": {"app": "-c-"}}, "target.pods.app", "the value of a Kubernetes label"),
        ({"maxReplicas": 0}, "target.maxReplicas", "at least 1"),
        ({"entry": ""}, "target.entry", "does not have the right form"),
    ],
)
def test_what_a_target_cannot_be_is_refused_where_it_stands(target: dict[str, Any], path: str, words: str) -> None:
    found = errors({"spec.roles.prefill.target": {"name": "x", **target}})

    assert [problem for problem in found if path in problem.path and words in str(problem)]
