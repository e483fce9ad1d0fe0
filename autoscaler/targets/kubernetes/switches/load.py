"""Switch specs that come with the program, by name."""

from __future__ import annotations

from functools import cache

from autoscaler.targets.kubernetes.specs.files import SpecFiles
from autoscaler.targets.kubernetes.switches.model import SwitchSpec

SWITCHES = SpecFiles(__package__, SwitchSpec, "switch", "{name: …, shape: none, reason: …}")
"""The files behind them, and how any other spec is read."""


def switch_names() -> tuple[str, ...]:
    """The switches that come with the program."""
    return SWITCHES.names()


@cache
def load_switch(name: str) -> SwitchSpec:
    """Read a switch spec by name; see `SpecFiles.load`."""
    return SWITCHES.load(name)
