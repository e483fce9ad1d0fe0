"""A policy held against its stack, whatever it is called from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler.config.problems import Severity
from autoscaler.daemon.assembly import require_fit
from autoscaler.daemon.stack_check import stack_problems
from autoscaler.daemon.surroundings import AssemblyError
from autoscaler.stacks.load import stack_names
from tests.config.builders import policy

FOLDER = Path(__file__).parents[2] / "policies"
HYPERPOD = {"apiVersion": "inference.sagemaker.aws.amazon.com/v1", "kind": "InferenceEndpointConfig", "name": "chat"}
STATIC = {"spec": "disaggregatedset", "name": "chat"}
ADAPTER = {"apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoGraphDeploymentScalingAdapter"}
EPP = {"spec": "llm-d-epp", "name": "epp", "key": "config.yaml", "router": "epp"}


def found(changes: dict[str, Any]) -> list[str]:
    return [f"{problem.severity.value} {problem}" for problem in stack_problems(policy(changes))]


@pytest.mark.parametrize("stack", stack_names())
def test_the_policies_that_come_with_the_program_fit_their_stacks(stack: str) -> None:
    document = yaml.safe_load((FOLDER / f"{stack}.yaml").read_text())

    assert [str(problem) for problem in stack_problems(policy({"spec": document["spec"]}))] == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"spec.stack": "vlm"}, ["spec.stack: is no stack that this version knows", "did you mean vllm?"]),
        (
            {"spec.roles.prefill.target": {"spec": "dynamo-dg", "name": "chat"}},
            ["spec.roles.prefill.target.spec: is no target", "did you mean dynamo-dgd?"],
        ),
        (
            {"spec.roles.prefill.target": {**ADAPTER, "name": "graph-prefill"}},
            ["spec.roles.prefill.target.kind: does not tell how many replicas serve: write spec: dynamo-adapter"],
        ),
        (
            {
                "spec.roles.prefill.target.spec": "leaderworkerset",
                "spec.roles.decode.target": {"spec": "leaderworkerset", "name": "vllm-prefill"},
            },
            ["spec.roles.decode.target: is the very count that prefill has"],
        ),
        (
            {
                "spec.roles.prefill.target": {**STATIC, "entry": "x"},
                "spec.roles.decode.target": {**STATIC, "entry": "x"},
            },
            ["spec.roles.decode.target: is the very count that prefill has"],
        ),
        (
            {"spec.stack": "hyperpod", "spec.roles.prefill.target": HYPERPOD, "spec.roles.decode.target": HYPERPOD},
            [
                "spec.roles.decode.max",
                "AWS has tested one decode deployment",
                "set spec.roles.decode.target.maxReplicas if that is meant",
                "got 8, allowed: 1 to 1",
            ],
        ),
        (
            {"spec.roles.prefill.target": STATIC, "spec.roles.decode.target": STATIC, "spec.roles.prefill.min": 0},
            ["spec.roles.prefill.min", "Static roles are all zero or all not", "got 0, allowed: 1 or more"],
        ),
        (
            {"spec.stack": "production-stack", "spec.roles.prefill.min": 0},
            ["spec.roles.prefill.min: stack production-stack", "The router sends every prompt to prefill"],
        ),
        (
            {"spec.stack": "dynamo", "spec.switch": {"prefillOff": 0}},
            ["spec.switch.prefillOff", "answers 503", "allowed: 1 or more"],
        ),
        (
            {"spec.stack": "mindie", "spec.roles.prefill.gpusPerReplica": 8},
            ["spec.roles: stack mindie", "8 on prefill and 1 on decode", "the same number of NPUs"],
        ),
        (
            {"spec.gatewaySelector": {"job": "epp"}},
            ["spec.gatewaySelector: has no effect: stack vllm reads no gateway"],
        ),
        (
            {"spec.stack": "dynamo", "spec.switch": {"target": {"spec": "llm-d-epp"}}},
            ["spec.switch.target.spec: is no switch of stack dynamo", "allowed: dynamo-conditional"],
        ),
        (
            {"spec.stack": "kserve", "spec.switch": {"target": {"spec": "prefill-zer"}}},
            ["is no switch ", "did you mean prefill-zero?"],
        ),
        (
            {"spec.stack": "ome", "spec.switch": {}},
            [
                "spec.switch: cannot be used on stack ome: off, prefill serves both",
                "By hand, to enable: InferenceService serving/vllm-prefill: add spec.decoder",
                "to disable: InferenceService serving/vllm-prefill: remove spec.decoder",
            ],
        ),
        (
            {"spec.switch": {}},
            ["spec.switch: stack vllm has none of its own", "or name one as its target.spec", "allowed: prefill-zero"],
        ),
        (
            {"spec.stack": "trtllm", "spec.switch": {}},
            ["spec.switch: stack trtllm has none of its own", "Remove spec.switch"],
        ),
        (
            {"spec.stack": "llm-d", "spec.switch": {"disaggregation": "threshold"}},
            ["spec.switch.disaggregation: does not go with switch prefill-zero", "allowed: llm-d-epp as target.spec"],
        ),
        (
            {"spec.stack": "moreh", "spec.switch": {"disaggregation": "threshold"}},
            ["does not go with switch aigateway, which is on or off", "allowed: auto, on, off"],
        ),
        ({"spec.switch": {}}, ["spec.switch: stack vllm has none", "example proxies", "Remove spec.switch"]),
        (
            {"spec.stack": "llm-d", "spec.switch": {"target": {"spec": "llm-d-epp"}}},
            ["spec.switch.target.name: is missing: switch llm-d-epp is in a ConfigMap"],
        ),
        (
            {"spec.stack": "llm-d", "spec.switch": {"target": {"spec": "llm-d-epp", "name": "epp"}}},
            ["spec.switch.target: switch llm-d-epp needs key: the key of the ConfigMap's data"],
        ),
        (
            {"spec.stack": "llm-d", "spec.switch": {"target": {"spec": "llm-d-epp", "name": "epp", "key": "c.yaml"}}},
            ["spec.switch.target: switch llm-d-epp needs router: the Deployment that reads the text"],
        ),
        (
            {"spec.stack": "moreh", "spec.model": "llama", "spec.switch": {"target": {"onName": "pd"}}},
            ["spec.switch.target: switch aigateway needs off: the name that means off"],
        ),
        (
            {"spec.stack": "llm-d", "spec.switch": {}, "spec.roles.prefill.min": 0},
            ["spec.roles.prefill.min: would let the pool's own scaling turn disaggregation off", "allowed: 1 to 8"],
        ),
        (
            {"spec.stack": "llm-d", "spec.switch": {"prefillOff": 1}},
            ["spec.switch.prefillOff: does not go with a switch that is the prefill count itself"],
        ),
        (
            {"spec.stack": "llm-d", "spec.switch": {}, "spec.roles.prefill.target": STATIC},
            ["spec.switch.prefillOff: cannot be", "Static roles are all zero or all not", "allowed: 1 or more"],
        ),
        (
            {"spec.stack": "production-stack", "spec.switch": {}},
            ["spec.switch.prefillOff: cannot be on stack production-stack", "allowed: 1 or more"],
        ),
        (
            {"spec.stack": "llm-d", "spec.switch": {"target": EPP, "prefillOff": 9}},
            ["spec.switch.prefillOff: is more than the pool's max", "allowed: 0 to 8"],
        ),
        (
            {"spec.stack": "llm-d", "spec.switch": {"lease": "10s"}},
            ["warning", "spec.switch.lease", "is shorter than the KV lease", "got 10s, allowed: 30s or more"],
        ),
    ],
)
def test_what_the_stack_does_not_bear_is_said_with_what_it_does(changes: dict[str, Any], words: list[str]) -> None:
    (line,) = found(changes)

    for part in words:
        assert part in line


@pytest.mark.parametrize(
    "changes",
    [
        {"spec.stack": "llm-d", "spec.switch": {}},
        {"spec.stack": "llm-d", "spec.switch": {"target": EPP}, "spec.gatewaySelector": {"job": "epp"}},
        {"spec.stack": "moreh", "spec.model": "llama", "spec.switch": {"target": {"onName": "pd", "offName": "any"}}},
        {
            "spec.stack": "hyperpod",
            "spec.roles.prefill.target": HYPERPOD,
            "spec.roles.decode.target": {**HYPERPOD, "maxReplicas": 8},
            "spec.switch": {"prefillOff": 1, "target": {"onTokens": 2048}},
        },
        {"spec.roles.prefill.target": STATIC, "spec.roles.decode.target": STATIC},
        {"spec.switch": {"target": {"spec": "prefill-zero"}}},
        {"spec.stack": "kthena", "spec.switch": {"target": {"spec": "prefill-zero"}}},
        {"spec.stack": "grove", "spec.switch": {"target": {"spec": "prefill-zero"}}},
        {"spec.stack": "llm-d", "spec.switch": {"disaggregation": "threshold", "target": EPP}},
    ],
)
def test_what_fits_is_not_remarked_on(changes: dict[str, Any]) -> None:
    assert found(changes) == []


def test_errors_keep_a_policy_from_being_put_to_work_and_warnings_do_not() -> None:
    doubtful = policy({"spec.stack": "llm-d", "spec.switch": {"lease": "10s"}})
    assert [problem.severity for problem in stack_problems(doubtful)] == [Severity.WARNING]
    require_fit(doubtful)

    with pytest.raises(AssemblyError, match="stack vllm has none"):
        require_fit(policy({"spec.switch": {}}))
