"""Autoscalers that are objects of their own and name what they scale."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from autoscaler.targets.kubernetes.competitors.chain import Chain, list_kind, named
from autoscaler.targets.kubernetes.competitors.kinds import Kind
from autoscaler.targets.kubernetes.competitors.report import Conflict
from autoscaler.targets.kubernetes.competitors.seen import Reader
from autoscaler.targets.kubernetes.refs import JsonObject, lookup

_PAUSED, _PAUSED_REPLICAS = "autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-replicas"
_NOT = frozenset({"0", "f", "F", "false", "False", "FALSE"})
"""What KEDA reads as no; any other text pauses."""
_WVA_MODEL = "llmd.ai/model-id"


@dataclass(frozen=True, slots=True)
class Scaled:
    """What an autoscaler says that it scales.

    Attributes:
        group: API group; None where the autoscaler does not say.
        entry: The role inside the object; empty where it means the whole object.
    """

    kind: str
    name: str
    group: str | None = None
    entry: str = ""

    def means(self, document: JsonObject, entry: str) -> bool:
        """Whether it is this object, and this role of it."""
        group = document["apiVersion"].rpartition("/")[0]
        return (
            (self.kind, self.name) == (document["kind"], document["metadata"]["name"])
            and self.group in {None, group}
            and self.entry in {"", entry}
        )


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """One kind of autoscaler.

    Attributes:
        scaled: What an object of it scales.
        writes: What it writes, the scaled object put in.
        remedy: What to do about it.
    """

    kind: Kind
    scaled: Callable[[JsonObject], Iterator[Scaled]]
    writes: str
    remedy: str


def find_autoscalers(client: Reader, chain: Chain, entry: str) -> tuple[list[Conflict], list[str]]:
    """Autoscalers of any object of a chain, and notes on those that are paused.

    Args:
        client: Connection to the cluster.
        chain: The chain; what cannot be listed is added to its `unchecked`.
        entry: What the target calls the role.
    """
    conflicts: list[Conflict] = []
    notes: list[str] = []
    namespace = chain.target["metadata"]["namespace"]
    for autoscaler in AUTOSCALERS:
        for item in list_kind(client, autoscaler.kind, namespace, chain.unchecked):
            hit = _hit(autoscaler, item, chain, entry)
            if hit is None or _belongs_to_reported(item, conflicts):
                continue
            if pause_of(item):
                notes.append(f"{named(item)} is paused; resumed, it writes {autoscaler.writes.format(named(hit))}")
                continue
            remedy = autoscaler.remedy
            if _WVA_MODEL in item["metadata"].get("annotations", {}):
                remedy = f"it follows the llm-d Workload Variant Autoscaler; {remedy}"
            writes = autoscaler.writes.format(named(hit))
            conflicts.append(Conflict(autoscaler.kind.name, item["metadata"]["name"], namespace, writes, remedy))
    return conflicts, notes


def _hit(autoscaler: Autoscaler, item: JsonObject, chain: Chain, entry: str) -> JsonObject | None:
    scaled = list(autoscaler.scaled(item))
    return next((one for one in chain.objects if any(which.means(one, entry) for which in scaled)), None)


def _belongs_to_reported(item: JsonObject, conflicts: list[Conflict]) -> bool:
    """Whether this is the HPA that an autoscaler reported already has made for itself."""
    made_by = {(owner["kind"], owner["name"]) for owner in item["metadata"].get("ownerReferences", [])}
    return any((conflict.kind, conflict.name) in made_by for conflict in conflicts)


def pause_of(item: JsonObject) -> str:
    """The annotation by which KEDA has let go of the count; empty where it has not.

    Its pauses of one direction alone keep the HPA alive.
    """
    annotations = item["metadata"].get("annotations", {})
    if _PAUSED_REPLICAS in annotations:
        return _PAUSED_REPLICAS
    return _PAUSED if says_yes(annotations.get(_PAUSED, "false")) else ""


def says_yes(value: str) -> bool:
    """Whether KEDA reads the text of an annotation as yes."""
    return value not in _NOT


def _scale_target(item: JsonObject) -> Iterator[Scaled]:
    reference = lookup(item, "spec.scaleTargetRef") or {}
    group = reference["apiVersion"].rpartition("/")[0] if reference.get("apiVersion") else None
    entry = lookup(item, "spec.subTargetSelector.roleName") or ""
    yield Scaled(reference.get("kind") or "Deployment", reference.get("name", ""), group, entry)


def _kthena_targets(item: JsonObject) -> Iterator[Scaled]:
    targets = [lookup(item, "spec.homogeneousTarget.target.targetRef")]
    targets += [lookup(one, "target.targetRef") for one in lookup(item, "spec.heterogeneousTarget.params") or []]
    targets += [lookup(item, "spec.pdDisaggregatedTarget.modelServingRef")]
    for target in targets:
        if target:
            # Of kind ModelServing/Role the name is that of the serving and that of the role.
            name, _, role = target.get("name", "").partition("/")
            yield Scaled(target.get("kind", "ModelServing").partition("/")[0], name, entry=role)


def _kthena_role(item: JsonObject) -> Iterator[Scaled]:
    name, role = lookup(item, "spec.modelServingRef.name"), lookup(item, "spec.roleName")
    yield Scaled("ModelServing", name or "", "workload.serving.volcano.sh", role or "")


def _coordinated_roles(item: JsonObject) -> Iterator[Scaled]:
    for policy in lookup(item, "spec.policies") or []:
        if lookup(policy, "strategy.scaling"):
            for role in policy.get("roles", []):
                yield Scaled("RoleBasedGroup", item["metadata"]["name"], "workloads.x-k8s.io", role)


AUTOSCALERS = (
    Autoscaler(
        Kind("keda.sh", ("v1alpha1",), "ScaledObject", "scaledobjects"),
        _scale_target,
        "the replica count of {}, through an HPA that it makes",
        'delete it, or pause it with the annotation autoscaling.keda.sh/paused: "true"',
    ),
    Autoscaler(
        Kind("autoscaling.aibrix.ai", ("v1alpha1",), "PodAutoscaler", "podautoscalers"),
        _scale_target,
        "the replica count of {}",
        "delete it",
    ),
    Autoscaler(
        Kind("workload.serving.volcano.sh", ("v1alpha1",), "AutoscalingPolicyBinding", "autoscalingpolicybindings"),
        _kthena_targets,
        "the replica counts of {}, by its AutoscalingPolicy",
        "delete the binding",
    ),
    Autoscaler(
        Kind("workload.serving.volcano.sh", ("v1alpha1",), "ModelServingRoleReplica", "modelservingrolereplicas"),
        _kthena_role,
        "the replica count of a role of {}, which it holds",
        "name it as the target, or delete it",
    ),
    Autoscaler(
        Kind("llmd.ai", ("v1alpha1",), "VariantAutoscaling", "variantautoscalings"),
        _scale_target,
        "the metric by which an HPA or ScaledObject sets the replica count of {}",
        "delete it with the HPA or ScaledObject that reads its metric",
    ),
    Autoscaler(
        Kind("workloads.x-k8s.io", ("v1alpha2",), "CoordinatedPolicy", "coordinatedpolicies"),
        _coordinated_roles,
        "the pace at which {} follows its counts, so what is asked for is not what there is for a while",
        "remove strategy.scaling from its policy, and set a ratio band here",
    ),
    Autoscaler(
        Kind("autoscaling", ("v2",), "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
        _scale_target,
        "the replica count of {}",
        "delete it, or leave the role to it",
    ),
)
"""Those that make HPAs for themselves come before the HPA, so that theirs is not reported twice."""
