"""Personalities of a cluster: the workload controllers with their pods, and an operator that wants its number back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.kube_api.resources import Address
from tests.support.kube_api.server import FakeKubeApi
from tests.support.kube_api.store import Store, timestamp

JsonObject = dict[str, Any]

_MANAGER = "kube-controller-manager"


@dataclass(slots=True)
class DeploymentController:
    """Gives Deployments and StatefulSets their pods, and makes pods ready after a startup time.

    It runs before each request, so what a client sees always fits the clock.

    Attributes:
        clock: Unix time in seconds; the same one as the server's.
        startup_time_s: From a pod's creation to ready; infinite for pods that become ready on command only.
        schedulable_pods: How many pods find a node; the rest is unschedulable.
        crashing: Names of workloads whose new pods crash.
    """

    api: FakeKubeApi
    clock: Callable[[], float]
    startup_time_s: float = 0.0
    schedulable_pods: float = float("inf")
    crashing: set[str] = field(default_factory=set)
    _made: int = 0
    _bound_at_s: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.api.before_request.append(self.sync)

    def sync(self) -> None:
        """Bring pods and status of every workload in line with its spec and the clock."""
        for plural in ("deployments", "statefulsets"):
            collection = self.api.address("apps/v1", plural)
            for workload in self.api.store.select(collection):
                self._sync_pods(workload)
                self._sync_status(collection, workload)

    def make_ready(self, workload: str) -> None:
        """Make every pod of a workload ready now."""
        for pod in self._all_pods():
            if _owner(pod) == workload and not _is_ready(pod):
                self._set_pod_status(pod, _ready_status(self.clock()))

    def _sync_pods(self, workload: JsonObject) -> None:
        pods = self._pods_of(workload)
        wanted = workload["spec"]["replicas"]
        for pod in sorted(pods, key=_age_rank)[wanted:]:
            self._store.delete(self._pod_address(pod), {})
        for _ in range(wanted - len(pods)):
            self._create_pod(workload)
        for pod in self._pods_of(workload):
            self._advance(pod)

    def _create_pod(self, workload: JsonObject) -> None:
        self._made += 1
        metadata = workload["metadata"]
        template = workload["spec"]["template"]
        owner = {
            "apiVersion": workload["apiVersion"],
            "kind": "ReplicaSet" if workload["kind"] == "Deployment" else workload["kind"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": True,
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{metadata['name']}-{self._made:05d}",
                "labels": template["metadata"]["labels"],
                "ownerReferences": [owner],
            },
            "spec": template["spec"],
        }
        self._store.create(self.api.address("v1", "pods", metadata["namespace"]), pod, manager=_MANAGER)

    def _advance(self, pod: JsonObject) -> None:
        if _is_ready(pod):
            return
        if not pod["spec"].get("nodeName") and self._running() >= self.schedulable_pods:
            self._set_pod_status(pod, _unschedulable_status())
            return
        if not pod["spec"].get("nodeName"):
            pod = self._bind(pod)
        if _owner(pod) in self.crashing:
            self._set_pod_status(pod, _crashing_status())
        elif self.clock() >= self._ready_at_s(pod):
            self._set_pod_status(pod, _ready_status(self._ready_at_s(pod)))

    def _ready_at_s(self, pod: JsonObject) -> float:
        return self._bound_at_s[pod["metadata"]["uid"]] + self.startup_time_s

    def _bind(self, pod: JsonObject) -> JsonObject:
        bound = {**pod, "spec": {**pod["spec"], "nodeName": "node-1"}}
        self._bound_at_s[pod["metadata"]["uid"]] = self.clock()
        return self._store.update(self._pod_address(pod), lambda _: bound, manager="kube-scheduler")

    def _running(self) -> int:
        return sum(1 for pod in self._all_pods() if pod["spec"].get("nodeName"))

    def _set_pod_status(self, pod: JsonObject, status: JsonObject) -> None:
        address = self._pod_address(pod, "status")
        self._store.update(address, lambda current: {**current, "status": status}, manager="kubelet")

    def _sync_status(self, collection: Address, workload: JsonObject) -> None:
        pods = self._pods_of(workload)
        ready = sum(1 for pod in pods if _is_ready(pod))
        counts = {
            "replicas": len(pods),
            "updatedReplicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
        }
        status = {key: value for key, value in counts.items() if value}
        status["observedGeneration"] = workload["metadata"]["generation"]
        metadata = workload["metadata"]
        address = Address(collection.resource, collection.version, metadata["namespace"], metadata["name"], "status")
        self._store.update(address, lambda current: {**current, "status": status}, manager=_MANAGER)

    @property
    def _store(self) -> Store:
        return self.api.store

    def _all_pods(self) -> list[JsonObject]:
        return self._store.select(self.api.address("v1", "pods"))

    def _pods_of(self, workload: JsonObject) -> list[JsonObject]:
        uid = workload["metadata"]["uid"]
        owned = (pod for pod in self._all_pods() if pod["metadata"].get("ownerReferences"))
        return [pod for pod in owned if pod["metadata"]["ownerReferences"][0]["uid"] == uid]

    def _pod_address(self, pod: JsonObject, subresource: str = "") -> Address:
        address = self.api.address("v1", "pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
        return Address(address.resource, address.version, address.namespace, address.name, subresource)


class RevertingOperator:
    """Writes its own replica count back whenever another manager changes it, as an operator does with its children."""

    def __init__(self, api: FakeKubeApi, address: Address, replicas: int, manager: str = "reverting-operator") -> None:
        self._api = api
        self._address = address
        self._replicas = replicas
        self._manager = manager
        api.before_request.append(self.sync)

    def sync(self) -> None:
        """Take the number back."""
        spec = {"replicas": self._replicas}
        self._api.store.update(
            self._address, lambda current: {**current, "spec": {**current["spec"], **spec}}, manager=self._manager
        )


def _owner(pod: JsonObject) -> str:
    owners = pod["metadata"].get("ownerReferences", [])
    return owners[0]["name"] if owners else ""


def _is_ready(pod: JsonObject) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _age_rank(pod: JsonObject) -> tuple[bool, int, str]:
    """Ready pods first, then those whose deletion costs most, then the oldest: the ones to keep."""
    metadata = pod["metadata"]
    cost = int(metadata.get("annotations", {}).get("controller.kubernetes.io/pod-deletion-cost", 0))
    return (not _is_ready(pod), -cost, metadata["creationTimestamp"])


def _ready_status(at_s: float) -> JsonObject:
    conditions = [
        {"type": "PodScheduled", "status": "True"},
        {"type": "Ready", "status": "True", "lastTransitionTime": timestamp(at_s)},
    ]
    return {"phase": "Running", "conditions": conditions}


def _unschedulable_status() -> JsonObject:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.",
    }
    return {"phase": "Pending", "conditions": [condition]}


def _crashing_status() -> JsonObject:
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}}
    return {
        "phase": "Running",
        "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}],
        "containerStatuses": [{"name": "engine", "ready": False, "restartCount": 3, "state": waiting}],
    }
