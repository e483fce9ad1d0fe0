"""The part of a cluster that runs a DynamoGraphDeployment: its operator and a kubelet, with processes for pods."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoscaler.core.policy import Role
from tests.cpu_stack.dynamo import COMPONENTS, Dynamo, Worker
from tests.cpu_stack.processes import Process
from tests.support.crds import definition_of, manifest
from tests.support.kube import FakeCluster
from tests.support.kube_api.store import timestamp

JsonObject = dict[str, Any]

GRAPH, NAMESPACE = "llama-disagg", "serving"
ENTRIES: Mapping[Role, str] = {Role.PREFILL: "VllmPrefillWorker", Role.DECODE: "VllmDecodeWorker"}
_GRAPH_KIND, _ADAPTER_KIND = "DynamoGraphDeployment.nvidia.com", "DynamoGraphDeploymentScalingAdapter.nvidia.com"
_API_VERSION, _PLURAL = "nvidia.com/v1beta1", "dynamographdeployments"
_PERIOD_S = 0.2
_GRACE_S = 60
_BACK_OFF_S = 8.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Replicas of a role at an instant: asked for, ready, and worker processes that run."""

    at_s: float
    role: Role
    asked_for: int
    ready: int
    running: int

    @property
    def counts(self) -> tuple[int, int, int]:
        """The counts alone."""
        return self.asked_for, self.ready, self.running


@dataclass(frozen=True, slots=True)
class Departure:
    """A pod that was told to end, and the deletion cost that it carried then."""

    at_s: float
    pod: str
    cost: int


@dataclass(slots=True)
class _Pod:
    """A pod, and the process behind it."""

    name: str
    worker: Worker
    ready: bool = False
    term_s: float | None = None
    died_s: float | None = None
    restarts: int = 0


