"""Reads a HorizontalPodAutoscaler (autoscaling/v2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from autoscaler.adopt.behavior import carried_behavior
from autoscaler.adopt.pool import Pool, Workload
from autoscaler.targets.kubernetes.competitors.gitops import tools_that_manage
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef

# For sed: an object with its old identity cannot be created again.
WITHOUT_IDENTITY = r"/^ *\(uid\|resourceVersion\):/d"
_WVA_ANNOTATIONS = ("llmd.ai/model-id", "llm-d.ai/managed")


class NotOursError(ValueError):
    """The object is made by another one, which has to be read instead; says which."""


def hpa_ref(namespace: str, name: str) -> ObjectRef:
    """Where it is."""
    return ObjectRef("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", namespace, name)


def read_hpa(document: JsonObject) -> Pool:
    """What an HPA says; its workload is known by name alone.

    Raises:
        NotOursError: KEDA has made it.
    """
    metadata, spec = document["metadata"], document["spec"]
    name, namespace = metadata["name"], metadata["namespace"]
    for owner in metadata.get("ownerReferences", []):
        if owner["kind"] == "ScaledObject":
            raise NotOursError(f"HPA {name} is made by ScaledObject {owner['name']}: import keda {owner['name']}")
    behavior, remarks = carried_behavior(spec.get("behavior"))
    return Pool(
        setter=f"HorizontalPodAutoscaler {name}",
        workload=scale_target(spec["scaleTargetRef"]),
        min_replicas=spec.get("minReplicas", 1),
        max_replicas=spec["maxReplicas"],
        behavior=behavior,
        lost=(*_metrics(spec.get("metrics") or []), *_managed(metadata), *remarks),
        hand_over=(
            f"kubectl -n {namespace} get hpa {name} -o yaml | sed '{WITHOUT_IDENTITY}' > {name}.yaml",
            f"kubectl -n {namespace} delete hpa {name}",
        ),
        hand_back=(f"kubectl -n {namespace} apply -f {name}.yaml",),
    )


def scale_target(reference: JsonObject) -> Workload:
    """The object that a `scaleTargetRef` names."""
    return Workload(
        reference.get("apiVersion") or "apps/v1", reference.get("kind") or "Deployment", str(reference["name"])
    )


def _metrics(metrics: list[JsonObject]) -> Iterator[str]:
    for metric in metrics:
        kind = str(metric.get("type", ""))
        source: dict[str, Any] = metric.get(kind[:1].lower() + kind[1:]) or {}
        name = source.get("name") or (source.get("metric") or {}).get("name") or "?"
        yield f"metric {name} ({_aim(kind, source.get('target') or {})}): the objectives decide instead"


def _aim(kind: str, target: JsonObject) -> str:
    value = next((target[key] for key in ("averageUtilization", "averageValue", "value") if key in target), "?")
    unit = " %" if "averageUtilization" in target else ""
    return f"{kind}, {target.get('type', 'target')} {value}{unit}"


def _managed(metadata: JsonObject) -> Iterator[str]:
    if set(_WVA_ANNOTATIONS) & set(metadata.get("annotations", {})):
        yield "the llm-d Workload Variant Autoscaler feeds it: its thresholds stay behind in its ConfigMap"
    for tool, mark in tools_that_manage({"metadata": metadata}):
        again = "or it comes back" if tool.watches else "or the next upgrade brings it back"
        yield f"{tool.name} keeps it ({mark}): take it out there before you delete it, {again}"
