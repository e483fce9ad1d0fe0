"""Controllers above a target: most put their own count back, some leave it to others."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

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
        path: The field of the owner, per role.
        value: What it must be; None for absent.
        otherwise: What to do where it is something else.
    """

    owner: str
    owned: tuple[str, ...] = ()
    path: dict[Role, Path] | None = None
    value: str | None = None
    otherwise: str = ""


_OME_CLASS = Path.parse('metadata.annotations["ome.io/autoscalerClass"]')
KEEPERS = (
    Keeper("DisaggregatedSet.disaggregatedset.x-k8s.io", ("DisaggregatedSetRoleScaler",)),
    Keeper("DynamoGraphDeployment.nvidia.com", ("DynamoGraphDeploymentScalingAdapter",)),
    Keeper("RoleBasedGroup.workloads.x-k8s.io", ("RoleBasedGroupScalingAdapter",)),
    Keeper("PodCliqueSet.grove.io", ("PodClique", "PodCliqueScalingGroup")),
    Keeper(
        "LLMInferenceService.serving.kserve.io",
        path={Role.PREFILL: Path.parse("spec.prefill.replicas"), Role.DECODE: Path.parse("spec.replicas")},
        otherwise="it sets replicas and so puts its own count back; use target kserve, or unset replicas there",
    ),
    Keeper(
        "InferenceService.ome.io",
        path=dict.fromkeys(Role, _OME_CLASS),
        value="external",
        otherwise="it autoscales the Deployment: annotate it ome.io/autoscalerClass: external, or use ome-bounds",
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
        if keeper.path is None or (role in keeper.path and keeper.path[role].find(owner) == keeper.value):
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
