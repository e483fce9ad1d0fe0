"""Reads switch specs: those that come with the program by name, and any other from plain data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import ValidationError

from autoscaler.stacks.errors import did_you_mean
from autoscaler.targets.kubernetes.specs.problems import SpecError, spec_error
from autoscaler.targets.kubernetes.switches.model import SwitchSpec

_SUFFIX = ".yaml"


def switch_names() -> tuple[str, ...]:
    """The switches that come with the program."""
    found = files(__package__).iterdir()
    return tuple(sorted(entry.name.removesuffix(_SUFFIX) for entry in found if entry.name.endswith(_SUFFIX)))


@cache
def load_switch(name: str) -> SwitchSpec:
    """Read a switch spec by name.

    Raises:
        SpecError: There is none of that name, or its file is wrong.
    """
    if name not in switch_names():
        raise SpecError(f"{name!r} is no switch; {did_you_mean(name, switch_names())}")
    text = files(__package__).joinpath(name + _SUFFIX).read_text(encoding="utf-8")
    return parse_switch({"name": name, **yaml.safe_load(text)}, f"switch {name}")


def parse_switch(document: Any, origin: str) -> SwitchSpec:
    """Check a switch spec.

    Args:
        document: A mapping as YAML or JSON gives it.
        origin: What to call it in messages.

    Raises:
        SpecError: With every problem found, one a line.
    """
    if not isinstance(document, Mapping):
        raise SpecError(
            f"{origin}: is no mapping (got {document!r}); it looks like {{name: …, shape: none, reason: …}}"
        )
    try:
        return SwitchSpec.model_validate(document)
    except ValidationError as error:
        raise spec_error(SwitchSpec, error, origin) from None
