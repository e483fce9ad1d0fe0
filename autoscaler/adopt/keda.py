"""Reads a ScaledObject (keda.sh/v1alpha1)."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import TypeAdapter, ValidationError

from autoscaler.adopt.behavior import carried_behavior
from autoscaler.adopt.hpa import scale_target
from autoscaler.adopt.pool import Pool
from autoscaler.config.connection import Url
from autoscaler.targets.kubernetes.competitors.lists import pause_of, says_yes
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef, lookup

# KEDA's own defaults, of version 2.20.
_MIN_REPLICAS = 0
_MAX_REPLICAS = 100
_POLLING_INTERVAL_S = 30
_PAUSED = "autoscaling.keda.sh/paused"
_HALF_PAUSES = ("autoscaling.keda.sh/paused-scale-in", "autoscaling.keda.sh/paused-scale-out")
_SHRINKING, _GROWING = "static", "currentReplicasIfHigher"  # of fallback.behavior
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
    is_carried = fallback.get("behavior", _SHRINKING) in (_SHRINKING, _GROWING)
    polling_s = spec.get("pollingInterval", _POLLING_INTERVAL_S)
    unset = [key for key in ("minReplicaCount", "maxReplicaCount") if key not in spec]
    annotate = f"kubectl -n {namespace} annotate scaledobject {name}"
    is_paused = pause_of(document) != ""
    return Pool(
        setter=f"ScaledObject {name}",
        workload=scale_target(spec["scaleTargetRef"]),
        min_replicas=spec.get("minReplicaCount", _MIN_REPLICAS),
        max_replicas=spec.get("maxReplicaCount", _MAX_REPLICAS),
        behavior=behavior,
        bounds_note=f"KEDA's default for {' and '.join(unset)}" if unset else "",
        fallback_replicas=fallback.get("replicas") if is_carried else None,
        fallback_after_s=fallback["failureThreshold"] * polling_s if is_carried and fallback else None,
        prometheus_url=next((address for address in _servers(spec) if _is_url(address)), None),
        lost=(*_triggers(spec), *_rest(spec, metadata), *remarks),
        hand_over=() if is_paused else (f'{annotate} --overwrite {_PAUSED}="true"',),
        hand_back=() if is_paused else (f"{annotate} {_PAUSED}-",),
    )


def _servers(spec: JsonObject) -> Iterator[str]:
    for trigger in spec.get("triggers") or []:
        address = (trigger.get("metadata") or {}).get("serverAddress")
        if trigger.get("type") == "prometheus" and address:
            yield str(address)


def _is_url(address: str) -> bool:
    try:
        TypeAdapter(Url).validate_python(address)
    except ValidationError:
        return False
    return True


def _triggers(spec: JsonObject) -> Iterator[str]:
    for trigger in spec.get("triggers") or []:
        given = trigger.get("metadata") or {}
        if trigger.get("type") == "cron":
            hours = f"{given.get('start')} to {given.get('end')} in {given.get('timezone')}"
            yield f"trigger cron, {given.get('desiredReplicas')} replicas from {hours}: say it by min in spec.schedules"
            continue
        query = " ".join(str(given.get("query", "")).split())[:_LONGEST_QUERY]
        threshold = given.get("threshold") or given.get("value")
        what = [f"trigger {trigger.get('type')}", query, f"threshold {threshold}" if threshold else ""]
        yield f"{', '.join(part for part in what if part)}: the objectives decide instead"
        if trigger.get("authenticationRef"):
            name = trigger["authenticationRef"].get("name")
            yield f"authenticationRef {name}: put its token or password into a file, see spec.prometheus"
        if trigger.get("type") == "prometheus":
            yield from _asking(given)


def _asking(given: JsonObject) -> Iterator[str]:
    """What a Prometheus trigger says of its server and its answers, beside an address that can be taken over.

    Values may be secrets, and are not shown.
    """
    if given.get("serverAddress") and not _is_url(str(given["serverAddress"])):
        yield "serverAddress: is no address for spec.prometheus.url, which wants http:// or https://, no user, no query"
    if given.get("customHeaders"):
        names = ", ".join(pair.partition("=")[0].strip() for pair in str(given["customHeaders"]).split(","))
        yield f"customHeaders {names}: put them into spec.prometheus.headers"
    if given.get("cortexOrgID"):
        yield "cortexOrgID: put it into spec.prometheus.headers, as X-Scope-OrgID"
    for key in ("namespace", "queryParameters"):
        if given.get(key):
            yield f"{key}: was sent with each query, and is not here; name a server that answers without it"
    if says_yes(str(given.get("unsafeSsl", "false"))):
        yield "unsafeSsl: the server's certificate was not checked; here it is, see spec.prometheus.tls"
    if says_yes(str(given.get("ignoreNullValues", "true"))):
        yield "ignoreNullValues: an empty answer was read as 0; here it is absent, and nothing shrinks on it"


def _rest(spec: JsonObject, metadata: JsonObject) -> Iterator[str]:
    fallback = spec.get("fallback") or {}
    behavior = fallback.get("behavior", _SHRINKING) if fallback else _GROWING
    if behavior == _SHRINKING:
        yield f"fallback.behavior {behavior}: fallbackReplicas only grow a pool; where it has more, it keeps them"
    elif behavior != _GROWING:
        yield f"fallback.behavior {behavior}: without signals the count is held"
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
    pause = pause_of({"metadata": metadata})
    if pause:
        yield f"it is paused ({pause}: {annotations[pause]}), and the count is nobody's now: nothing to let go of"
    for name in _HALF_PAUSES:
        if says_yes(annotations.get(name, "false")):
            yield f"{name}: set selectPolicy: Disabled in that direction if it is meant to stay"
