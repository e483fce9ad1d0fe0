"""The command group: each command lives in a module of its name, imported when it is called and not before.

`--help` and `check` would otherwise wait for the Kubernetes client and numpy, which they do not need.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "run": "Run the daemon: observe, decide, and act as far as each policy's mode allows.",
        "recommend": "Read the signals once and say how many replicas each pool should have; writes nothing.",
        "explain": "Tell how each pool's number comes about, step by step; writes nothing.",
        "check": "Check scaling policies without touching anything.",
        "doctor": "Say of each signal, target and right of a policy whether it is there, and what to do if not.",
        "release": "Give pools back: to the replica counts that they had, or to another autoscaler.",
        "rbac": "Print the Roles with the least rights that `run` needs for these policies.",
        "import": "Print a policy made from an HPA, a KEDA ScaledObject or a fixed number of replicas; reads only.",
        "stacks": "List the serving stacks, or tell what is known of one.",
        "schema": "Print the JSON Schema of a scaling policy.",
        "replay": "Play a recorded load on a simulated service, under your policy and under others'.",
        "report": "Say what a service used, what it needed and what a policy would have saved, from Prometheus alone.",
        "demo": "Watch the autoscaler at work on a simulated service; needs no cluster.",
    }
)
_FUNCTIONS = MappingProxyType({"import": "import_policy"})  # a Python word names no module


class CommandGroup(TyperGroup):
    """Knows of each command what help says, and loads the one that is called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, help=summary) for name, summary in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that is called, loaded."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(name) if name is not None else command, rest


def load(name: str) -> Any:
    """Import the module of a command and make a command of the function that bears its name."""
    own = _FUNCTIONS.get(name, name)
    function = getattr(import_module(f"autoscaler.cli.{own}"), own)
    alone = typer.Typer(add_completion=False, rich_markup_mode="markdown")
    alone.command(name)(function)
    return typer.main.get_command(alone)
