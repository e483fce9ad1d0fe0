"""Reads stack files: those that come with the program, by name."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import yaml
from pydantic import ValidationError

from autoscaler.stacks.dialects import Stack, assemble
from autoscaler.stacks.errors import StackError, did_you_mean
from autoscaler.stacks.model import StackModel
from autoscaler.stacks.problems import problem_lines

_SUFFIX = ".yaml"


def stack_names() -> tuple[str, ...]:
    """The stacks that come with the program."""
    directory = files(__package__)
    return tuple(
        sorted(entry.name.removesuffix(_SUFFIX) for entry in directory.iterdir() if entry.name.endswith(_SUFFIX))
    )


@cache
def load_stack(name: str) -> Stack:
    """Read a stack and its engines by name.

    Raises:
        StackError: There is no such stack, or its file is wrong.
    """
    if name not in stack_names():
        raise StackError(f"{name!r} is no stack; {did_you_mean(name, stack_names())}")
    file = _complete(name)
    for engine in file.engines:
        if engine not in stack_names():
            raise StackError(f"stack {name}: engine {engine!r} is no stack; {did_you_mean(engine, stack_names())}")
    return assemble(file, {engine: _read(engine) for engine in file.engines})


def _complete(name: str) -> StackModel:
    """A stack file on top of the one that it starts from."""
    file = _read(name)
    if file.like is None:
        return file
    if file.like not in stack_names():
        raise StackError(f"stack {name}: like {file.like!r} is no stack; {did_you_mean(file.like, stack_names())}")
    base = _complete(file.like)
    said = {key: getattr(file, key) for key in file.model_fields_set - {"like", "signals"}}
    signals = {
        scope: {**base.signals.get(scope, {}), **file.signals.get(scope, {})}
        for scope in {**base.signals, **file.signals}
    }
    return base.model_copy(update={**said, "signals": signals})


def _read(name: str) -> StackModel:
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
        raise StackError(problem_lines(StackModel, error, origin)) from None
