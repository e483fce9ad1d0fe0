"""The reference of the command line, from its own parser."""

from __future__ import annotations

from enum import Enum
from typing import Any

from autoscaler.cli.commands import COMMANDS, load
from autoscaler.cli.exits import ExitCode
from scripts.pages.markdown import code, page, table

PROGRAM = "pd-autoscaler"
_INTRODUCTION = f"""
Also as `python -m autoscaler`. Data goes to stdout, logs and messages to stderr. `{PROGRAM} COMMAND --help` prints what
is here.
"""
_EXITS = {
    ExitCode.OK: "no change is needed; for commands that recommend nothing: all is well",
    ExitCode.UNWRITTEN: "the output could not be written",
    ExitCode.REFUSED: "bad policy or usage, or something that cannot be opened at the start",
    ExitCode.UNHEALTHY: "signals or replica counts are unusable, and no healthy service wants a change",
    ExitCode.CHANGE: "a service with healthy signals should change",
}


def cli_page() -> str:
    """The page."""
    blocks: list[str | list[str]] = ["# Command line", _INTRODUCTION.strip(), "## Exit codes"]
    blocks.append(table(("code", "meaning"), [(code(str(int(exit_code))), text) for exit_code, text in _EXITS.items()]))
    for name in COMMANDS:
        blocks += _command(name, load(name))
    return page(*blocks)


def _command(name: str, command: Any) -> list[str | list[str]]:
    options = [_option(option) for option in command.params if "--help" not in option.opts]
    arguments = " ".join(_usage(param) for param in command.params if param.param_type_name == "argument")
    usage = " ".join(part for part in ("[OPTIONS]" if options else "", arguments) if part)
    text = (command.help or COMMANDS[name]).replace("\b", "").strip()
    shown = table(("option", "meaning", "default"), options) if options else ""
    return [f"## {code(name)}", f"```text\n{PROGRAM} {name} {usage}\n```", text, shown]


def _option(param: Any) -> tuple[str, str, str]:
    is_option = param.param_type_name == "option"
    names = [*param.opts, *param.secondary_opts] if is_option else [param.metavar or param.name.upper()]
    metavar = _metavar(param) if is_option and not param.is_flag else ""
    shown = ", ".join(map(code, names)) + (f" {code(metavar)}" if metavar else "")
    default = param.default
    has_default = default not in (None, False, ()) and not callable(default) and not param.required
    return shown, param.help or "", code(str(getattr(default, "value", default))) if has_default else ""


def _usage(param: Any) -> str:
    name = f"{_metavar(param)}{'...' if param.nargs == -1 else ''}"
    return name if param.required else f"[{name}]"


def _metavar(param: Any) -> str:
    annotation = param.type_descriptor.annotation
    if param.metavar is not None:
        return str(param.metavar)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "|".join(str(choice.value) for choice in annotation)
    kinds = {int: "NUMBER", float: "NUMBER"}
    return kinds.get(annotation, str(param.name).upper())
