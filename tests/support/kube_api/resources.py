"""The kinds that the server knows: built-in ones, and those that a CustomResourceDefinition adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where the scale subresource finds its fields; dotted, without the leading dot."""

    replicas: str
    status_replicas: str
    selector: str | None


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object.

    Attributes:
        schemas: OpenAPI schema by version; only custom resources have one.
        unconditional_update: Whether PUT may leave out the resourceVersion.
    """

    group: str
    versions: tuple[str, ...]
    plural: str
    kind: str
    namespaced: bool = True
    status: bool = False
    scale: ScalePaths | None = None
    schemas: Mapping[str, JsonObject] = field(default_factory=dict)
    custom: bool = False
    unconditional_update: bool = True

    @property
    def qualified(self) -> str:
        """Plural and group, as messages name it: `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified_kind(self) -> str:
        """Kind and group, as messages name it: `Deployment.apps`."""
        return f"{self.kind}.{self.group}" if self.group else self.kind


@dataclass(frozen=True, slots=True)
class Address:
    """One object, or a collection when `name` is empty."""

    resource: Resource
    version: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def api_version(self) -> str:
        """Group and version as objects carry them."""
        return f"{self.resource.group}/{self.version}" if self.resource.group else self.version


_WORKLOAD_SCALE = ScalePaths("spec.replicas", "status.replicas", "spec.selector")
_RBAC = "rbac.authorization.k8s.io"

BUILT_IN = (
    Resource("", ("v1",), "namespaces", "Namespace", namespaced=False, status=True),
    Resource("", ("v1",), "pods", "Pod", status=True),
    Resource("", ("v1",), "configmaps", "ConfigMap"),
    Resource("", ("v1",), "events", "Event"),
    Resource("", ("v1",), "resourcequotas", "ResourceQuota", status=True),
    Resource("", ("v1",), "serviceaccounts", "ServiceAccount"),
    Resource("", ("v1",), "services", "Service", status=True),
    Resource("apps", ("v1",), "deployments", "Deployment", status=True, scale=_WORKLOAD_SCALE),
    Resource("apps", ("v1",), "statefulsets", "StatefulSet", status=True, scale=_WORKLOAD_SCALE),
    Resource("apps", ("v1",), "replicasets", "ReplicaSet", status=True, scale=_WORKLOAD_SCALE),
    Resource("autoscaling", ("v2",), "horizontalpodautoscalers", "HorizontalPodAutoscaler", status=True),
    Resource("coordination.k8s.io", ("v1",), "leases", "Lease", unconditional_update=False),
    Resource("events.k8s.io", ("v1",), "events", "Event"),
    Resource("networking.k8s.io", ("v1",), "networkpolicies", "NetworkPolicy"),
    Resource("policy", ("v1",), "poddisruptionbudgets", "PodDisruptionBudget", status=True),
    Resource(_RBAC, ("v1",), "roles", "Role"),
    Resource(_RBAC, ("v1",), "rolebindings", "RoleBinding"),
    Resource(_RBAC, ("v1",), "clusterroles", "ClusterRole", namespaced=False),
    Resource(_RBAC, ("v1",), "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    Resource(
        "apiextensions.k8s.io",
        ("v1",),
        "customresourcedefinitions",
        "CustomResourceDefinition",
        namespaced=False,
        status=True,
    ),
)


class Registry:
    """Which kinds are served."""

    def __init__(self) -> None:
        self._resources = {(resource.group, resource.plural): resource for resource in BUILT_IN}

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """The kind at that place, or None."""
        resource = self._resources.get((group, plural))
        return resource if resource is not None and version in resource.versions else None

    def of_group(self, group: str, version: str) -> list[Resource]:
        """Every kind of one group and version."""
        return [r for (g, _), r in self._resources.items() if g == group and version in r.versions]

    def groups(self) -> dict[str, list[str]]:
        """Versions served, by group, the core group left out."""
        found: dict[str, list[str]] = {}
        for resource in self._resources.values():
            if resource.group:
                served = found.setdefault(resource.group, [])
                served.extend(version for version in resource.versions if version not in served)
        return found

    def define(self, definition: JsonObject) -> Resource:
        """Serve what a CustomResourceDefinition describes."""
        resource = _from_definition(definition)
        self._resources[resource.group, resource.plural] = resource
        return resource

    def forget(self, definition: JsonObject) -> None:
        """Stop serving what a deleted CustomResourceDefinition described."""
        spec = definition["spec"]
        self._resources.pop((spec["group"], spec["names"]["plural"]), None)


def _from_definition(definition: JsonObject) -> Resource:
    spec = definition["spec"]
    served = [version for version in spec["versions"] if version.get("served", True)]
    subresources: JsonObject = {}
    for version in served:
        subresources |= version.get("subresources", {})
    scale = subresources.get("scale")
    return Resource(
        group=spec["group"],
        versions=tuple(version["name"] for version in served),
        plural=spec["names"]["plural"],
        kind=spec["names"]["kind"],
        namespaced=spec["scope"] == "Namespaced",
        status="status" in subresources,
        scale=_scale_paths(scale) if scale is not None else None,
        schemas={v["name"]: v.get("schema", {}).get("openAPIV3Schema", {}) for v in served},
        custom=True,
        unconditional_update=False,
    )


def _scale_paths(scale: JsonObject) -> ScalePaths:
    selector = scale.get("labelSelectorPath")
    return ScalePaths(
        replicas=scale["specReplicasPath"].lstrip("."),
        status_replicas=scale["statusReplicasPath"].lstrip("."),
        selector=selector.lstrip(".") if selector else None,
    )
