"""Reads stack files: those that come with the program, by name."""

from __future__ import annotations

from importlib.resources import files

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from autoscaler.stacks.errors import StackError, did_you_mean
from autoscaler.stacks.model import CandidateModel, LabelsModel, ReplicasModel, SignalModel, StackModel, WindowsModel

_SUFFIX = ".yaml"
_KEYS_AT: dict[str, type[BaseModel]] = {
    "labels": LabelsModel,
    "windows": WindowsModel,
    "replicas": ReplicasModel,
    "candidates": CandidateModel,
    "asked_for": CandidateModel,
    "ready": CandidateModel,
}
_SIGNAL_DEPTH = 3  # signals.<scope>.<name>


def stack_names() -> tuple[str, ...]:
    """The stacks that come with the program."""
    directory = files(__package__)
    return tuple(
        sorted(entry.name.removesuffix(_SUFFIX) for entry in directory.iterdir() if entry.name.endswith(_SUFFIX))
    )


def load_stack(name: str) -> StackModel:
    """Read a stack by name.

    Raises:
        StackError: There is no such stack, or its file is wrong.
    """
    if name not in stack_names():
        raise StackError(f"{name!r} is no stack; {did_you_mean(name, stack_names())}")
    return parse_stack(files(__package__).joinpath(name + _SUFFIX).read_text(encoding="utf-8"), f"stack {name}")


def parse_stack(text: str, origin: str) -> StackModel:
    """Read the text of a stack file.

    Args:
        text: YAML.
        origin: What to call it in messages.

    Raises:
        StackError: With every problem found, one a line.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise StackError(f"{origin}: no YAML: {error}") from None
    try:
        return StackModel.model_validate(document)
    except ValidationError as error:
        raise StackError("\n".join(f"{origin}: {_words(detail)}" for detail in error.errors())) from None


def _words(detail: ErrorDetails) -> str:
    place = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{place} is unknown; {did_you_mean(str(detail['loc'][-1]), _allowed_keys(detail['loc']))}"
    message = detail["msg"].removeprefix("Value error, ")
    value = "" if isinstance(detail["input"], dict) else f" (got {detail['input']!r})"
    return f"{place}: {message}{value}" if place else f"{message}{value}"


def _allowed_keys(location: tuple[int | str, ...]) -> list[str]:
    """Keys that may stand where an unknown one was found."""
    parent = [part for part in location[:-1] if isinstance(part, str)]
    if not parent:
        return list(StackModel.model_fields)
    if len(parent) == _SIGNAL_DEPTH and parent[0] == "signals":
        return list(SignalModel.model_fields)
    if parent == ["labels", "role"]:
        return ["name", "values"]
    return list(_KEYS_AT[parent[-1]].model_fields)
