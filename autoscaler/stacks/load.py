"""Reads stack files: those that come with the program, by name."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from autoscaler.stacks.dialects import Stack, assemble
from autoscaler.stacks.errors import StackError, did_you_mean
from autoscaler.stacks.model import StackModel

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
    place: Any = StackModel
    for part in location[:-1]:
        place = _inside(place, part)
    model = _bare(place)
    return list(model.model_fields) if _is_model(model) else []


def _inside(place: Any, part: int | str) -> Any:
    """The type behind a key of a mapping or a model, or behind an item of a list."""
    bare = _bare(place)
    if _is_model(bare):
        return bare.model_fields[str(part)].annotation
    return next((arm for arm in reversed(get_args(bare)) if arm is not Ellipsis), None)


def _bare(place: Any) -> Any:
    """The type without its annotations, and without None beside it."""
    while get_origin(place) in (Annotated, Union, UnionType):
        place = next(arm for arm in get_args(place) if arm is not NoneType)
    return place


def _is_model(place: Any) -> bool:
    return isinstance(place, type) and issubclass(place, BaseModel)
