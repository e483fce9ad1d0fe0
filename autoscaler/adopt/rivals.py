"""Who sets the count of a workload that was taken for one with a fixed number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from autoscaler.adopt.pool import Pool, Workload
from autoscaler.core.policy import Role
from autoscaler.targets.kubernetes.aim import Service
from autoscaler.targets.kubernetes.competitors import Competition, Conflict, find_competitors
from autoscaler.targets.kubernetes.refs import guess_plural
from autoscaler.targets.kubernetes.specs.load import load_spec, scale_spec, spec_for_kind
from autoscaler.targets.kubernetes.specs.model import TargetSpec

if TYPE_CHECKING:
    from autoscaler.targets.kubernetes.client import KubeClient  # importing it costs half a second

_IMPORTS = {"HorizontalPodAutoscaler": "hpa", "ScaledObject": "keda"}


def with_rivals(client: KubeClient, pool: Pool, role: Role, namespace: str) -> Pool:
    """The same with what the cluster knows of others that set its count.

    Where there are any, today's count is theirs and no bound to go by, and it is they who have to let go of it.
    """
    workload = pool.workload
    service = Service(namespace, workload.name)
    if workload.part is not None:
        service = Service(namespace, workload.part.whole, workload.part.entry)
    found = find_competitors(client, _spec_of(workload), service, role)
    told = replace(pool, rivals=tuple(_words(found)))
    if not found.conflicts:
        return told
    # A tool that keeps the workload has no object of its own, and goes by the workload's name.
    names = " and ".join(f"{one.kind} {one.name}".removesuffix(f" {workload.name}") for one in found.conflicts)
    return replace(
        told,
        is_fixed=False,
        setter=f"{workload.kind} {workload.name} (whose count {names} sets)",
        bounds_note=f"<- today's count, which {names} sets",
        hand_over=(),
        hand_back=(),
    )


def _spec_of(workload: Workload) -> TargetSpec:
    if workload.part is not None:
        return load_spec(workload.part.spec)
    version, kind = workload.api_version, workload.kind
    return spec_for_kind(version, kind) or scale_spec(version, kind, guess_plural(kind))


def _words(found: Competition) -> Iterator[str]:
    for conflict in found.conflicts:
        yield f"{conflict}{_instead(conflict)}"
    if found.unchecked:
        first, *more = found.unchecked
        others = f"; doctor names {len(more)} more that could not be looked at" if more else ""
        yield f"who else sets its count is not known: {first}{others}"
    yield from found.notes


def _instead(conflict: Conflict) -> str:
    setter = _IMPORTS.get(conflict.kind)
    return f". Its bounds come with: import {setter} {conflict.name}" if setter is not None else ""
