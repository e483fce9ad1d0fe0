"""Reads target specs: those that come with the program by name or by kind, and any other from plain data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import ValidationError

from autoscaler.core.policy import Role
from autoscaler.stacks.errors import did_you_mean
from autoscaler.targets.kubernetes.specs.model import ObjectModel, Shape, TargetSpec
from autoscaler.targets.kubernetes.specs.problems import SpecError, spec_error
from autoscaler.targets.kubernetes.templates import Template

_SUFFIX = ".yaml"


def spec_names() -> tuple[str, ...]:
    """The specs that come with the program."""
    found = files(__package__).iterdir()
    return tuple(sorted(entry.name.removesuffix(_SUFFIX) for entry in found if entry.name.endswith(_SUFFIX)))


@cache
def load_spec(name: str) -> TargetSpec:
    """Read a spec by name.

    Raises:
        SpecError: There is none of that name, or its file is wrong.
    """
    if name not in spec_names():
        raise SpecError(f"{name!r} is no target; {did_you_mean(name, spec_names())}")
    text = files(__package__).joinpath(name + _SUFFIX).read_text(encoding="utf-8")
    return parse_spec({"name": name, **yaml.safe_load(text)}, f"target {name}")


def parse_spec(document: Any, origin: str) -> TargetSpec:
    """Check a spec.

    Args:
        document: A mapping as YAML or JSON gives it.
        origin: What to call it in messages.

    Raises:
        SpecError: With every problem found, one a line.
    """
    if not isinstance(document, Mapping):
        raise SpecError(
            f"{origin}: is no mapping (got {document!r}); it looks like {{name: …, shape: scale, object: …}}"
        )
    try:
        return TargetSpec.model_validate(document)
    except ValidationError as error:
        raise spec_error(TargetSpec, error, origin) from None


def spec_for_kind(api_version: str, kind: str) -> TargetSpec | None:
    """The spec of the objects of a kind that are named themselves; None where none comes with the program."""
    group, _, version = api_version.rpartition("/")
    for name in spec_names():
        spec = load_spec(name)
        if spec.object is not None and spec.object.kind == kind and _fits(spec.object, group, version):
            return spec
    return None


def scale_spec(api_version: str, kind: str, plural: str) -> TargetSpec:
    """The spec of any kind that has a scale subresource and counts ready replicas where a Deployment does."""
    group, _, version = api_version.rpartition("/")
    referent = ObjectModel(group=group, versions=(version,), kind=kind, plural=plural)
    return TargetSpec(name=kind.lower(), title=kind, shape=Shape.SCALE, object=referent)


def _fits(referent: ObjectModel, group: str, version: str) -> bool:
    named_itself = referent.name.get(Role.DECODE) == Template("{name}")
    return referent.group == group and version in referent.versions and named_itself
