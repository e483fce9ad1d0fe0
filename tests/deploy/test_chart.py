"""The Helm chart by itself: its values are checked, and a mistake is answered with what to do."""

from __future__ import annotations

from typing import Any

import pytest
from helm_python import HelmError, lint

from tests.deploy.rendering import CHART, DEPLOY, chart_objects, helmed


def test_helms_own_linter_has_nothing_against_it() -> None:
    report = lint(CHART, strict=True, namespace="pd-autoscaler")

    assert report["errors"] == []
    assert [message for message in report["messages"] if message["severity"] >= 2] == []


def test_it_installs_without_any_values_and_then_has_no_rights() -> None:
    kinds = [document["kind"] for document in chart_objects({})]

    assert "Deployment" in kinds
    assert not {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"} & set(kinds)


def test_it_brings_the_definition_of_policies() -> None:
    assert (CHART / "crds" / "scalingpolicies.yaml").read_text() == (
        DEPLOY / "crd" / "scalingpolicies.yaml"
    ).read_text()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"replcias": 3}, "replcias"),
        ({"replicas": "two"}, "replicas"),
        ({"image": {"digest": "sha256:12"}}, "digest"),
        ({"policySource": "file"}, "policySource"),
        ({"networkPolicy": {"dns": {"port": 70000}}}, "port"),
    ],
)
def test_a_wrong_value_is_refused_by_name(values: dict[str, Any], words: str) -> None:
    with pytest.raises(HelmError, match=words):
        chart_objects(values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"policies": "kind: ScalingPolicy"}, "pd-autoscaler rbac"),
        ({"policySource": "files"}, "--set-file policies="),
        ({"policySource": "files", "policies": "x", "roles": "---", "watchNamespace": "serving"}, "watchNamespace"),
        ({"leaderElect": False}, "replicas=1"),
        ({"markPods": True}, "--set-file roles="),
    ],
)
def test_values_that_do_not_go_together_are_refused_with_what_to_do(values: dict[str, Any], words: str) -> None:
    with pytest.raises(HelmError, match=words):
        chart_objects(values)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"podDisruptionBudget": {"enabled": False}}, "PodDisruptionBudget"),
        ({"networkPolicy": {"enabled": False}}, "NetworkPolicy"),
        ({"serviceMonitor": {"enabled": False}}, "ServiceMonitor"),
        ({"prometheusRule": {"enabled": False}}, "PrometheusRule"),
    ],
)
def test_what_a_cluster_has_no_use_for_can_be_left_out(values: dict[str, Any], kind: str) -> None:
    assert kind in {document["kind"] for document in chart_objects({})}
    assert kind not in {document["kind"] for document in chart_objects(values)}


def test_a_digest_wins_over_the_tag() -> None:
    digest = f"sha256:{'a' * 64}"

    (deployment,) = [
        one for one in chart_objects({"image": {"digest": digest, "tag": "x"}}) if one["kind"] == "Deployment"
    ]

    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == f"ghcr.io/pd-autoscaler/pd-autoscaler@{digest}"


def test_the_policy_that_the_daemon_reads_is_the_file_that_was_given() -> None:
    (found,) = [one for one in helmed("recommend") if one["metadata"]["name"] == "pd-autoscaler-policies"]

    assert found["data"] == {"policy.yaml": (DEPLOY / "overlays" / "recommend" / "policy.yaml").read_text()}
