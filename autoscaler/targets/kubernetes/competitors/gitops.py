"""Tools that keep objects as they are in Git: Argo CD, Flux, Helm."""

from __future__ import annotations

import re
from dataclasses import dataclass

from autoscaler.targets.kubernetes.competitors.chain import Chain, named
from autoscaler.targets.kubernetes.competitors.report import Conflict
from autoscaler.targets.kubernetes.managers import owners_of
from autoscaler.targets.kubernetes.paths import Path
from autoscaler.targets.kubernetes.refs import JsonObject


@dataclass(frozen=True, slots=True)
class GitOpsTool:
    """One tool.

    Attributes:
        managers: The names that it writes under.
        marks: Labels and annotations that it puts on what it manages, up to here.
        values: What such a mark must be, where its name alone says nothing.
        remedy: What to do about it.
        watches: Whether it puts back by itself what others change, and not only when somebody runs it.
    """

    name: str
    managers: re.Pattern[str]
    marks: tuple[str, ...]
    values: dict[str, str]
    remedy: str
    watches: bool = True

    def marks_on(self, document: JsonObject) -> list[str]:
        """The labels and annotations by which it manages an object."""
        metadata = document["metadata"]
        carried = {**metadata.get("labels", {}), **metadata.get("annotations", {})}
        return [
            name
            for name, value in carried.items()
            if name.startswith(self.marks) and self.values.get(name, value) == value
        ]


_TOOLS = (
    GitOpsTool(
        "Argo CD",
        re.compile(r"argocd|argo-cd"),
        ("argocd.argoproj.io/tracking-id", "argocd.argoproj.io/instance"),
        {},
        "leave the field out of Git; or add ignoreDifferences for its field together with the sync option "
        "RespectIgnoreDifferences=true",
    ),
    GitOpsTool(
        "Flux",
        re.compile(r"^(kustomize|helm)-controller$"),
        ("kustomize.toolkit.fluxcd.io/", "helm.toolkit.fluxcd.io/"),
        {},
        "leave the field out of Git: what Flux does not apply it does not put back",
    ),
    GitOpsTool(
        "Helm",
        re.compile(r"^helm$"),
        ("app.kubernetes.io/managed-by",),
        {"app.kubernetes.io/managed-by": "Helm"},
        "let the chart leave the field out, or each helm upgrade sets it anew",
        watches=False,
    ),
)


def tools_that_manage(document: JsonObject) -> list[tuple[GitOpsTool, str]]:
    """Tools whose marks an object carries, each with one of these."""
    return [(tool, marks[0]) for tool in _TOOLS if (marks := tool.marks_on(document))]


def find_gitops(
    chain: Chain, fields: tuple[Path, ...], *, watching_only: bool = False
) -> tuple[list[Conflict], list[str]]:
    """Tools that own a field of the target, and notes on those that manage an object of the chain without owning it.

    Args:
        chain: The objects.
        fields: Fields of the target that are written here.
        watching_only: Whether a tool that writes only when somebody runs it is a note, too.
    """
    conflicts: list[Conflict] = []
    notes: list[str] = []
    metadata = chain.target["metadata"]
    owners = {owner.manager for path in fields for owner in owners_of(chain.target, path)}
    for tool in _TOOLS:
        managers = sorted(owner for owner in owners if tool.managers.search(owner))
        if managers and (tool.watches or not watching_only):
            writes = f"{fields[0]} of {named(chain.target)}, under the name {', '.join(managers)}"
            conflicts.append(Conflict(tool.name, metadata["name"], metadata["namespace"], writes, tool.remedy))
            continue
        if managers:
            notes.append(f"{tool.name} has set {fields[0]} of {named(chain.target)}: {tool.remedy}")
            continue
        for document in chain.objects:
            marks = tool.marks_on(document)
            if marks:
                notes.append(f"{tool.name} manages {named(document)} ({marks[0]}): {tool.remedy}")
    return conflicts, notes
