"""What the server says of itself: version, health, and the kinds that it serves."""

from __future__ import annotations

from typing import Any

from tests.support.kube_api.resources import Registry, Resource

JsonObject = dict[str, Any]

_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


def answer(method: str, path: str, registry: Registry) -> JsonObject | None:
    """The answer to a question about the server itself; None where an object is meant."""
    if method != "GET":
        return None
    parts = path.strip("/").split("/")
    if parts[0] in {"healthz", "livez", "readyz"}:
        return {"status": "ok"}
    if parts == ["version"]:
        return {"major": "1", "minor": "36", "gitVersion": "v1.36.0"}
    if parts == ["api"]:
        return {"kind": "APIVersions", "versions": ["v1"]}
    if parts == ["apis"]:
        groups = [_group(name, versions) for name, versions in registry.groups().items()]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    if parts == ["api", "v1"]:
        return _resource_list("v1", registry.of_group("", "v1"))
    if parts[0] == "apis" and len(parts) == 3:
        found = registry.of_group(parts[1], parts[2])
        return _resource_list(f"{parts[1]}/{parts[2]}", found) if found else None
    return None


def _group(name: str, versions: list[str]) -> JsonObject:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _resource_list(group_version: str, resources: list[Resource]) -> JsonObject:
    entries = []
    for resource in resources:
        entry = {"name": resource.plural, "kind": resource.kind, "namespaced": resource.namespaced, "verbs": _VERBS}
        entries.append(entry)
        if resource.scale is not None:
            scale = {"group": "autoscaling", "version": "v1", "kind": "Scale", "verbs": ["get", "patch", "update"]}
            entries.append({**entry, **scale, "name": f"{resource.plural}/scale"})
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": entries}