class GraphRunner:
    """Carries out a graph's replica counts in a thread, until it is stopped.

    A pod that leaves gets a SIGTERM and is there until its process has ended. A process that dies is started again
    after a back-off.

    Attributes:
        samples: The counts, each time one changed.
        departures: Pods that were told to end.
        outlived: Names of pods that were still there when their grace period was over.
        trouble: What ended the thread; None while all is well.
    """

    def __init__(self, cluster: FakeCluster, dynamo: Dynamo, targets: Path, replicas: int) -> None:
        """Create the graph.

        Args:
            cluster: Where it is to be.
            dynamo: What starts workers.
            targets: The file that tells Prometheus what to scrape.
            replicas: What each role begins with.
        """
        self._cluster = cluster
        self._dynamo = dynamo
        self._targets = targets
        self._pods: dict[Role, list[_Pod]] = {role: [] for role in ENTRIES}
        self._made = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="graph-runner")
        self.samples: list[Sample] = []
        self.departures: list[Departure] = []
        self.outlived: list[str] = []
        self.trouble: BaseException | None = None
        for kind in (_GRAPH_KIND, _ADAPTER_KIND):
            cluster.define(definition_of(kind))
        components = [{"name": "Frontend", "replicas": 1}]
        components += [{"name": entry, "type": "worker", "replicas": replicas} for entry in ENTRIES.values()]
        cluster.create(_PLURAL, manifest(_GRAPH_KIND, GRAPH, {"components": components}))

    def start(self) -> None:
        """Begin to carry out."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and every process at once."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        for pods in self._pods.values():
            for pod in pods:
                pod.worker.process.kill()

    def set_replicas(self, role: Role, replicas: int) -> None:
        """Change a count by hand."""
        components = self._cluster.get(_API_VERSION, _PLURAL, GRAPH)["spec"]["components"]
        for component in components:
            if component["name"] == ENTRIES[role]:
                component["replicas"] = replicas
        self._cluster.patch(_API_VERSION, _PLURAL, GRAPH, {"spec": {"components": components}})

    def latest(self, role: Role) -> Sample:
        """The counts of a role now."""
        return next(sample for sample in reversed(self.samples) if sample.role is role)

    def processes(self, role: Role) -> list[Process]:
        """Processes of pods that are to stay and serve."""
        return [pod.worker.process for pod in self._pods[role] if pod.ready and pod.term_s is None]

    def _run(self) -> None:
        try:
            while not self._stopping.wait(_PERIOD_S):
                self._sync()
        except BaseException as error:  # noqa: BLE001 - the test that waits for this thread raises it
            self.trouble = error

    def _sync(self) -> None:
        graph = self._cluster.get(_API_VERSION, _PLURAL, GRAPH)
        asked_for = {component["name"]: component["replicas"] for component in graph["spec"]["components"]}
        components = {"Frontend": _status(1, 1)}
        for role, entry in ENTRIES.items():
            pods = self._pods[role]
            self._follow_processes(pods)
            self._match(role, asked_for[entry])
            ready = sum(pod.ready and pod.term_s is None for pod in pods)
            components[entry] = _status(sum(pod.term_s is None for pod in pods), ready)
            self._note(Sample(time.monotonic(), role, asked_for[entry], ready, len(pods)))
        status = {"observedGeneration": graph["metadata"]["generation"], "components": components}
        if graph.get("status") != status:
            self._cluster.patch(_API_VERSION, _PLURAL, GRAPH, {"status": status}, "status")
        self._write_targets()

    def _match(self, role: Role, asked_for: int) -> None:
        """Start and end pods, those first that Kubernetes would take first."""
        staying = [pod for pod in self._pods[role] if pod.term_s is None]
        for _ in range(asked_for - len(staying)):
            self._pods[role].append(self._new_pod(role))
        if asked_for < len(staying):
            costs = {item["metadata"]["name"]: _cost(item) for item in self._items()}
            ranked = sorted(staying, key=lambda pod: (not pod.ready, -costs[pod.name], pod.name))
            for pod in ranked[asked_for:]:
                self._patch_pod(pod, {"metadata": {"deletionTimestamp": timestamp(time.time() + _GRACE_S)}})
                pod.term_s = time.monotonic()
                pod.worker.process.terminate()
                self.departures.append(Departure(pod.term_s, pod.name, costs[pod.name]))

    def _new_pod(self, role: Role) -> _Pod:
        self._made += 1
        name = f"{GRAPH}-{role.value}-{self._made:03d}"
        self._cluster.create("pods", _pod_document(name, role))
        return _Pod(name, self._dynamo.start_worker(role, name))

    def _follow_processes(self, pods: list[_Pod]) -> None:
        """Bring pods in line with what has become of their processes."""
        for pod in list(pods):
            if pod.term_s is not None:
                self._follow_end(pods, pod)
            elif not pod.worker.process.runs:
                self._follow_death(pod)
            elif not pod.ready and _serves(pod.worker.port):
                self._set_ready(pod, ready=True)

    def _follow_death(self, pod: _Pod) -> None:
        """Start the process again after a while."""
        if pod.died_s is None:
            pod.died_s = time.monotonic()
            self._set_ready(pod, ready=False)
        elif time.monotonic() - pod.died_s > _BACK_OFF_S:
            pod.died_s = None
            pod.restarts += 1
            pod.worker = self._dynamo.start_worker(pod.worker.role, pod.name)

    def _follow_end(self, pods: list[_Pod], pod: _Pod) -> None:
        if pod.worker.process.runs and pod.term_s is not None and time.monotonic() - pod.term_s > _GRACE_S:
            self.outlived.append(pod.name)
            pod.worker.process.kill()
        if not pod.worker.process.runs:
            pods.remove(pod)
            self._cluster.delete("v1", "pods", pod.name)

    def _set_ready(self, pod: _Pod, *, ready: bool) -> None:
        pod.ready = ready
        condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": timestamp(time.time())}
        container = {"name": "main", "ready": ready, "restartCount": pod.restarts, "state": {"running": {}}}
        status = {"phase": "Running", "conditions": [condition], "containerStatuses": [container]}
        self._patch_pod(pod, {"status": status}, "status")

    def _patch_pod(self, pod: _Pod, change: JsonObject, subresource: str = "") -> None:
        self._cluster.patch("v1", "pods", pod.name, change, subresource)

    def _items(self) -> list[JsonObject]:
        code, found = self._cluster.request("GET", self._cluster.path("v1", "pods"))
        assert code == 200, found
        items: list[JsonObject] = found["items"]
        return items

    def _note(self, sample: Sample) -> None:
        before = next((known for known in reversed(self.samples) if known.role is sample.role), None)
        if before is None or before.counts != sample.counts:
            self.samples.append(sample)

    def _write_targets(self) -> None:
        groups = [_target_group("frontend-0", self._dynamo.frontend_port, {})]
        for role, pods in self._pods.items():
            own = {"dynamo_component": COMPONENTS[role]}
            groups += [_target_group(pod.name, pod.worker.port, own) for pod in pods]
        text = json.dumps(groups)
        if not self._targets.exists() or self._targets.read_text() != text:
            draft = self._targets.with_suffix(".draft")
            draft.write_text(text)
            draft.replace(self._targets)


def _target_group(pod: str, port: int, more: dict[str, str]) -> JsonObject:
    return {"targets": [f"127.0.0.1:{port}"], "labels": {"namespace": NAMESPACE, "pod": pod, **more}}


def _pod_document(name: str, role: Role) -> JsonObject:
    labels = {"nvidia.com/dynamo-graph-deployment-name": GRAPH, "nvidia.com/dynamo-component": ENTRIES[role]}
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{GRAPH}-{role.value}", "uid": role.value}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels, "ownerReferences": [{**owner, "controller": True}]},
        "spec": {
            "containers": [{"name": "main", "image": "registry.example/dynamo:1.5.1"}],
            "terminationGracePeriodSeconds": _GRACE_S,
        },
    }


def _status(replicas: int, ready: int) -> JsonObject:
    return {"replicas": replicas, "updatedReplicas": replicas, "readyReplicas": ready, "availableReplicas": ready}


def _cost(pod: JsonObject) -> int:
    return int(pod["metadata"].get("annotations", {}).get("controller.kubernetes.io/pod-deletion-cost", 0))


def _serves(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1.0) as response:
            return bool(response.status == 200)
    except OSError as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        return False
