"""Reads stack files: those that come with the program, by name, and those that users bring."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from pydantic import ValidationError

from autoscaler.config import ScalingPolicy
from autoscaler.config.document import Document, read_documents
from autoscaler.config.files import NamedFile
from autoscaler.stacks.dialects import Stack, assemble
from autoscaler.stacks.errors import StackError, did_you_mean
from autoscaler.stacks.model import StackModel
from autoscaler.stacks.problems import problem_lines

_SUFFIX = ".yaml"
_MOST_KEPT = 64  # stack files of users; each edit is another one


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
    return _with_engines(_named(name), f"stack {name}")


@lru_cache(_MOST_KEPT)
def read_stack(file: NamedFile) -> Stack:
    """Read a stack file that a user brings; it may start from a stack that comes with the program, and name engines.

    Raises:
        StackError: With every problem found, one a line.
    """
    if file.trouble:
        meant = f"; did you mean {file.nearest}?" if file.nearest else ""
        raise StackError(f"{file.path}: {file.trouble}{meant}")
    return _with_engines(parse_stack(file.content, str(file.path)), str(file.path))


def stack_of(policy: ScalingPolicy) -> Stack:
    """The stack of a policy: the file that it brings, else the one that it names.

    Raises:
        StackError: There is none, or it is wrong.
    """
    own = policy.spec.own_stack
    return load_stack(policy.spec.stack or "") if own is None else read_stack(own)


def parse_stack(content: bytes, origin: str) -> StackModel:
    """Read the content of a stack file, put on top of the one that it starts from.

    Args:
        content: YAML.
        origin: What to call it in messages.

    Raises:
        StackError: With every problem found, one a line.
    """
    document = _document(content, origin)
    try:
        return StackModel.model_validate(_whole(document.data, origin))
    except ValidationError as error:
        raise StackError(problem_lines(StackModel, error, origin, document.line_of)) from None


def _with_engines(file: StackModel, origin: str) -> Stack:
    for engine in file.engines:
        if engine not in stack_names():
            raise StackError(f"{origin}: engine {engine!r} is no stack; {did_you_mean(engine, stack_names())}")
    return assemble(file, {engine: _named(engine) for engine in file.engines})


def _named(name: str) -> StackModel:
    return parse_stack(_content(name), f"stack {name}")


def _content(name: str) -> bytes:
    return files(__package__).joinpath(name + _SUFFIX).read_bytes()


def _document(content: bytes, origin: str) -> Document:
    documents, problems = read_documents(content, origin, holds="stack", keys="name, title, engines, signals, facts, …")
    if problems:
        raise StackError("\n".join(str(problem) for problem in problems))
    if len(documents) != 1:
        raise StackError(f"{origin}: holds {len(documents)} documents, where one is wanted")
    return documents[0]


def _whole(said: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """What a file says, on top of the one that it starts from: key by key, and signal by signal."""
    like = said.get("like")
    if not isinstance(like, str):
        return dict(said)
    if like not in stack_names():
        raise StackError(f"{origin}: like {like!r} is no stack; {did_you_mean(like, stack_names())}")
    base = _whole(_document(_content(like), f"stack {like}").data, f"stack {like}")
    signals, own = base.get("signals", {}), said.get("signals", {})
    if isinstance(own, dict) and all(isinstance(by_name, dict) for by_name in own.values()):
        own = {scope: {**signals.get(scope, {}), **own.get(scope, {})} for scope in {**signals, **own}}
    return {**base, **said, "signals": own}
