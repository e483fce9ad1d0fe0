"""The CustomResourceDefinition: generated, structural, and no stricter than the model."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cel
import pytest
import yaml
from pydantic import ValidationError

from autoscaler.config.model import ScalingPolicy
from autoscaler.config.schema import json_schema
from autoscaler.kube.crd import PLURAL, RULES, _structural, definition, render
from tests.e2e.stage import policy_document
from tests.support.kube import Cluster

ROOT = Path(__file__).parents[2]
POLICIES = sorted((ROOT / "policies").glob("*.yaml"))
API_VERSION = "pd-autoscaler.io/v1alpha1"
JSONSCHEMA_PROPS = frozenset(
    {"type", "description", "format", "pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum"}
    | {"exclusiveMaximum", "minItems", "maxItems", "maxProperties", "enum", "required", "properties", "items"}
    | {"additionalProperties", "x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"}
    | {"x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"}
)

METADATA = {"metadata": {"name": "chat"}}
INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]


def schema() -> dict[str, Any]:
    (version,) = definition()["spec"]["versions"]
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return found


def nodes(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, inner in node.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in node:
            yield from nodes(node[key], f"{path}[]")


def test_the_committed_file_is_what_the_model_gives() -> None:
    committed = (ROOT / "deploy" / "crd" / f"{PLURAL}.yaml").read_text()

    assert committed == render(), "run: python -m autoscaler.kube.crd > deploy/crd/scalingpolicies.yaml"


def test_the_schema_is_structural() -> None:
    for path, node in nodes(schema()):
        typed = "type" in node
        loose = node.get("x-kubernetes-int-or-string") or node.get("x-kubernetes-preserve-unknown-fields")
        free = node.get("type") == "object" and bool(loose)  # settings whose keys only a plug-in knows
        assert free or typed is not bool(loose), path
        assert node.keys() - {"anyOf"} <= JSONSCHEMA_PROPS, path
        # The one form in which a type may stand inside of a choice.
        assert node.get("anyOf", INT_OR_STRING) == INT_OR_STRING, path
        assert ("anyOf" in node) is bool(node.get("x-kubernetes-int-or-string")), path
        assert not ("properties" in node and "additionalProperties" in node), path


def test_every_key_of_the_model_has_a_description() -> None:
    spec = schema()["properties"]["spec"]

    assert [path for path, node in nodes(spec) if not path.endswith("[]") and not node.get("description")] == []


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_a_server_takes_our_policies_and_loses_nothing_of_them(kube_api: Cluster, path: Path) -> None:
    kube_api.define(definition())
    policy = yaml.safe_load(path.read_text())
    policy["metadata"]["namespace"] = kube_api.namespace

    made = kube_api.create(PLURAL, policy)

    assert made["spec"] == policy["spec"]


def at(document: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    *parents, last = path.split(".")
    for part in parents:
        document = document.setdefault(part, {})
    return document, last


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.roles.prefill.max", "many"),
        ("spec.roles.prefill.max", 0),
        ("spec.mode", "enforced"),
        ("spec.interval", "15"),
        ("spec.objectives.ttft.percentile", "p"),
        ("spec.objectives.ttft.percentile", 100),
        ("spec.objectives.ttft.percentile", {"p": 95}),
        ("spec.roles.decode.behavior.scaleDown.stabilizationWindowSeconds", 4000),
        ("spec.roles.decode.behavior.scaleDown.stabilizationWindowSeconds", 1.5),
        ("spec.prometheus.url", "prom:9090"),
    ],
)
def test_a_server_refuses_what_the_model_refuses(kube_api: Cluster, path: str, value: object) -> None:
    kube_api.define(definition())
    policy = policy_document("chat", kube_api.namespace, "http://prom:9090")
    inner, last = at(policy, path)
    inner[last] = value

    code, answer = kube_api.request("POST", kube_api.path(API_VERSION, PLURAL), policy)

    assert code == 422, answer
    with pytest.raises(ValidationError):
        ScalingPolicy.model_validate(policy)


@pytest.mark.parametrize("value", ["p95", 95, 0.95, "95%", "95 %"])
def test_a_union_takes_all_its_forms(kube_api: Cluster, value: object) -> None:
    kube_api.define(definition())
    policy = policy_document("chat", kube_api.namespace, "http://prom:9090")
    policy["spec"]["objectives"]["ttft"]["percentile"] = value

    made = kube_api.create(PLURAL, policy)

    assert made["spec"]["objectives"]["ttft"]["percentile"] == value


@pytest.mark.parametrize(("value", "meant"), [(False, "off"), (True, "on"), ("off", "off"), ("auto", "auto")])
def test_off_without_quotes_is_no_boolean_that_a_server_refuses(
    kube_api: Cluster, value: object, meant: object
) -> None:
    kube_api.define(definition())
    switch = {"disaggregation": value}

    made = kube_api.create(PLURAL, policy_document("chat", kube_api.namespace, "http://prom:9090", switch=switch))

    assert made["spec"]["switch"] == switch
    policy = ScalingPolicy.model_validate({key: made[key] for key in ("apiVersion", "kind", "spec")} | METADATA)
    assert policy.spec.switch is not None
    assert policy.spec.switch.disaggregation == meant


def test_any_other_word_for_the_switch_is_refused(kube_api: Cluster) -> None:
    kube_api.define(definition())
    document = policy_document("chat", kube_api.namespace, "http://prom:9090", switch={"disaggregation": "maybe"})

    assert kube_api.request("POST", kube_api.path(API_VERSION, PLURAL), document)[0] == 422


@pytest.mark.parametrize("url", ["HTTP://prom:9090", "https://prom/prefix/", "http://[::1]:9090"])
def test_every_address_that_the_model_takes_is_taken(kube_api: Cluster, url: str) -> None:
    kube_api.define(definition())
    document = policy_document("chat", kube_api.namespace, url)

    assert ScalingPolicy.model_validate(document).spec.prometheus is not None
    assert kube_api.create(PLURAL, document)["spec"]["prometheus"]["url"] == url


def test_the_status_takes_conditions(kube_api: Cluster) -> None:
    kube_api.define(definition())
    kube_api.create(PLURAL, policy_document("chat", kube_api.namespace, "http://prom:9090"))
    now = "2026-01-01T00:00:00Z"
    ready = {"type": "Ready", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": now}

    kube_api.patch(API_VERSION, PLURAL, "chat", {"status": {"conditions": [ready]}}, "status")

    assert kube_api.get(API_VERSION, PLURAL, "chat")["status"]["conditions"] == [ready]


def verdicts(document: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Every rule of the schema at every place of a document that it applies to."""

    def visit(node: dict[str, Any], value: Any) -> Iterator[tuple[str, bool]]:
        for rule in node.get("x-kubernetes-validations", []):
            yield rule["message"], bool(cel.evaluate(rule["rule"], {"self": value}))
        for name, inner in node.get("properties", {}).items():
            if isinstance(value, dict) and name in value:
                yield from visit(inner, value[name])

    yield from visit(schema(), document)


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_our_policies_keep_every_rule(path: Path) -> None:
    assert [message for message, holds in verdicts(yaml.safe_load(path.read_text())) if not holds] == []


