"""What `doctor` tells of targets, rights, others who write, ends of pods and the switch."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from autoscaler.core.policy import Role
from tests.cli.doctoring import examine, server, text
from tests.cli.test_doctor_command import run_doctor
from tests.e2e.stage import policy_document
from tests.sources.chat import DECODE, ENGINES, PREFILL, fill
from tests.support.crds import definition_of, manifest
from tests.support.distributions import quantile
from tests.support.kube import Cluster, FakeCluster, fake_kube_api, kube_api, real_kube_api
from tests.support.kube_api import DeploymentController
from tests.support.kube_api.manifests import deployment
from tests.support.prometheus import Prometheus
from tests.support.vllm_series import REQUEST_BOUNDS_S
from tests.targets.kubernetes.objects import create, ready_pod
from tests.targets.kubernetes.switches.test_config_map_switch import EPP, add_router, config_map

__all__ = ["fake_kube_api", "kube_api", "real_kube_api", "server"]

READ = [
    {"apiGroups": ["apps"], "resources": ["deployments", "deployments/scale"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
]


def with_pools(cluster: Cluster) -> None:
    """Both pools of the service, as deployments of two."""
    for role in ("prefill", "decode"):
        cluster.create("deployments", deployment(f"chat-{role}", replicas=2))


def test_a_target_that_does_not_exist_makes_its_role_inert(
    server: Prometheus, tmp_path: Path, kube_api: Cluster
) -> None:
    fill(server, "no-target", *ENGINES)
    kube_api.create("deployments", deployment("chat-decode", replicas=2))

    found = examine(server, tmp_path, "no-target", cluster=kube_api)

    assert set(found.inert) == {"prefill"}
    assert "missing  prefill: " in text(found)
    assert "ok       decode: 0 of 2 replicas serve" in text(found)


def test_a_right_that_is_missing_is_named_with_the_rule_that_grants_it(
    server: Prometheus, tmp_path: Path, kube_api: Cluster
) -> None:
    fill(server, "rights", *ENGINES)
    with_pools(kube_api)
    token = kube_api.service_account("reader", READ)

    found = examine(server, tmp_path, "rights", cluster=kube_api, token=token)

    assert found.inert == {}
    shown = text(found)
    assert f"ok       list pods in {kube_api.namespace}" in shown
    assert f"missing  patch deployments/scale {kube_api.namespace}/chat-decode" in shown
    assert (
        f"-> add to a Role in namespace {kube_api.namespace}: "
        '{apiGroups: ["apps"], resources: ["deployments/scale"], verbs: ["patch"], resourceNames: ["chat-decode"]}'
    ) in " ".join(shown.split())


def test_a_right_on_one_pool_alone_is_told_from_that_on_the_other(
    server: Prometheus, tmp_path: Path, kube_api: Cluster
) -> None:
    fill(server, "one-pool", *ENGINES)
    with_pools(kube_api)
    one = {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["patch"]}
    token = kube_api.service_account("half", [*READ, {**one, "resourceNames": ["chat-prefill"]}])

    shown = text(examine(server, tmp_path, "one-pool", cluster=kube_api, token=token))

    assert f"ok       patch deployments/scale {kube_api.namespace}/chat-prefill, to enforce" in shown
    assert f"missing  patch deployments/scale {kube_api.namespace}/chat-decode, to enforce" in shown


def test_rights_that_the_server_does_not_tell_are_unknown(
    server: Prometheus, tmp_path: Path, fake_kube_api: FakeCluster
) -> None:
    fill(server, "untold", *ENGINES)

    found = examine(server, tmp_path, "untold", cluster=fake_kube_api, token="made-up")

    assert found.cluster is not None
    assert {right.granted for right in found.cluster.rights} == {None}
    assert "unknown  get deployments serving/chat-decode: create selfsubjectaccessreviews" in text(found)


def test_somebody_else_who_scales_is_named(server: Prometheus, tmp_path: Path, kube_api: Cluster) -> None:
    fill(server, "rival", *ENGINES)
    with_pools(kube_api)
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat-prefill"}
    kube_api.create(
        "horizontalpodautoscalers",
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "rival"},
            "spec": {"scaleTargetRef": reference, "maxReplicas": 4},
        },
    )

    shown = text(examine(server, tmp_path, "rival", cluster=kube_api))

    assert f"conflict prefill: HorizontalPodAutoscaler {kube_api.namespace}/rival" in shown


def test_streams_that_last_longer_than_pods_have_to_end_are_named(
    server: Prometheus, tmp_path: Path, fake_kube_api: FakeCluster
) -> None:
    long = replace(DECODE, latencies_s={**DECODE.latencies_s, "vllm:e2e_request_latency_seconds": (8.0, 9.0, 45.0)})
    fill(server, "streams", PREFILL, long)
    DeploymentController(fake_kube_api.api, time.time)
    for role in ("prefill", "decode"):
        fake_kube_api.create("deployments", deployment(f"chat-{role}", replicas=2))

    found = examine(server, tmp_path, "streams", cluster=fake_kube_api)

    short, fine = (next(one for one in found.draining if one.role is role) for role in (Role.DECODE, Role.PREFILL))
    assert (short.is_short, short.grace_s) == (True, 30.0)
    assert short.needed_s == pytest.approx(quantile(0.99, (8.0, 9.0, 45.0), REQUEST_BOUNDS_S))
    assert (fine.is_short, fine.needed_s) == (False, 30.0)
    shown = " ".join(text(found).split())
    assert "short decode: pods have 30 s to end" in shown
    assert "-> set terminationGracePeriodSeconds of the pods to " in shown
    assert "vLLM aborts what runs" in shown


def test_where_no_series_tells_how_long_requests_take_it_is_said_how_they_would(
    server: Prometheus, tmp_path: Path, fake_kube_api: FakeCluster
) -> None:
    DeploymentController(fake_kube_api.api, time.time)
    for role in ("prefill", "decode"):
        fake_kube_api.create("deployments", deployment(f"chat-{role}", replicas=2))

    shown = text(examine(server, tmp_path, "no-triton", cluster=fake_kube_api, stack="triton"))

    words = " ".join(shown.split())
    assert "unknown decode: pods have 30 s to end; nothing tells how long requests take; needs tritonserver" in words
    assert "unknown prefill: pods have 30 s to end; the stack says of no time for which prefill keeps" in words


def test_a_target_is_named_with_its_last_writer_and_with_what_keeps_it_from_being_written(
    server: Prometheus, tmp_path: Path, fake_kube_api: FakeCluster
) -> None:
    fill(server, "blocked", *ENGINES)
    roles = [{"name": role, "replicas": 2} for role in ("prefill", "decode")]
    spec = {"replicas": 1, "updateStrategy": {"type": "RollingUpdate"}, "template": {"spec": {"roles": roles}}}
    fake_kube_api.define(definition_of("StormService.orchestration.aibrix.ai"))
    fake_kube_api.create("stormservices", manifest("StormService.orchestration.aibrix.ai", "chat", spec))
    pools = {
        role: {"target": {"spec": "stormservice", "name": "chat"}, "selector": {"role": role}, "max": 4}
        for role in ("prefill", "decode")
    }

    shown = " ".join(text(examine(server, tmp_path, "blocked", cluster=fake_kube_api, roles=pools)).split())

    assert "counted at StormService serving/chat, set last by " in shown
    assert "blocked decode: StormService serving/chat: spec.updateStrategy.type is RollingUpdate: " in shown


def test_accelerators_that_the_pods_ask_for_are_held_against_the_policys(
    server: Prometheus, tmp_path: Path, fake_kube_api: FakeCluster
) -> None:
    fill(server, "accelerators", *ENGINES)
    for role in ("prefill", "decode"):
        fake_kube_api.create("deployments", deployment(f"chat-{role}", replicas=1))
    labels = deployment("chat-decode", replicas=1)["spec"]["selector"]["matchLabels"]
    create(fake_kube_api, ready_pod("chat-decode-0", labels, gpus=4))

    shown = " ".join(text(examine(server, tmp_path, "accelerators", cluster=fake_kube_api)).split())

    assert "note decode: a replica's pods ask for 4 accelerators, and the policy says 1: set spec.roles.decode" in shown
    assert "prefill: a replica's pods" not in shown


def test_who_keeps_the_switch_as_it_is_in_git_is_named(
    server: Prometheus, tmp_path: Path, fake_kube_api: FakeCluster
) -> None:
    fill(server, "git", *ENGINES)
    fake_kube_api.create("configmaps", config_map(EPP))
    add_router(fake_kube_api)
    path = f"{fake_kube_api.path('v1', 'configmaps', 'epp')}?fieldManager=argocd-controller"
    edited = {"data": {"config.yaml": f"{EPP}# edited"}}
    assert fake_kube_api.request("PATCH", path, edited, content_type="application/merge-patch+json")[0] == 200
    target = {"spec": "llm-d-epp", "name": "epp", "key": "config.yaml", "router": "epp", "allowRouterRestart": True}
    switch = {"target": target, "prefillOff": 1}

    shown = text(examine(server, tmp_path, "git", cluster=fake_kube_api, stack="llm-d", switch=switch))

    words = " ".join(shown.split())
    assert "nonCachedTokens in config.yaml is 16" in words
    assert 'conflict Argo CD serving/epp writes data["config.yaml"] of ConfigMap epp' in words


def test_where_the_switch_stands_is_told(server: Prometheus, tmp_path: Path) -> None:
    fill(server, "switch", *ENGINES)
    selectors = {
        role: {"selector": {"role": role}, "target": {"name": role}, "max": 4} for role in ("prefill", "decode")
    }

    found = examine(server, tmp_path, "switch", stack="llm-d", roles=selectors, switch={})

    assert found.switch_known
    assert "switch ok 2 prefill replicas asked for, 2 ready" in " ".join(text(found).split())


def test_rights_on_the_daemons_own_objects_and_those_that_enforcing_takes_are_looked_at(
    server: Prometheus, tmp_path: Path, kube_api: Cluster
) -> None:
    fill(server, "own", *ENGINES)
    token = kube_api.service_account("reader", READ)
    path, config = tmp_path / "policy.yaml", kube_api.kubeconfig(tmp_path / "kubeconfig", token=token)
    path.write_text(yaml.safe_dump(policy_document("chat", kube_api.namespace, server.url, mode="recommend")))
    own = ("--leader-elect", "--state", "configmap", "--lease-namespace", kube_api.namespace)

    _, out = run_doctor("--policy", path, "--kubeconfig", config, *own)

    for right in ("create leases", "create configmaps", "create events"):
        assert f"missing  {right} in {kube_api.namespace}" in out
    for right in ("update leases", "patch deployments/scale"):
        assert f"missing  {right} {kube_api.namespace}/" in out
    assert f"create events in {kube_api.namespace}, to enforce" in out
    assert run_doctor("--policy", path, "--leader-elect")[1].endswith("the namespace that the daemon runs in")
