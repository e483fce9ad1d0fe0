"""Shrinking through the API server: the pods with the least to do leave, and no right to say so stops nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from autoscaler.config import load_paths
from autoscaler.core.policy import Role
from autoscaler.daemon.assembly import connections
from autoscaler.daemon.pod_marks import COST, OURS, WITHDRAWN
from autoscaler.daemon.surroundings import Surroundings
from autoscaler.targets.base import Outcome, WriteResult
from tests.daemon.builders import HandClock, capturing
from tests.e2e.stage import write_policy
from tests.support.kube import FakeCluster
from tests.support.kube_api import DeploymentController
from tests.support.kube_api.manifests import deployment
from tests.support.prometheus import Prometheus, TimeSeries

ROUTED = {"llm-d.ai/inference-serving": "true"}
"""What the InferencePool of llm-d selects."""
READ_AND_SCALE = [
    {"apiGroups": ["apps"], "resources": ["deployments", "deployments/scale"], "verbs": ["get", "patch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
]


class Pool:
    """Four decode pods with 7, 3, 9 and 1 requests, and the daemon's target of them.

    Args:
        cluster: Where they are.
        prometheus: Where their gauges go.
        folder: Where policy and kubeconfig go.
        token: As whom the daemon asks; the administrator where it is empty.
        stack: Of the policy.
        pod_labels: Beside the label `app`, which their ReplicaSet selects them by.
        also_selects: What that selects them by too.
    """

    def __init__(
        self,
        cluster: FakeCluster,
        prometheus: Prometheus,
        folder: Path,
        token: str = "",
        *,
        stack: str = "vllm",
        pod_labels: Mapping[str, str] = MappingProxyType({}),
        also_selects: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.cluster = cluster
        self.prometheus = prometheus
        self.name = f"shrink-{time.time_ns()}"
        self.clock = HandClock()
        self.clock.at_s = time.time()
        DeploymentController(cluster.api, self.clock.now_s)
        for role in ("prefill", "decode"):
            made = deployment(f"{self.name}-{role}", replicas=4)
            made["spec"]["template"]["metadata"]["labels"] = {"app": f"{self.name}-{role}", **pod_labels}
            made["spec"]["selector"]["matchLabels"] |= also_selects
            cluster.create("deployments", made)
            cluster.create("replicasets", {**made, "kind": "ReplicaSet"})
        names = sorted(pod["metadata"]["name"] for pod in self.pods())
        self.busy = dict(zip(names, (7.0, 3.0, 9.0, 1.0), strict=True))
        self.report_load()
        (loaded,) = load_paths([write_policy(folder, self.name, cluster.namespace, prometheus.url, stack=stack)])
        around = Surroundings(kubeconfig=str(cluster.kubeconfig(folder / "kubeconfig", token=token)))
        log, self.lines = capturing()
        self.source, self.target = connections(loaded.policy, around, self.clock, log, writes=True)

    def report_load(self) -> None:
        """What each pod says now."""
        for pod, requests in self.busy.items():
            labels = {"service": self.name, "role": "decode", "pod": pod, "model_name": "llama"}
            for metric, value in (("running", requests), ("waiting", 0.0)):
                series = {"__name__": f"vllm:num_requests_{metric}", **labels}
                self.prometheus.write([TimeSeries(series, [(self.clock.at_s, value)])])

    def pods(self) -> list[dict[str, Any]]:
        found = self.cluster.request("GET", self.cluster.path("v1", "pods"))[1]["items"]
        return [pod for pod in found if pod["metadata"]["labels"]["app"] == f"{self.name}-decode"]

    def write(self, replicas: int) -> WriteResult:
        basis = self.target.read().basis[Role.DECODE]
        return self.target.write(Role.DECODE, replicas, basis=basis, dry_run=False)

    def shrink_to(self, replicas: int) -> WriteResult:
        done = self.write(replicas)
        self.close()
        return done

    def close(self) -> None:
        self.source.close()
        self.target.close()


def test_the_pods_with_the_least_to_do_leave(
    fake_kube_api: FakeCluster, prometheus: Prometheus, tmp_path: Path
) -> None:
    pool = Pool(fake_kube_api, prometheus, tmp_path)

    assert pool.shrink_to(2).outcome is Outcome.APPLIED

    stayed = {pod["metadata"]["name"] for pod in pool.pods()}
    assert sorted(pool.busy[name] for name in stayed) == [7.0, 9.0]
    changes = [request.resource for request in fake_kube_api.api.log.all("patch")]
    assert changes[-3:] == ["pods", "pods", "deployments/scale"]
    assert all(COST not in pod["metadata"].get("annotations", {}) for pod in pool.pods())


def test_a_shrink_that_the_server_refuses_leaves_no_mark(
    fake_kube_api: FakeCluster, prometheus: Prometheus, tmp_path: Path
) -> None:
    pool = Pool(fake_kube_api, prometheus, tmp_path)
    pool.target.read()
    fake_kube_api.patch("apps/v1", "deployments", f"{pool.name}-decode", {"spec": {"replicas": 5}})
    pool.clock.at_s += 1.0

    done = pool.target.write(Role.DECODE, 2, basis=pool.target.read().basis[Role.PREFILL], dry_run=False)

    pool.source.close()
    pool.target.close()
    assert done.outcome is Outcome.CONFLICT
    assert not any(pod["metadata"].get("annotations", {}).get(COST) == OURS for pod in pool.pods())


def test_without_the_right_to_mark_pods_it_shrinks_all_the_same(
    fake_kube_api: FakeCluster, prometheus: Prometheus, tmp_path: Path
) -> None:
    pool = Pool(fake_kube_api, prometheus, tmp_path, fake_kube_api.service_account("pd", READ_AND_SCALE))

    assert pool.shrink_to(3).outcome is Outcome.APPLIED

    assert len(pool.pods()) == 3
    (line,) = [line for line in pool.lines if line["event"] == "pods not marked"]
    assert "missing verb patch on pods" in str(line["message"])


def routed(pool: Pool) -> list[float]:
    """What the pods that the router finds have to do."""
    found = [pod["metadata"] for pod in pool.pods() if ROUTED.items() <= pod["metadata"]["labels"].items()]
    return sorted(pool.busy[metadata["name"]] for metadata in found)


def test_where_the_router_goes_by_a_label_a_pod_leaves_routing_first_and_then_the_pool(
    fake_kube_api: FakeCluster, prometheus: Prometheus, tmp_path: Path
) -> None:
    pool = Pool(fake_kube_api, prometheus, tmp_path, stack="llm-d", pod_labels=ROUTED)

    assert pool.write(3).outcome is Outcome.DEFERRED
    assert routed(pool) == [3.0, 7.0, 9.0]
    assert len(pool.pods()) == 4

    (leaving,) = [name for name, requests in pool.busy.items() if requests == 1.0]
    pool.busy[leaving] = 0.0
    pool.clock.at_s += 60.0
    pool.report_load()
    assert pool.shrink_to(3).outcome is Outcome.APPLIED
    assert leaving not in {pod["metadata"]["name"] for pod in pool.pods()}
    assert routed(pool) == [3.0, 7.0, 9.0]


def test_a_shrink_that_is_called_off_puts_the_label_back_as_it_was(
    fake_kube_api: FakeCluster, prometheus: Prometheus, tmp_path: Path
) -> None:
    pool = Pool(fake_kube_api, prometheus, tmp_path, stack="llm-d", pod_labels=ROUTED)
    pool.write(3)

    assert pool.shrink_to(5).outcome is Outcome.APPLIED

    metadata = [pod["metadata"] for pod in pool.pods()]
    assert all(one["labels"].items() >= ROUTED.items() for one in metadata)
    assert all(WITHDRAWN not in one.get("annotations", {}) for one in metadata)


def test_a_label_that_the_replica_set_selects_by_is_left_alone(
    fake_kube_api: FakeCluster, prometheus: Prometheus, tmp_path: Path
) -> None:
    pool = Pool(fake_kube_api, prometheus, tmp_path, stack="llm-d", pod_labels=ROUTED, also_selects=ROUTED)

    assert pool.shrink_to(3).outcome is Outcome.APPLIED

    assert routed(pool) == [3.0, 7.0, 9.0]
    (line,) = [line for line in pool.lines if line["event"] == "pods not out of routing"]
    assert "selects its pods by llm-d.ai/inference-serving, and would replace those without it" in str(line["message"])


def test_these_rights_are_what_it_takes(fake_kube_api: FakeCluster, prometheus: Prometheus, tmp_path: Path) -> None:
    rules = [
        *READ_AND_SCALE,
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["patch"]},
        {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["get"]},
    ]
    token = fake_kube_api.service_account("pd", rules)

    pool = Pool(fake_kube_api, prometheus, tmp_path, token, stack="llm-d", pod_labels=ROUTED)

    assert pool.write(3).outcome is Outcome.DEFERRED
    pool.close()
    assert [line["event"] for line in pool.lines if str(line["event"]).startswith("pods")] == []
