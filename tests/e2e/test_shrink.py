"""Shrinking through the API server: the pods with the least to do leave, and no right to say so stops nothing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from autoscaler.config import load_paths
from autoscaler.core.policy import Role
from autoscaler.daemon.assembly import Surroundings, connections
from autoscaler.daemon.pod_marks import COST, OURS
from autoscaler.targets.base import Outcome, WriteResult
from tests.daemon.builders import HandClock, capturing
from tests.e2e.stage import write_policy
from tests.support.kube import FakeCluster
from tests.support.kube_api import DeploymentController
from tests.support.kube_api.manifests import deployment
from tests.support.prometheus import Prometheus, TimeSeries

READ_AND_SCALE = [
    {"apiGroups": ["apps"], "resources": ["deployments", "deployments/scale"], "verbs": ["get", "patch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
]


class Pool:
    """Four decode pods with 7, 3, 9 and 1 requests, and the daemon's target of them."""

    def __init__(self, cluster: FakeCluster, prometheus: Prometheus, folder: Path, token: str = "") -> None:
        self.cluster = cluster
        self.name = f"shrink-{time.time_ns()}"
        self.clock = HandClock()
        self.clock.at_s = time.time()
        DeploymentController(cluster.api, self.clock.now_s)
        for role in ("prefill", "decode"):
            cluster.create("deployments", deployment(f"{self.name}-{role}", replicas=4))
        names = sorted(pod["metadata"]["name"] for pod in self.pods())
        self.busy = dict(zip(names, (7.0, 3.0, 9.0, 1.0), strict=True))
        for pod, requests in self.busy.items():
            labels = {"service": self.name, "role": "decode", "pod": pod, "model_name": "llama"}
            for metric, value in (("running", requests), ("waiting", 0.0)):
                series = {"__name__": f"vllm:num_requests_{metric}", **labels}
                prometheus.write([TimeSeries(series, [(self.clock.at_s, value)])])
        (loaded,) = load_paths([write_policy(folder, self.name, cluster.namespace, prometheus.url)])
        around = Surroundings(kubeconfig=str(cluster.kubeconfig(folder / "kubeconfig", token=token)))
        log, self.lines = capturing()
        self.source, self.target = connections(loaded.policy, around, self.clock, log, writes=True)

    def pods(self) -> list[dict[str, Any]]:
        found = self.cluster.request("GET", self.cluster.path("v1", "pods"))[1]["items"]
        return [pod for pod in found if pod["metadata"]["labels"]["app"] == f"{self.name}-decode"]

    def shrink_to(self, replicas: int) -> WriteResult:
        basis = self.target.read().basis[Role.DECODE]
        done = self.target.write(Role.DECODE, replicas, basis=basis, dry_run=False)
        self.source.close()
        self.target.close()
        return done


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
