from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler.cli.doctor_text import lines
from autoscaler.cli.examination import Examination, examine_policy
from autoscaler.config import load_paths
from autoscaler.core.policy import Role
from autoscaler.daemon.assembly import Surroundings
from autoscaler.sources.findings import Verdict
from tests.cli.test_doctor_command import run_doctor
from tests.daemon.builders import HandClock
from tests.e2e.stage import policy_document
from tests.sources.chat import DECODE, ENGINES, NOW_S, PREFILL, fill
from tests.support.crds import definition_of, manifest
from tests.support.distributions import quantile
from tests.support.kube import Cluster, FakeCluster, fake_kube_api, kube_api, real_kube_api
from tests.support.kube_api import DeploymentController
from tests.support.kube_api.manifests import deployment
from tests.support.loopback import Reply, Request, running_loopback
from tests.support.prometheus import Prometheus, TimeSeries, running_prometheus
from tests.support.vllm_series import REQUEST_BOUNDS_S, STEP_S, Fleet
from tests.targets.kubernetes.objects import create, ready_pod
from tests.targets.kubernetes.switches.test_config_map_switch import EPP, add_router, config_map

__all__ = ["fake_kube_api", "kube_api", "real_kube_api"]

READ = [
    {"apiGroups": ["apps"], "resources": ["deployments", "deployments/scale"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
]


@pytest.fixture(scope="module")
def server() -> Iterator[Prometheus]:
    with running_prometheus() as running:
        yield running


def examine(
    server: Prometheus, folder: Path, namespace: str, *, cluster: Cluster | None = None, token: str = "", **spec: object
) -> Examination:
    path = folder / "policy.yaml"
    settings = {"model": "llama", "selector": {"namespace": namespace}, **spec}
    place = cluster.namespace if cluster is not None else namespace
    document = policy_document("chat", place, server.url, mode="recommend", **settings)
    document["spec"] = {key: value for key, value in document["spec"].items() if value is not None}
    path.write_text(yaml.safe_dump(document))
    (loaded,) = load_paths([path])
    clock = HandClock()
    clock.at_s = NOW_S
    kubeconfig = cluster.kubeconfig(folder / "kubeconfig", token=token) if cluster is not None else None
    return examine_policy(loaded.policy, Surroundings(kubeconfig=str(kubeconfig) if kubeconfig else None), clock)


def text(found: Examination) -> str:
    return "\n".join(lines(found))


def test_of_a_healthy_service_all_is_well_and_what_would_be_decided_is_told(server: Prometheus, tmp_path: Path) -> None:
    fill(server, "healthy", *ENGINES)

    found = examine(server, tmp_path, "healthy")

    assert found.inert == {}
    assert found.held == {}
    assert {signal.verdict for signal in found.signals.signals} == {Verdict.OK}
    shown = text(found)
    assert "ok       metric names begin with vllm:, versions >=0.32" in shown
    assert "ok       decode.running: 100 requests, 0 s old, 2 series" in shown
    assert "ok       prefill: 2 of 2 replicas serve" in shown
    assert "ok       prefill: 2 to " in shown


def test_without_a_cluster_counts_come_from_metrics_and_it_is_said_why(server: Prometheus, tmp_path: Path) -> None:
    fill(server, "no-cluster", *ENGINES)

    found = examine(server, tmp_path, "no-cluster")

    assert found.cluster is None
    assert "targets, from metrics because no cluster is configured" in text(found)
    assert "pass --kubeconfig" in text(found)


def test_wrong_labels_make_a_policy_inert_and_those_that_exist_are_told_once(
    server: Prometheus, tmp_path: Path
) -> None:
    fill(server, "there", *ENGINES)

    found = examine(server, tmp_path, "not-there")

    assert set(found.inert) == {"prefill", "decode"}
    shown = text(found)
    assert "missing  no series of the service is there; its names would begin with vllm:" in shown
    assert "missing  prefill.queue_depth: vllm:num_requests_waiting" in shown
    assert shown.count('signals: no series has namespace="not-there"; namespace is ') == 1
    assert "the stack tells roles by role: prefill prefill, decode decode" in " ".join(shown.split())
    assert "inert    prefill: " in shown


def test_a_single_missing_metric_is_told_where_it_is_missing(server: Prometheus, tmp_path: Path) -> None:
    fill(server, "older", *(replace(engine, version=(0, 19)) for engine in ENGINES))

    shown = text(examine(server, tmp_path, "older"))

    assert "missing  decode.waiting_for_kv: vllm:num_requests_kv_fetch_by_stage" in shown


@pytest.mark.parametrize("preempted", [0, DECODE.preempted], ids=["calm", "out-of-blocks"])
def test_a_pool_that_lacks_what_a_shrink_needs_is_told_before_anybody_waits_for_one(
    server: Prometheus, tmp_path: Path, preempted: int
) -> None:
    service = f"grows-{preempted}"
    fill(server, service, PREFILL, replace(DECODE, preempted=preempted))

    found = examine(server, tmp_path, service, signals={"decode": {"waiting": "sum(no_such_series)"}})

    assert found.inert == {}
    assert set(found.held) == {"decode"}
    shown = " ".join(text(found).split())
    assert "grows decode: it grows and never shrinks while waiting is " in shown


def test_a_service_that_is_idle_is_not_inert(server: Prometheus, tmp_path: Path) -> None:
    fill(server, "idle", *(replace(engine, finished=0, waiting=lambda _: 0.0, running=0.0) for engine in ENGINES))

    found = examine(server, tmp_path, "idle")

    assert found.inert == {}
    assert "idle     service.ttft_s: " in text(found)
    assert "-> send a request and look again" in text(found)


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
    for role in ("prefill", "decode"):
        kube_api.create("deployments", deployment(f"chat-{role}", replicas=2))
    token = kube_api.service_account("reader", READ)

    found = examine(server, tmp_path, "rights", cluster=kube_api, token=token)

    assert found.inert == {}
    shown = text(found)
    assert f"ok       list pods in {kube_api.namespace}" in shown
    assert f"missing  patch deployments/scale in {kube_api.namespace}" in shown
    assert (
        f"-> add to a Role in namespace {kube_api.namespace}: "
        '{apiGroups: ["apps"], resources: ["deployments/scale"], verbs: ["patch"]}'
    ) in " ".join(shown.split())


def test_rights_that_the_server_does_not_tell_are_unknown(
    server: Prometheus, tmp_path: Path, fake_kube_api: FakeCluster
) -> None:
    fill(server, "untold", *ENGINES)

    found = examine(server, tmp_path, "untold", cluster=fake_kube_api, token="made-up")

    assert found.cluster is not None
    assert {right.granted for right in found.cluster.rights} == {None}
    assert "unknown  get deployments in serving: create selfsubjectaccessreviews" in text(found)


def test_somebody_else_who_scales_is_named(server: Prometheus, tmp_path: Path, kube_api: Cluster) -> None:
    fill(server, "rival", *ENGINES)
    for role in ("prefill", "decode"):
        kube_api.create("deployments", deployment(f"chat-{role}", replicas=2))
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


def test_bounds_that_the_stack_does_not_bear_are_named(server: Prometheus, tmp_path: Path) -> None:
    fill(server, "limit", *ENGINES)
    roles = {
        "prefill": {"target": {"name": "p"}, "selector": {"role": "prefill"}, "min": 0, "max": 4},
        "decode": {"target": {"name": "d"}, "selector": {"role": "decode"}, "max": 4},
    }

    shown = text(examine(server, tmp_path, "limit", stack="production-stack", roles=roles))

    said = "limit    spec.roles.prefill.min: stack production-stack: min of prefill is 0, at least 1 is needed."
    assert f"{said} The router sends every prompt to prefill" in " ".join(shown.split()).replace("limit ", "limit    ")


def test_pods_that_are_scraped_directly_are_examined_too(server: Prometheus, tmp_path: Path) -> None:
    found = scraped(tmp_path, server)

    assert found.signals.heard
    assert "ok       decode.running: 50 requests" in text(found)


def scraped(folder: Path, server: Prometheus, **spec: Any) -> Examination:
    fleet = Fleet((PREFILL, DECODE), "llama", {"namespace": "pages"})

    def answer(request: Request) -> Reply:
        return Reply(body=fleet.page(request.path.split("/")[1], NOW_S - 600.0, NOW_S).encode())

    with running_loopback(answer) as pods:
        endpoints = {engine.role: [f"{pods.url}/{engine.pod}/metrics"] for engine in fleet.engines}
        scrape = {"interval": "1s", "endpoints": endpoints}
        return examine(server, folder, "pages", scrape=scrape, prometheus=None, **spec)


def test_labels_that_do_not_fit_are_diagnosed_on_pages_scraped_directly_too(server: Prometheus, tmp_path: Path) -> None:
    shown = " ".join(text(scraped(tmp_path, server, model="lama")).split())

    assert 'no series has model_name="lama"; model_name is llama' in shown
    assert "inert prefill: " in shown


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


@pytest.mark.parametrize(
    ("copies", "told", "remedy"),
    [
        (
            [{"job": "by-annotation"}, {"job": "by-monitor", "endpoint": "http"}],
            "job alone, so all counts double: by-annotation, by-monitor",
            "-> scrape them once, or put job into spec.selector",
        ),
        (
            [{"instance": "10.0.0.1:8000"}, {"instance": "10.0.0.1:8200"}],
            "instance alone, so all counts double: 10.0.0.1:8000, 10.0.0.1:8200",
            "-> scrape one port of each pod",
        ),
        (
            [{"prometheus_replica": "prometheus-0"}, {"prometheus_replica": "prometheus-1"}],
            "prometheus_replica alone, so all counts double: prometheus-0, prometheus-1",
            "-> ask a server that drops the copies of a pair, as Thanos does by its replica labels",
        ),
        (
            [{"cluster": "east"}, {}],
            "cluster alone, so all counts double: none, east",
            "-> the service is in several clusters: put cluster into spec.selector",
        ),
    ],
)
def test_series_that_are_there_twice_are_told_for_they_count_twice(
    server: Prometheus, tmp_path: Path, copies: list[dict[str, str]], told: str, remedy: str
) -> None:
    namespace = f"twice-{'-'.join(copies[0]).replace('_', '-')}"
    for added in copies:
        fleet = Fleet(ENGINES, "llama", {"namespace": namespace, **added})
        server.write(fleet.time_series(NOW_S - 330.0, NOW_S))

    shown = " ".join(text(examine(server, tmp_path, namespace)).split())
    assert f"twice series of the same pods differ by {told} {remedy}" in shown


def test_engines_of_one_pod_are_no_copies_of_one_another(server: Prometheus, tmp_path: Path) -> None:
    fill(server, "once", *ENGINES)

    assert len({engine.pod for engine in ENGINES}) < len(ENGINES)
    assert "counts double" not in text(examine(server, tmp_path, "once"))


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

    for right in ("update leases", "create configmaps", "patch deployments/scale", "create events"):
        assert f"missing  {right} in {kube_api.namespace}" in out
    assert f"create events in {kube_api.namespace}, to enforce" in out
    assert run_doctor("--policy", path, "--leader-elect")[1].endswith("the namespace that the daemon runs in")


def test_replicas_that_serve_without_being_scraped_are_told(server: Prometheus, tmp_path: Path) -> None:
    fill(server, "partly", *ENGINES)
    for name in ("kube_deployment_spec_replicas", "kube_deployment_status_replicas_ready"):
        labels = {"__name__": name, "deployment": "chat-decode", "namespace": "partly"}
        server.write([TimeSeries(labels, [(NOW_S - STEP_S, 5.0), (NOW_S, 5.0)])])

    found = examine(server, tmp_path, "partly")

    assert found.held == {"decode": "of 5 replicas that serve 2 report: what the others do is not counted"}
