"""Objects of each stack on a server, as tests make them: kinds, a case of a stack, and its objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from autoscaler.core.policy import Role
from autoscaler.targets.base import Outcome
from autoscaler.targets.kubernetes.aim import Service
from autoscaler.targets.role import RoleTarget
from tests.support.crds import definition_of, manifest, plural_of
from tests.support.kube import Cluster
from tests.support.kube_api.manifests import deployment, pod

JsonObject = dict[str, Any]

UID, VERSION = "<uid>", "<resourceVersion>"
LWS = "LeaderWorkerSet.leaderworkerset.x-k8s.io"
SET, SCALER = "DisaggregatedSet.disaggregatedset.x-k8s.io", "DisaggregatedSetRoleScaler.disaggregatedset.x-k8s.io"
DGD, DGDSA = "DynamoGraphDeployment.nvidia.com", "DynamoGraphDeploymentScalingAdapter.nvidia.com"
RUNTIME = "VLLMRuntime.production-stack.vllm.ai"
ENDPOINT = "InferenceEndpointConfig.inference.sagemaker.aws.amazon.com"
ODIN = "InferenceService.odin.moreh.io"
STORM = "StormService.orchestration.aibrix.ai"
KSERVE = "LLMInferenceService.serving.kserve.io"
RBG, RBGSA = "RoleBasedGroup.workloads.x-k8s.io", "RoleBasedGroupScalingAdapter.workloads.x-k8s.io"
OME, OME_REPLICA = "InferenceService.ome.io", "InferenceReplica.ome.io"
CLIQUE, CLIQUES = "PodClique.grove.io", "PodCliqueScalingGroup.grove.io"
MODEL_SERVING = "ModelServing.workload.serving.volcano.sh"
INFER_SET = "InferServiceSet.mindcluster.huawei.com"


@dataclass(frozen=True, slots=True)
class Object:
    """An object to create, with the status that its controller would write."""

    plural: str
    document: JsonObject
    status: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """A stack before a write, what is read of one role, and the write.

    Attributes:
        kinds: Custom kinds that are served; versions after a colon, all without.
        reads: Replicas asked for, and ready.
        resource: What is patched, with its subresource.
        patch: The body that sets the count to 5, UID and VERSION standing for the object's own.
    """

    spec: str
    kinds: tuple[str, ...]
    objects: tuple[Object, ...]
    reads: tuple[int, int]
    resource: str
    patch: Any
    role: Role = Role.PREFILL
    name: str = "chat"
    entry: str = ""
    pods: str = ""
    max_replicas: int | None = None

    def service(self, namespace: str) -> Service:
        return Service(namespace, self.name, self.entry, self.pods, self.max_replicas)

    def __str__(self) -> str:
        return f"{self.spec} {self.role}"


def custom(kind: str, name: str, spec: JsonObject, status: JsonObject | None = None, version: str = "") -> Object:
    return Object(plural_of(kind), manifest(kind, name, spec, version=version), status or {})


def workload(name: str, replicas: int, ready: int) -> Object:
    status = {"observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": ready}
    return Object("deployments", deployment(name, replicas), status)


def ready_pod(name: str, labels: dict[str, str], gpus: int = 0) -> Object:
    document = pod(name, "engine")
    document["metadata"]["labels"] = labels
    if gpus:
        document["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": str(gpus)}}
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return Object("pods", document, {"conditions": [condition]})


def define(cluster: Cluster, kinds: tuple[str, ...]) -> None:
    for kind in kinds:
        name, _, versions = kind.partition(":")
        cluster.define(definition_of(name, versions.split(",") if versions else ()))


def create(cluster: Cluster, found: Object) -> None:
    document = cluster.create(found.plural, found.document)
    if found.status:
        path = (document["apiVersion"], found.plural, document["metadata"]["name"])
        cluster.patch(*path, {"status": found.status}, "status")


def set_up(cluster: Cluster, case: Case) -> None:
    define(cluster, case.kinds)
    for found in case.objects:
        create(cluster, found)


PAIR = [{"name": "prefill", "replicas": 3}, {"name": "decode", "replicas": 2}]


def refusal(target: RoleTarget, replicas: int = 4) -> str:
    result = target.write(replicas, basis=target.read().basis, dry_run=False)
    assert result.outcome is Outcome.REFUSED
    return result.message
