"""Objects that hold the count of a part of another one, such as scaling adapters: a target spec tells them, no kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from autoscaler.adopt.pool import Part, Workload
from autoscaler.core.policy import Role
from autoscaler.targets.kubernetes.aim import Service, aim
from autoscaler.targets.kubernetes.refs import JsonObject, lookup
from autoscaler.targets.kubernetes.specs.load import spec_of_part
from autoscaler.targets.kubernetes.specs.model import TargetSpec

# Where an adapter says what it adapts, and how it calls the part.
_REFERENCES = ("spec.dgdRef", "spec.scaleTargetRef")
_ENTRIES = ("componentName", "serviceName", "role")


def with_part(workload: Workload, document: JsonObject) -> Workload:
    """The same with what it is a part of, where it is one.

    Args:
        workload: The object that holds the count.
        document: What the cluster knows of it; empty where it cannot be read, and then its name has to tell.
    """
    spec = spec_of_part(workload.api_version, workload.kind)
    found = next((one for one in _guesses(workload, document) if spec and _is_named(spec, one, workload)), None)
    return replace(workload, part=Part(spec.name, *found)) if spec is not None and found is not None else workload


def _guesses(workload: Workload, document: JsonObject) -> Iterator[tuple[str, str]]:
    """What the whole and the part may be called, the surest first."""
    for path in _REFERENCES:
        told = lookup(document, path) or {}
        for key in _ENTRIES:
            if told.get("name") and told.get(key):
                yield str(told["name"]), str(told[key])
    for owner in lookup(document, "metadata.ownerReferences") or []:
        yield str(owner["name"]), workload.name.removeprefix(f"{owner['name']}-")
    name, _, entry = workload.name.rpartition("-")
    yield name, entry


def _is_named(spec: TargetSpec, guess: tuple[str, str], workload: Workload) -> bool:
    name, entry = guess
    return bool(name and entry) and aim(spec, Service("", name, entry), Role.DECODE).ref.name == workload.name
