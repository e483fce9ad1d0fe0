"""Reads a ScaledObject (keda.sh/v1alpha1)."""

from __future__ import annotations

from collections.abc import Iterator

from autoscaler.adopt.behavior import carried_behavior
from autoscaler.adopt.hpa import scale_target
from autoscaler.adopt.pool import Pool
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef, lookup

# KEDA's own defaults, of version 2.20.
_MIN_REPLICAS = 0
_MAX_REPLICAS = 100
_POLLING_INTERVAL_S = 30
_PAUSED = "autoscaling.keda.sh/paused"
_PAUSES = (_PAUSED, "autoscaling.keda.sh/paused-replicas")
_HALF_PAUSES = ("autoscaling.keda.sh/paused-scale-in", "autoscaling.keda.sh/paused-scale-out")
_LONGEST_QUERY = 300


def scaled_object_ref(namespace: str, name: str) -> ObjectRef:
    """Where it is."""
    return ObjectRef("keda.sh/v1alpha1", "ScaledObject", "scaledobjects", namespace, name)


def read_scaled_object(document: JsonObject) -> Pool:
    """What a ScaledObject says; its workload is known by name alone."""
    metadata, spec = document["metadata"], document["spec"]
    name, namespace = metadata["name"], metadata["namespace"]
    behavior, remarks = carried_behavior(lookup(spec, "advanced.horizontalPodAutoscalerConfig.behavior"))
    fallback = spec.get("fallback") or {}
    is_fixed = fallback.get("behavior", "static") == "static"
    polling_s = spec.get("pollingInterval", _POLLING_INTERVAL_S)
    unset = [key for key in ("minReplicaCount", "maxReplicaCount") if key not in spec]
    annotate = f"kubectl -n {namespace} annotate scaledobject {name}"
    return Pool(
        setter=f"ScaledObject {name}",
        workload=scale_target(spec["scaleTargetRef"]),
        min_replicas=spec.get("minReplicaCount", _MIN_REPLICAS),
        max_replicas=spec.get("maxReplicaCount", _MAX_REPLICAS),
        behavior=behavior,
        bounds_note=f"KEDA's default for {' and '.join(unset)}" if unset else "",
        fallback_replicas=fallback.get("replicas") if is_fixed else None,
        fallback_after_s=fallback["failureThreshold"] * polling_s if is_fixed and fallback else None,
        prometheus_url=next(_servers(spec), None),
        lost=(*_triggers(spec), *_rest(spec, metadata), *remarks),
        hand_over=(f'{annotate} {_PAUSED}="true"',),
        hand_back=(f"{annotate} {_PAUSED}-",),
    )


def _servers(spec: JsonObject) -> Iterator[str]:
    for trigger in spec.get("triggers") or []:
        address = (trigger.get("metadata") or {}).get("serverAddress")
        if trigger.get("type") == "prometheus" and address:
            yield str(address)


def _triggers(spec: JsonObject) -> Iterator[str]:
    for trigger in spec.get("triggers") or []:
        given = trigger.get("metadata") or {}
        query = " ".join(str(given.get("query", "")).split())[:_LONGEST_QUERY]
        threshold = given.get("threshold") or given.get("value")
        what = [f"trigger {trigger.get('type')}", query, f"threshold {threshold}" if threshold else ""]
        yield f"{', '.join(part for part in what if part)}: the objectives decide instead"
        if trigger.get("authenticationRef"):
            name = trigger["authenticationRef"].get("name")
            yield f"authenticationRef {name}: put its token or password into a file, see spec.prometheus"
        if trigger.get("type") == "prometheus" and str(given.get("ignoreNullValues", "true")) == "true":
            yield "ignoreNullValues: an empty answer was read as 0; here it is absent, and nothing shrinks on it"


def _rest(spec: JsonObject, metadata: JsonObject) -> Iterator[str]:
    fallback = spec.get("fallback") or {}
    if fallback and fallback.get("behavior", "static") != "static":
        yield f"fallback.behavior {fallback['behavior']}: without signals the count is held"
    if lookup(spec, "advanced.scalingModifiers"):
        yield "advanced.scalingModifiers: the objectives decide instead of a formula"
    for key in ("idleReplicaCount", "cooldownPeriod", "initialCooldownPeriod"):
        if key in spec:
            yield f"{key} {spec[key]}: about scaling to zero only, which decode never does here"
    if lookup(spec, "advanced.restoreToOriginalReplicaCount"):
        yield (
            "advanced.restoreToOriginalReplicaCount: deleting the ScaledObject would set the count back to what it was "
            "before KEDA; pause it, or set this to false first"
        )
    annotations = metadata.get("annotations", {})
    for name in _PAUSES:
        if annotations.get(name, "false") != "false":
            yield f"it is paused ({name}: {annotations[name]}), and the count is nobody's now"
    for name in _HALF_PAUSES:
        if annotations.get(name, "false") != "false":
            yield f"{name}: set selectPolicy: Disabled in that direction if it is meant to stay"
