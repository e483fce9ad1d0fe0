"""Controllers above a target: most put their own count back, some leave it to others."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from autoscaler.core.policy import Role
from autoscaler.targets.kubernetes.competitors.chain import Chain, named
from autoscaler.targets.kubernetes.competitors.kinds import group_kind
from autoscaler.targets.kubernetes.competitors.report import Conflict
from autoscaler.targets.kubernetes.paths import Path
from autoscaler.targets.kubernetes.refs import JsonObject
from autoscaler.targets.kubernetes.specs.load import load_spec, spec_names


@dataclass(frozen=True, slots=True)
class Keeper:
    """An owner that leaves the count of what it owns to others, always or while a field of it says so.

    Attributes:
        owner: Kind of the owner, as `Kind.group`.
        owned: Kinds whose count it leaves alone; empty for any.
        paths: Fields of the owner, per role; the first that is there decides. Empty where it always does.
        values: What that may be; None for none of them there.
        otherwise: What to do where it is something else.
    """

    owner: str
    owned: tuple[str, ...] = ()
    paths: dict[Role, tuple[Path, ...]] = field(default_factory=dict)
    values: tuple[str | None, ...] = (None,)
    otherwise: str = ""

    def keeps(self, owner: JsonObject, role: Role) -> bool:
        """Whether an owner leaves the count of a role alone."""
        if not self.paths:
            return True
        found = (path.find(owner) for path in self.paths[role])
        return next((value for value in found if value is not None), None) in self.values


def _ome_class(component: str) -> tuple[Path, ...]:
    """Where OME says who scales a component: set there, in effect (by a runtime or policy), by releases below 1.3."""
    return (
        Path.parse(f"spec.{component}.autoscaler.class"),
        Path.parse(f"status.components.{component}.autoscaler.class"),
        Path.parse('metadata.annotations["ome.io/autoscalerClass"]'),
    )


KEEPERS = (
    Keeper("DisaggregatedSet.disaggregatedset.x-k8s.io", ("DisaggregatedSetRoleScaler",)),
    Keeper("DynamoGraphDeployment.nvidia.com", ("DynamoGraphDeploymentScalingAdapter",)),
    Keeper("RoleBasedGroup.workloads.x-k8s.io", ("RoleBasedGroupScalingAdapter",)),
    Keeper("PodCliqueSet.grove.io", ("PodClique", "PodCliqueScalingGroup")),
    Keeper(
        "LLMInferenceService.serving.kserve.io",
        paths={
            Role.PREFILL: (Path.parse("spec.prefill.replicas"),),
            Role.DECODE: (Path.parse("spec.replicas"),),
            Role.AGGREGATED: (Path.parse("spec.replicas"),),
        },
        otherwise="it sets replicas and so puts its own count back; use target kserve, or unset replicas there",
    ),
    Keeper(
        "InferenceService.ome.io",
        paths={
            Role.PREFILL: _ome_class("engine"),
            Role.DECODE: _ome_class("decoder"),
            Role.AGGREGATED: _ome_class("engine"),
        },
        values=("External", "external"),
        otherwise="it sets the count: give the component autoscaler.class: External (below 1.3 annotate the service "
        "ome.io/autoscalerClass: external), or use ome-bounds",
    ),
)


def owners_to_read(owned: str, of_stack: Collection[str]) -> tuple[str, ...]:
    """Owners that leave the count of a kind to others, always or while a field of them says so.

    Args:
        owned: The kind that holds the count.
        of_stack: Kinds that the stack has, as `Kind.group`: others own nothing there.
    """
    return tuple(
        keeper.owner for keeper in KEEPERS if (owned in keeper.owned if keeper.owned else keeper.owner in of_stack)
    )


def owner_conflicts(chain: Chain, role: Role) -> list[Conflict]:
    """The owners above a target that put their own count back."""
    conflicts = []
    for owned, owner in zip([chain.target, *chain.above], chain.above, strict=False):
        remedy = _remedy(owned, owner, role)
        if remedy:
            metadata = owner["metadata"]
            writes = f"{named(owned)}, which it owns and reconciles"
            conflicts.append(Conflict(owner["kind"], metadata["name"], metadata["namespace"], writes, remedy))
    return conflicts


def _remedy(owned: JsonObject, owner: JsonObject, role: Role) -> str:
    """What to do about an owner; empty where it keeps the count."""
    keepers = [keeper for keeper in KEEPERS if keeper.owner == group_kind(owner)]
    for keeper in keepers:
        if keeper.owned and owned["kind"] not in keeper.owned:
            continue
        if keeper.keeps(owner, role):
            return ""
        if "uid" not in owner["metadata"]:
            return ""  # it could not be read, which is reported as unchecked
        return keeper.otherwise
    targets = [spec for spec in spec_names() if _scales(spec, group_kind(owner))]
    if targets:
        return f"a count set below it is put back; use target {' or '.join(targets)} on {named(owner)}"
    return f"a count set below it is put back, so scale {named(owner)} itself"


def _scales(name: str, kind: str) -> bool:
    """Whether a spec is the way to scale what an object of a kind owns."""
    spec = load_spec(name)
    models = (spec.object, spec.status_of)
    return any(model is not None and kind == f"{model.kind}.{model.group}" for model in models)
