"""One case for every target spec that comes with the program: objects of that stack, and the patch for one role."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from autoscaler.core.policy import Role
from tests.support.kube_api.manifests import stateful_set
from tests.targets.kubernetes.objects import (
    CLIQUE,
    CLIQUES,
    DGD,
    DGDSA,
    ENDPOINT,
    INFER_SET,
    KSERVE,
    LWS,
    MODEL_SERVING,
    ODIN,
    OME,
    OME_REPLICA,
    RBG,
    RBGSA,
    RUNTIME,
    SCALER,
    SET,
    STORM,
    UID,
    VERSION,
    Case,
    JsonObject,
    Object,
    custom,
    ready_pod,
    workload,
)


def scale_to_5(replicas: int) -> list[JsonObject]:
    return [
        {"op": "test", "path": "/metadata/uid", "value": UID},
        {"op": "test", "path": "/spec/replicas", "value": replicas},
        {"op": "replace", "path": "/spec/replicas", "value": 5},
    ]


def entry_to_5(listed: str, index: int, field_path: str, replicas: int, name: str = "prefill") -> list[JsonObject]:
    entry = f"{listed}/{index}"
    return [
        {"op": "test", "path": "/metadata/uid", "value": UID},
        {"op": "test", "path": f"{entry}/name", "value": name},
        {"op": "test", "path": f"{entry}/{field_path}", "value": replicas},
        {"op": "replace", "path": f"{entry}/{field_path}", "value": 5},
    ]


def merge_to_5(spec: JsonObject) -> JsonObject:
    return {"metadata": {"resourceVersion": VERSION}, "spec": spec}


def counts(replicas: int, ready: int) -> JsonObject:
    return {"replicas": replicas, "updatedReplicas": replicas, "readyReplicas": ready}


ROLES = [{"name": "router", "replicas": 1}, {"name": "prefill", "replicas": 3}, {"name": "decode", "replicas": 2}]
ROLE_STATUSES = [{"name": "prefill", **counts(3, 2)}, {"name": "decode", **counts(2, 2)}]
LWS_ROLES = [
    {"name": role, "spec": {"replicas": count, "leaderWorkerTemplate": {"size": 2}}}
    for role, count in (("decode", 2), ("prefill", 3))
]
DYNAMO = (
    custom(
        DGD,
        "chat",
        {"components": [{"name": "Frontend", "replicas": 1}, {"name": "VllmPrefill", "replicas": 3}]},
        {"observedGeneration": 1, "components": {"VllmPrefill": counts(3, 2)}},
    ),
)
PD_SPEC = {"pdSpec": {"prefillSpec": {"replicas": 3}, "decodingSpec": {"replicas": 1}, "routingThreshold": 4096}}
HYPERPOD = (custom(ENDPOINT, "chat", PD_SPEC), workload("prefill-chat", 3, 2), workload("decode-chat", 1, 1))
LLM_SERVICE = (
    custom(
        KSERVE,
        "chat",
        {"replicas": 2, "prefill": {"replicas": 3}},
        {"workload": {"primary": counts(2, 1), "prefill": counts(3, 2)}},
    ),
)
OME_BOUNDS = (
    custom(OME, "chat", {"engine": {"minReplicas": 3, "maxReplicas": 3}, "decoder": {"minReplicas": 2}}),
    workload("chat-engine", 3, 2),
    workload("chat-decoder", 2, 2),
)
KTHENA_PODS = tuple(
    ready_pod(
        f"chat-0-prefill-{index}",
        {
            "modelserving.volcano.sh/name": "chat",
            "modelserving.volcano.sh/role": "prefill",
            "modelserving.volcano.sh/entry": "true",
        },
    )
    for index in range(2)
)

CASES = (
    Case("deployment", (), (workload("chat", 3, 2),), (3, 2), "deployments/scale", scale_to_5(3)),
    Case(
        "statefulset",
        (),
        (Object("statefulsets", stateful_set("chat", 3), counts(3, 2)),),
        (3, 2),
        "statefulsets/scale",
        scale_to_5(3),
    ),
    Case(
        "leaderworkerset",
        (LWS,),
        (custom(LWS, "chat", {"replicas": 3, "leaderWorkerTemplate": {"size": 2}}, counts(3, 2)),),
        (3, 2),
        "leaderworkersets/scale",
        scale_to_5(3),
    ),
    Case(
        "disaggregatedset",
        (SET,),
        (custom(SET, "chat", {"roles": LWS_ROLES}, {"roleStatuses": ROLE_STATUSES}),),
        (3, 2),
        "disaggregatedsets",
        entry_to_5("/spec/roles", 1, "spec/replicas", 3),
    ),
    Case(
        "disaggregatedset-scaler",
        (SET, SCALER),
        (
            custom(SET, "chat", {"roles": LWS_ROLES}, {"roleStatuses": ROLE_STATUSES}),
            custom(SCALER, "chat-prefill", {"replicas": 3}),
        ),
        (3, 2),
        "disaggregatedsetrolescalers/scale",
        scale_to_5(3),
    ),
    Case(
        "dynamo-adapter",
        (DGD, DGDSA),
        (*DYNAMO, custom(DGDSA, "chat-vllmprefill", {"replicas": 3})),
        (3, 2),
        "dynamographdeploymentscalingadapters/scale",
        scale_to_5(3),
        entry="VllmPrefill",
    ),
    Case(
        "dynamo-dgd",
        (DGD, DGDSA),
        DYNAMO,
        (3, 2),
        "dynamographdeployments",
        entry_to_5("/spec/components", 1, "replicas", 3, "VllmPrefill"),
        entry="VllmPrefill",
    ),
    Case(
        "dynamo-dgd-v1alpha1",
        (f"{DGD}:v1alpha1", DGDSA),
        (
            custom(
                DGD,
                "chat",
                {"services": {"VllmPrefill": {"replicas": 3, "componentType": "worker"}}},
                {"services": {"VllmPrefill": {"replicas": 3, "updatedReplicas": 3, "availableReplicas": 2}}},
                version="v1alpha1",
            ),
        ),
        (3, 2),
        "dynamographdeployments",
        merge_to_5({"services": {"VllmPrefill": {"replicas": 5}}}),
        entry="VllmPrefill",
    ),
    Case(
        "vllmruntime",
        (RUNTIME,),
        (custom(RUNTIME, "chat", {"deploymentConfig": {"replicas": 3}}, {"replicas": 3, "availableReplicas": 2}),),
        (3, 2),
        "vllmruntimes/scale",
        scale_to_5(3),
    ),
    Case(
        "hyperpod",
        (ENDPOINT,),
        HYPERPOD,
        (3, 2),
        "inferenceendpointconfigs",
        merge_to_5({"pdSpec": {"prefillSpec": {"replicas": 5}}}),
    ),
    Case(
        "hyperpod",
        (ENDPOINT,),
        HYPERPOD,
        (1, 1),
        "inferenceendpointconfigs",
        merge_to_5({"pdSpec": {"decodingSpec": {"replicas": 5}}}),
        role=Role.DECODE,
        max_replicas=5,
    ),
    Case(
        "odin",
        (ODIN,),
        (custom(ODIN, "chat", {"replicas": 3}, counts(3, 2)),),
        (3, 2),
        "inferenceservices/scale",
        scale_to_5(3),
    ),
    Case(
        "inferserviceset",
        (INFER_SET,),
        (
            custom(INFER_SET, "chat", {"replicas": 1, "template": {"roles": ROLES}}),
            ready_pod("chat-prefill-0", {"pd": "prefill"}),
        ),
        (3, 1),
        "inferservicesets",
        entry_to_5("/spec/template/roles", 1, "replicas", 3),
        pods="pd=prefill",
    ),
    Case(
        "stormservice",
        (STORM,),
        (
            custom(
                STORM,
                "chat",
                {
                    "replicas": 1,
                    "updateStrategy": {"type": "InPlaceUpdate"},
                    "template": {"spec": {"roles": ROLES}},
                },
                {"roleStatuses": ROLE_STATUSES},
            ),
        ),
        (3, 2),
        "stormservices",
        entry_to_5("/spec/template/spec/roles", 1, "replicas", 3),
    ),
    Case(
        "kserve",
        (KSERVE,),
        LLM_SERVICE,
        (3, 2),
        "llminferenceservices",
        merge_to_5({"prefill": {"replicas": 5}}),
    ),
    Case(
        "kserve",
        (KSERVE,),
        LLM_SERVICE,
        (2, 1),
        "llminferenceservices",
        merge_to_5({"replicas": 5}),
        role=Role.DECODE,
    ),
    Case(
        "kserve-workload",
        (),
        (workload("chat-kserve-prefill", 3, 2), workload("chat-kserve", 2, 2)),
        (3, 2),
        "deployments/scale",
        scale_to_5(3),
    ),
    Case(
        "rbg",
        (RBG, RBGSA),
        (custom(RBG, "chat", {"roles": ROLES}, {"roleStatuses": ROLE_STATUSES}),),
        (3, 2),
        "rolebasedgroups",
        entry_to_5("/spec/roles", 1, "replicas", 3),
    ),
    Case(
        "rbg-adapter",
        (RBG, RBGSA),
        (
            custom(RBG, "chat", {"roles": ROLES}, {"roleStatuses": ROLE_STATUSES}),
            custom(RBGSA, "chat-prefill", {"replicas": 3}, {"phase": "Bound", "replicas": 3}),
        ),
        (3, 2),
        "rolebasedgroupscalingadapters/scale",
        scale_to_5(3),
    ),
    Case("ome", (), (workload("chat-engine", 3, 2),), (3, 2), "deployments/scale", scale_to_5(3)),
    Case(
        "ome-bounds",
        (OME,),
        OME_BOUNDS,
        (3, 2),
        "inferenceservices",
        merge_to_5({"engine": {"minReplicas": 5, "maxReplicas": 5}}),
    ),
    Case(
        "ome-bounds",
        (OME,),
        OME_BOUNDS,
        (2, 2),
        "inferenceservices",
        merge_to_5({"decoder": {"minReplicas": 5, "maxReplicas": 5}}),
        role=Role.DECODE,
    ),
    Case(
        "ome-native",
        (OME_REPLICA,),
        (custom(OME_REPLICA, "chat-engine", {"component": "engine", "replicas": 3}, counts(3, 2)),),
        (3, 2),
        "inferencereplicas/scale",
        scale_to_5(3),
    ),
    Case(
        "podclique",
        (CLIQUE,),
        (custom(CLIQUE, "chat-0-prefill", {"replicas": 3, "minAvailable": 1}, counts(3, 2)),),
        (3, 2),
        "podcliques/scale",
        scale_to_5(3),
        name="chat-0-prefill",
    ),
    Case(
        "podcliquescalinggroup",
        (CLIQUES,),
        (
            custom(
                CLIQUES,
                "chat-0-prefill",
                {"replicas": 3, "minAvailable": 1},
                {"replicas": 3, "updatedReplicas": 3, "availableReplicas": 2},
            ),
        ),
        (3, 2),
        "podcliquescalinggroups/scale",
        scale_to_5(3),
        name="chat-0-prefill",
    ),
    Case(
        "modelserving",
        (MODEL_SERVING,),
        (custom(MODEL_SERVING, "chat", {"replicas": 1, "template": {"roles": ROLES}}), *KTHENA_PODS),
        (3, 2),
        "modelservings",
        entry_to_5("/spec/template/roles", 1, "replicas", 3),
    ),
)


def case(spec: str) -> Case:
    return next(case for case in CASES if case.spec == spec)


def with_objects(spec: str, *objects: Any) -> Case:
    """A case of a spec with other objects."""
    return replace(case(spec), objects=objects)
