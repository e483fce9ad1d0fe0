"""The objects that an installation consists of, as kustomize and Helm make them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import yaml

from autoscaler import __version__
from autoscaler.cli.commands import load
from tests.deploy.rendering import (
    CHART,
    DEPLOY,
    NAME,
    OVERLAYS,
    ROOT,
    TOOLS,
    JsonObject,
    key_of,
    meaning,
    rendered,
)
from tests.deploy.schemas import VERSIONS, complaints, policy_definition

BOTH = [(tool, overlay) for tool in TOOLS for overlay in OVERLAYS]
either = pytest.mark.parametrize(("tool", "overlay"), BOTH)
Documents = list[JsonObject]


def only(documents: Documents, kind: str, name: str = NAME) -> JsonObject:
    (found,) = [one for one in documents if one["kind"] == kind and one["metadata"]["name"] == name]
    return found


def pod_of(documents: Documents) -> JsonObject:
    return dict(only(documents, "Deployment")["spec"]["template"]["spec"])


def daemon_of(documents: Documents) -> JsonObject:
    (found,) = [container for container in pod_of(documents)["containers"] if container["name"] == NAME]
    return dict(found)


def test_what_is_generated_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/manifests.py", "--check"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_chart_makes_the_same_objects_as_kustomize(overlay: str) -> None:
    by_kustomize, by_helm = (
        {key_of(document): meaning(document) for document in rendered(tool, overlay)} for tool in TOOLS
    )

    assert by_helm == by_kustomize


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid_by_strict_schemas(version: str) -> None:
    distinct = {json.dumps(document): document for overlay in OVERLAYS for document in rendered("helm", overlay)}

    assert [found for document in distinct.values() for found in complaints(document, version)] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_the_definition_of_policies_is_valid_by_strict_schemas(version: str) -> None:
    assert complaints(policy_definition(), version) == []


def test_the_schemas_reach_from_the_oldest_supported_kubernetes_to_the_current_one() -> None:
    assert VERSIONS[0] == "1.28"
    assert len(VERSIONS) >= 10


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", ("spec", "replcias"), 2),
        ("Deployment", ("spec", "replicas"), "2"),
        ("NetworkPolicy", ("spec", "podSelektor"), {}),
        ("ServiceMonitor", ("spec", "endpoint"), []),
        ("PrometheusRule", ("spec", "groups"), [{"name": "x", "rules": [{"alert": "A", "expr": "sum("}]}]),
        ("ScalingPolicy", ("spec", "objective"), {}),
    ],
)
def test_a_slip_would_be_seen(kind: str, path: tuple[str, str], value: Any) -> None:
    (document, *_) = [one for one in rendered("helm", "enforce") if one["kind"] == kind]

    wrong = {**document, path[0]: {**document[path[0]], path[1]: value}}

    assert complaints(document, VERSIONS[-1]) == []
    assert complaints(wrong, VERSIONS[-1]) != []


@either
def test_pods_keep_to_the_restricted_pod_security_standard(tool: str, overlay: str) -> None:
    pod = pod_of(rendered(tool, overlay))

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert {volume.keys() - {"name"} == {"configMap"} or "emptyDir" in volume for volume in pod.get("volumes", [])} <= {
        True
    }
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]


@either
def test_the_daemon_understands_its_arguments(tool: str, overlay: str) -> None:
    command, *arguments = daemon_of(rendered(tool, overlay))["args"]

    with load(command).make_context(command, arguments) as context:
        assert context.params["listen"] == ":9464"
        assert context.params["leader_elect"] is (overlay != "recommend")


@either
def test_replicas_that_may_write_elect_a_leader(tool: str, overlay: str) -> None:
    documents = rendered(tool, overlay)

    replicas = only(documents, "Deployment")["spec"]["replicas"]
    assert (replicas, "--leader-elect" in daemon_of(documents)["args"]) == (
        (1, False) if overlay == "recommend" else (2, True)
    )


@either
def test_whatever_selects_the_daemon_finds_its_pods(tool: str, overlay: str) -> None:
    documents = rendered(tool, overlay)
    labels = only(documents, "Deployment")["spec"]["template"]["metadata"]["labels"]
    service = only(documents, "Service")
    selectors = [
        only(documents, "Deployment")["spec"]["selector"]["matchLabels"],
        only(documents, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        only(documents, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        service["spec"]["selector"],
    ]

    assert all(selector and selector.items() <= labels.items() for selector in selectors)
    monitor = only(documents, "ServiceMonitor")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    ports = [port["name"] for port in daemon_of(documents)["ports"]]
    assert ports == [service["spec"]["ports"][0]["targetPort"]]
    assert {daemon_of(documents)[probe]["httpGet"]["port"] for probe in ("livenessProbe", "readinessProbe")} == {*ports}


@either
def test_every_mount_has_its_volume_and_every_volume_its_object(tool: str, overlay: str) -> None:
    documents = rendered(tool, overlay)
    pod = pod_of(documents)
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}

    assert {mount["name"] for mount in daemon_of(documents).get("volumeMounts", [])} == volumes.keys()
    for volume in volumes.values():
        if "configMap" in volume:
            only(documents, "ConfigMap", volume["configMap"]["name"])


@either
def test_the_daemon_is_given_every_role_and_each_is_no_wider_than_it_must_be(tool: str, overlay: str) -> None:
    documents = rendered(tool, overlay)
    account = {
        "kind": "ServiceAccount",
        "name": NAME,
        "namespace": only(documents, "ServiceAccount")["metadata"]["namespace"],
    }
    roles = [document for document in documents if document["kind"] in {"Role", "ClusterRole"}]

    for role in roles:
        (binding,) = [
            one
            for one in documents
            if one["kind"] == f"{role['kind']}Binding"
            and one["roleRef"]["name"] == role["metadata"]["name"]
            and one["metadata"].get("namespace") == role["metadata"].get("namespace")
        ]
        assert binding["roleRef"]["kind"] == role["kind"]
        assert binding["subjects"] == [account]
        assert all("*" not in rule[part] for rule in role["rules"] for part in ("apiGroups", "resources", "verbs"))
        assert all("secrets" not in rule["resources"] for rule in role["rules"])
    assert roles


@pytest.mark.parametrize("tool", TOOLS)
def test_the_right_to_read_all_namespaces_is_only_there_where_policies_may_be_in_any(tool: str) -> None:
    wide = {overlay for overlay in OVERLAYS if "ClusterRole" in {one["kind"] for one in rendered(tool, overlay)}}

    assert wide == {"namespaces"}


@pytest.mark.parametrize("tool", TOOLS)
def test_an_adviser_has_no_right_to_write_anything(tool: str) -> None:
    roles = [one for one in rendered(tool, "recommend") if one["kind"] in {"Role", "ClusterRole"}]

    assert {verb for role in roles for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list"}


@either
def test_the_network_is_shut_but_for_dns_the_api_server_and_prometheus(tool: str, overlay: str) -> None:
    spec = only(rendered(tool, overlay), "NetworkPolicy")["spec"]
    prometheus = {"openshift": [9091], "hyperpod-eks": None}.get(overlay, [9090])
    names = {"openshift": 5353}.get(overlay, 53)

    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert [[port["port"] for port in rule["ports"]] for rule in spec["ingress"]] == [[9464]]
    ports = [[port["port"] for port in rule["ports"]] for rule in spec["egress"]]
    assert ports == [[names, names], [443, 6443], *([prometheus] if prometheus else [])]
    assert all(rule["to"] for rule in spec["egress"])
    assert all(rule["from"] for rule in spec["ingress"])
    blocks = [peer["ipBlock"] for rule in spec["egress"] for peer in rule["to"] if "ipBlock" in peer]
    assert {"169.254.0.0/16", "fd00:ec2::254/128"} <= {address for block in blocks for address in block["except"]}


@either
def test_dashboards_carry_the_label_that_grafanas_sidecar_looks_for(tool: str, overlay: str) -> None:
    labelled = [one for one in rendered(tool, overlay) if "grafana_dashboard" in one["metadata"].get("labels", {})]

    assert {one["metadata"]["labels"]["grafana_dashboard"] for one in labelled} <= {"1"}
    files = {path.name: path.read_text() for path in (ROOT / "dashboards").glob("*.json")}
    assert {name: text for one in labelled for name, text in one["data"].items()} == files


@either
def test_no_object_is_too_large_for_kubectl_apply(tool: str, overlay: str) -> None:
    limit_bytes = 256 * 1024

    assert [key_of(one) for one in rendered(tool, overlay) if len(json.dumps(one)) > limit_bytes] == []


def test_there_is_one_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    image = yaml.safe_load((DEPLOY / "base" / "deployment.yaml").read_text())["spec"]["template"]["spec"]["containers"][
        0
    ]["image"]

    assert {chart["version"], chart["appVersion"], image.rpartition(":")[2]} == {__version__}
