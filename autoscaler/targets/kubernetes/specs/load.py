"""Target specs that come with the program, by name or by kind."""

from __future__ import annotations

from functools import cache

from autoscaler.core.policy import Role
from autoscaler.targets.kubernetes.specs.files import SpecFiles
from autoscaler.targets.kubernetes.specs.model import ObjectModel, Shape, TargetSpec
from autoscaler.targets.kubernetes.templates import Template

SPECS = SpecFiles(__package__, TargetSpec, "target", "{name: …, shape: scale, object: …}")
"""The files behind them, and how any other spec is read."""


def spec_names() -> tuple[str, ...]:
    """The specs that come with the program."""
    return SPECS.names()


@cache
def load_spec(name: str) -> TargetSpec:
    """Read a spec by name; see `SpecFiles.load`."""
    return SPECS.load(name)


def spec_for_kind(api_version: str, kind: str) -> TargetSpec | None:
    """The spec of the objects of a kind that are named themselves; None where none comes with the program."""
    group, _, version = api_version.rpartition("/")
    for name in spec_names():
        spec = load_spec(name)
        if spec.object is not None and spec.object.kind == kind and _fits(spec.object, group, version):
            return spec
    return None


def spec_of_part(api_version: str, kind: str) -> TargetSpec | None:
    """The spec of a kind whose objects hold the count of a part of another one, and are named after that.

    Such an object alone does not tell how many replicas serve. None where the objects are named themselves.
    """
    if spec_for_kind(api_version, kind) is not None:
        return None
    meant = (api_version.rpartition("/")[0], kind)
    specs = (load_spec(name) for name in spec_names())
    return next((one for one in specs if one.object is not None and (one.object.group, one.object.kind) == meant), None)


def scale_spec(api_version: str, kind: str, plural: str) -> TargetSpec:
    """The spec of any kind that has a scale subresource and counts ready replicas where a Deployment does."""
    group, _, version = api_version.rpartition("/")
    referent = ObjectModel(group=group, versions=(version,), kind=kind, plural=plural)
    return TargetSpec(name=kind.lower(), title=kind, shape=Shape.SCALE, object=referent)


def _fits(referent: ObjectModel, group: str, version: str) -> bool:
    named_itself = referent.name.get(Role.DECODE) == Template("{name}")
    return referent.group == group and version in referent.versions and named_itself
