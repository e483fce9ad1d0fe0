"""Objects that tests create."""

from __future__ import annotations

from typing import Any

JsonObject = dict[str, Any]


def deployment(name: str, replicas: int = 1, **spec: Any) -> JsonObject:
    """A Deployment whose pods carry the label `app=<name>`."""
    return _workload("Deployment", name, replicas, spec)


def stateful_set(name: str, replicas: int = 1, **spec: Any) -> JsonObject:
    """A StatefulSet whose pods carry the label `app=<name>`."""
    return _workload("StatefulSet", name, replicas, {"serviceName": name, **spec})


def _workload(kind: str, name: str, replicas: int, spec: JsonObject) -> JsonObject:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": _pod_spec()},
            **spec,
        },
    }


def pod(name: str, app: str) -> JsonObject:
    """A pod with the label `app`."""
    metadata = {"name": name, "labels": {"app": app}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": _pod_spec()}


def _pod_spec() -> JsonObject:
    return {"containers": [{"name": "engine", "image": "registry.example/engine:1"}]}


def definition(group: str, kind: str, plural: str, *, replicas_path: str = "spec.replicas") -> JsonObject:
    """A CustomResourceDefinition with status, and scale on `replicas_path`; counts must be whole and not negative."""
    count: JsonObject = {"type": "integer", "minimum": 0}
    spec = count
    for key in reversed(replicas_path.split(".")):
        spec = {"type": "object", "properties": {key: spec}}
    status = {
        "type": "object",
        "properties": {
            "replicas": count,
            "readyReplicas": count,
            "availableReplicas": count,
            "updatedReplicas": count,
            "observedGeneration": count,
            "selector": {"type": "string"},
        },
    }
    scale = {
        "specReplicasPath": f".{replicas_path}",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}, "scale": scale},
        "schema": {"openAPIV3Schema": {**spec, "properties": {**spec["properties"], "status": status}}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [version],
        },
    }
