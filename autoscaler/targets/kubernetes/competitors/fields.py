"""Autoscaling that a stack does itself, switched on inside the objects of a chain."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from autoscaler.core.policy import Role
from autoscaler.targets.kubernetes.competitors.chain import Chain
from autoscaler.targets.kubernetes.competitors.kinds import group_kind
from autoscaler.targets.kubernetes.competitors.report import Conflict
from autoscaler.targets.kubernetes.refs import JsonObject, lookup

Finding = tuple[str, str]
"""What is written, and what to do about it."""


def find_built_in(chain: Chain, role: Role) -> list[Conflict]:
    """Autoscaling that the objects of a chain carry in their own fields."""
    found = []
    for document in chain.objects:
        search = _SEARCHES.get(group_kind(document))
        for writes, remedy in search(document, chain, role) if search is not None else ():
            metadata = document["metadata"]
            found.append(Conflict(document["kind"], metadata["name"], metadata["namespace"], writes, remedy))
    return found


def _hyperpod(document: JsonObject, _: Chain, role: Role) -> Iterator[Finding]:
    field = {Role.PREFILL: "prefillAutoScaling", Role.DECODE: "decodingAutoScaling"}.get(role, "")
    if lookup(document, f"spec.pdSpec.autoScalingSpec.{field}") is not None:
        yield (
            f"its own {role} count, by the KEDA objects of its operator",
            f"remove spec.pdSpec.autoScalingSpec.{field} from it",
        )


def _kserve(document: JsonObject, _: Chain, role: Role) -> Iterator[Finding]:
    field = {Role.PREFILL: "spec.prefill.scaling", Role.DECODE: "spec.scaling"}.get(role, "spec.scaling")
    if lookup(document, field) is not None:
        yield f"its own {role} count, by an HPA or ScaledObject of KServe", f"remove {field} from it"


def _production_stack(document: JsonObject, _: Chain, __: Role) -> Iterator[Finding]:
    if lookup(document, "spec.autoscalingConfig.enabled") is True:
        yield "its own count, by a ScaledObject of its operator", "set spec.autoscalingConfig.enabled to false in it"


def _dynamo(document: JsonObject, _: Chain, __: Role) -> Iterator[Finding]:
    services = (lookup(document, "spec.services") or {}).items()
    components = [(one.get("name", ""), one.get("type", "")) for one in lookup(document, "spec.components") or []]
    for name, kind in [*((name, one.get("componentType", "")) for name, one in services), *components]:
        if "planner" in name.lower() or kind == "planner":
            yield (
                f"the counts of its components, by the Dynamo planner in component {name}",
                f"remove component {name}, or let it run without acting",
            )


def _grove(document: JsonObject, chain: Chain, _: Role) -> Iterator[Finding]:
    """A PodCliqueSet's templates; `<set>-<index>-<template>` is what they make."""
    names = {one["metadata"]["name"] for one in (chain.target, *chain.below)}
    templates = [
        (one.get("name", ""), lookup(one, "spec.autoScalingConfig"), "autoScalingConfig")
        for one in lookup(document, "spec.template.cliques") or []
    ]
    templates += [
        (one.get("name", ""), one.get("scaleConfig"), "scaleConfig")
        for one in lookup(document, "spec.template.podCliqueScalingGroups") or []
    ]
    for template, config, field in templates:
        made = [name for name in names if _is_made_from(name, document["metadata"]["name"], template)]
        if config is not None and made:
            yield f"the replica count of {made[0]}, by an HPA", f"remove {field} from template {template} of it"


def _is_made_from(name: str, owner: str, template: str) -> bool:
    index = name.removeprefix(f"{owner}-").removesuffix(f"-{template}")
    return index.isdigit() and name == f"{owner}-{index}-{template}"


_SEARCHES: dict[str, Callable[[JsonObject, Chain, Role], Iterator[Finding]]] = {
    "InferenceEndpointConfig.inference.sagemaker.aws.amazon.com": _hyperpod,
    "LLMInferenceService.serving.kserve.io": _kserve,
    "VLLMRuntime.production-stack.vllm.ai": _production_stack,
    "DynamoGraphDeployment.nvidia.com": _dynamo,
    "PodCliqueSet.grove.io": _grove,
}
