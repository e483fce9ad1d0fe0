"""The Helm chart by itself: its values are checked, and a mistake is answered with what to do."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from helm_python import HelmError, lint

from tests.deploy.rendering import CHART, DEPLOY, JsonObject, chart_objects, helmed

OVERLAY = DEPLOY / "overlays" / "enforce"
ROLE = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: all}\n"


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
        (
            {"networkPolicy": {"apiServer": {"to": []}}},
            "/networkPolicy/apiServer/to",
        ),  # to Kubernetes, that is anywhere
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


def acting(**values: Any) -> dict[str, Any]:
    """Values of an actor, with its policy and its roles."""
    policies, roles = ((OVERLAY / name).read_text() for name in ("policy.yaml", "roles.yaml"))
    return {"watchNamespace": "serving", "policies": policies, "roles": roles, **values}


BINDINGS = (OVERLAY / "role-bindings.yaml").read_text()
ADVISING = (DEPLOY / "overlays" / "recommend" / "roles.yaml").read_text()
NOWHERE = (OVERLAY / "policy.yaml").read_text().replace("  namespace: serving\n", "", 1)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"roles": BINDINGS}, "Roles and ClusterRoles, and found RoleBinding"),
        ({"roles": "kind: [Role"}, "Roles and ClusterRoles, and found"),
        ({"roles": ADVISING}, "no right to configmaps in namespace pd-autoscaler"),
        ({"roles": ADVISING, "state": "memory"}, "rbac policy.yaml ... --leader-elect --lease-namespace pd-autoscaler"),
        ({"watchNamespace": ""}, "no right to scalingpolicies in all namespaces"),
        ({"watchNamespace": "other"}, "llama-70b is in namespace serving, and watchNamespace is other"),
        ({"policies": NOWHERE}, "llama-70b has no metadata.namespace"),
        ({"leaderElect": False, "replicas": 1}, "while one pod takes another's place both would write"),
        ({"settings": "budgets: [a"}, "settings: error converting YAML"),
    ],
)
def test_policies_and_roles_that_do_not_go_with_the_values_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(HelmError, match=re.escape(words)):
        chart_objects(acting(**values))


@pytest.mark.parametrize("more", [{}, {"clusterRoles": ["view"], "roles": ADVISING}])
def test_roles_that_suffice_are_taken(more: dict[str, Any]) -> None:
    assert "RoleBinding" in {document["kind"] for document in chart_objects(acting(**more))}


def test_a_role_for_everything_suffices() -> None:
    everything = f"{ROLE}{yaml.safe_dump({'rules': [{'apiGroups': ['*'], 'resources': ['*'], 'verbs': ['*']}]})}"

    assert "ClusterRole" in {document["kind"] for document in chart_objects(acting(roles=everything))}


def test_who_asks_an_endpoint_with_tls_asks_by_https() -> None:
    settings = yaml.safe_dump({"endpoint": {"certFile": "/tls/tls.crt", "keyFile": "/tls/tls.key"}})
    found = chart_objects(acting(settings=settings, serviceMonitor={"endpoint": {"tlsConfig": {"serverName": "pda"}}}))

    (container,) = one_of(found, "Deployment")["spec"]["template"]["spec"]["containers"]
    probes = [container[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")]
    (endpoint,) = one_of(found, "ServiceMonitor")["spec"]["endpoints"]
    assert [probe["scheme"] for probe in probes] == ["HTTPS"] * 3
    assert (endpoint["scheme"], endpoint["tlsConfig"]) == ("https", {"serverName": "pda"})


def test_pods_are_made_anew_when_the_settings_change_and_keep_the_notes_that_are_asked_for() -> None:
    def notes(gpus: int) -> dict[str, str]:
        settings = yaml.safe_dump({"budgets": [{"name": "h100", "gpus": gpus}]})
        found = chart_objects(acting(settings=settings, podAnnotations={"team": "serving"}))
        return dict(one_of(found, "Deployment")["spec"]["template"]["metadata"]["annotations"])

    assert notes(64) == notes(64) != notes(72)
    assert notes(64).keys() == {"team", "checksum/settings"}
    assert "annotations" not in one_of(chart_objects(acting()), "Deployment")["spec"]["template"]["metadata"]


def test_the_daemon_gets_environment_variables() -> None:
    env = [{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector:4318"}]

    (container,) = one_of(chart_objects({"env": env}), "Deployment")["spec"]["template"]["spec"]["containers"]

    assert container["env"] == env


def one_of(documents: list[JsonObject], kind: str) -> JsonObject:
    (found,) = [document for document in documents if document["kind"] == kind]
    return found


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


@pytest.mark.parametrize("name", ["123", "true"])
def test_a_name_that_yaml_takes_for_something_else_stays_text(name: str) -> None:
    places = {"scrapers": {"namespace": name}, "dns": {"namespace": name}, "prometheus": {"namespace": name}}
    found = chart_objects({"networkPolicy": places, "priorityClassName": name, "clusterRoles": [name]}, namespace=name)

    rules = one_of(found, "NetworkPolicy")["spec"]
    peers = [rules["ingress"][0]["from"][0], *(rules["egress"][number]["to"][0] for number in (0, 2))]
    labels = [peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for peer in peers]
    assert labels == [name] * 3
    assert one_of(found, "Deployment")["spec"]["template"]["spec"]["priorityClassName"] == name
    binding = one_of(found, "ClusterRoleBinding")
    assert (binding["roleRef"]["name"], binding["subjects"][0]["namespace"]) == (name, name)
    assert {one["metadata"]["namespace"] for one in found if one["kind"] != "ClusterRoleBinding"} == {name}


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
