"""Groups, versions and plurals of the kinds that are looked for around a target."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef, guess_plural
from autoscaler.targets.kubernetes.specs.load import load_spec, spec_names


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object, under the versions to try."""

    group: str
    versions: tuple[str, ...]
    name: str
    plural: str

    def refs(self, namespace: str) -> tuple[ObjectRef, ...]:
        """The collection under each version."""
        return ObjectRef.versions(self.group, self.versions, self.name, self.plural, namespace)


_OTHERS = (
    Kind("apps", ("v1",), "ReplicaSet", "replicasets"),
    Kind("nvidia.com", ("v1beta1", "v1alpha1"), "DynamoComponentDeployment", "dynamocomponentdeployments"),
    Kind("grove.io", ("v1alpha1",), "PodCliqueSet", "podcliquesets"),
    Kind("orchestration.aibrix.ai", ("v1alpha1",), "RoleSet", "rolesets"),
    Kind("workloads.x-k8s.io", ("v1alpha2",), "RoleInstanceSet", "roleinstancesets"),
)


@cache
def known_kinds() -> dict[str, Kind]:
    """Every kind that a spec names, and what is found above and below them, by `Kind.group`."""
    found = {f"{kind.name}.{kind.group}": kind for kind in _OTHERS}
    for spec in map(load_spec, spec_names()):
        for model in (spec.object, spec.status_of, *spec.refuse_if_exists):
            if model is not None:
                kind = Kind(model.group, model.versions, model.kind, model.plural)
                found.setdefault(f"{kind.name}.{kind.group}", kind)
    return found


def group_kind(document: JsonObject) -> str:
    """`Kind.group` of an object, or of a reference to one."""
    return f"{document['kind']}.{document.get('apiVersion', '').rpartition('/')[0]}"


def owner_ref(owner: JsonObject, namespace: str) -> ObjectRef:
    """The object that an owner reference means; its plural by the usual rule where the kind is not known."""
    known = known_kinds().get(group_kind(owner))
    kind: str = owner["kind"]
    plural = known.plural if known is not None else guess_plural(kind)
    return ObjectRef(owner["apiVersion"], kind, plural, namespace, owner["name"])
