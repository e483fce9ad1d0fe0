"""Switch specs: those that come with the program by name, and any other from plain data."""

from __future__ import annotations

from functools import cache
from typing import Any

from autoscaler.targets.kubernetes.specs.files import SpecFiles
from autoscaler.targets.kubernetes.switches.model import SwitchSpec

_FILES = SpecFiles(__package__, SwitchSpec, "switch", "{name: …, shape: none, reason: …}")


def switch_names() -> tuple[str, ...]:
    """The switches that come with the program."""
    return _FILES.names()


@cache
def load_switch(name: str) -> SwitchSpec:
    """Read a switch spec by name; see `SpecFiles.load`."""
    return _FILES.load(name)


def parse_switch(document: Any, origin: str) -> SwitchSpec:
    """Check a switch spec; see `SpecFiles.parse`."""
    return _FILES.parse(document, origin)