BREAKS: dict[str, Callable[[dict[str, Any]], object]] = {
    "min is more than max": lambda spec: spec["roles"]["prefill"].update(min=13),
    "fallbackReplicas is more than max": lambda spec: spec["roles"]["prefill"].update(fallbackReplicas=13),
    "fallbackReplicas is less than min": lambda spec: spec["roles"]["prefill"].update(fallbackReplicas=0),
    "decode.min of 0": lambda spec: spec["roles"]["decode"].update(min=0),
    "decode has the target of prefill": lambda spec: spec["roles"]["decode"].update(
        target=dict(spec["roles"]["prefill"]["target"], kind="Deployment")
    ),
    "spec knows its own apiVersion and kind": lambda spec: spec["roles"]["prefill"]["target"].update(
        spec="deployment", kind="Deployment"
    ),
    "give one of stack, stackFile": lambda spec: spec.update(stackFile="my.stack.yaml"),
    "scrape does not go with prometheus": lambda spec: spec.update(scrape={}),
    "at most one of bearerToken": lambda spec: spec["prometheus"].update(bearerToken="a", bearerTokenFile="b"),
    "one of password": lambda spec: spec["prometheus"].update(basicAuth={"username": "u"}),
    "certFile and keyFile": lambda spec: spec["prometheus"].update(tls={"certFile": "c"}),
    "min is more than max (band)": lambda spec: spec.update(ratio={"min": 3, "max": 2}),
}


@pytest.mark.parametrize("message", BREAKS)
def test_a_rule_refuses_what_the_model_refuses(message: str) -> None:
    good = policy_document("chat", "serving", "http://prom:9090")
    bad = copy.deepcopy(good)
    BREAKS[message](bad["spec"])

    assert all(holds for _, holds in verdicts(good))
    broken = [said for said, holds in verdicts(bad) if not holds]
    assert len(broken) == 1
    assert message.removesuffix(" (band)") in broken[0]
    with pytest.raises(ValidationError):
        ScalingPolicy.model_validate(bad)


def test_every_rule_is_broken_above() -> None:
    assert len(BREAKS) == sum(len(rules) for rules in RULES.values())


@pytest.mark.parametrize(
    "change",
    [
        {"namespace": "elsewhere"},
        {"kind": "StatefulSet"},
        {"apiVersion": "example.com/v1"},
    ],
)
def test_a_target_that_only_shares_a_name_is_another_one(change: dict[str, str]) -> None:
    document = policy_document("chat", "serving", "http://prom:9090")
    roles = document["spec"]["roles"]
    roles["decode"]["target"] = dict(roles["prefill"]["target"])
    both = ("prefill", "decode") if "apiVersion" in change else ("decode",)
    for role in both:
        roles[role]["target"] |= change

    assert all(holds for _, holds in verdicts(document))


def test_the_rules_are_about_parts_that_exist() -> None:
    assert RULES.keys() <= json_schema()["$defs"].keys()


@pytest.mark.parametrize("node", [{"oneOf": []}, {"anyOf": [{"type": "boolean"}, {"type": "string"}]}])
def test_a_construct_that_it_has_not_been_taught_is_refused(node: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no counterpart in a structural schema"):
        _structural(node, {})
