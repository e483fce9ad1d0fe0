"""Changes one value inside a YAML or JSON text and leaves every other character as it is."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from autoscaler.targets.kubernetes.paths import Entry, Path, Step

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_NOT_TEXT = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


class EditError(ValueError):
    """A text in which the value cannot be changed; says why."""


def value_at(text: str, path: Path) -> Any:
    """The one value at a path.

    Raises:
        EditError: The text is no YAML, or has no such value, or several.
    """
    return yaml.safe_load(_written(text, path))


def replace_value(text: str, path: Path, value: int | str) -> str:
    """The text with the one value at a path changed.

    Raises:
        EditError: As `value_at`; or another value would change with it, as behind an anchor.
    """
    node = _the_scalar(text, path)
    changed = text[: node.start_mark.index] + _rendered(node, value) + text[node.end_mark.index :]
    wanted = _with_value(_documents(text), path, value)
    try:
        same = _documents(changed) == wanted
    except EditError:
        same = False
    if not same:
        raise EditError(f"{path} cannot be changed alone: write its value out where it is used, without an anchor")
    return changed


def names_of_entry(text: str, path: Path) -> frozenset[str]:
    """Name and type of the entry of a list that a path goes through last.

    Raises:
        EditError: There is no such entry, or several.
    """
    last = max(depth for depth, step in enumerate(path.steps) if isinstance(step, Entry))
    nodes = _nodes(text, path.steps[: last + 1])
    if len(nodes) != 1:
        raise EditError(_count_words(Path(path.steps[: last + 1]), len(nodes)))
    return frozenset(name for field in ("name", "type") if (name := _field(nodes[0], field)))


def _documents(text: str) -> list[Any]:
    try:
        return list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        raise EditError(f"is no YAML: {' '.join(str(error).split())}") from error


def _written(text: str, path: Path) -> str:
    node = _the_scalar(text, path)
    return text[node.start_mark.index : node.end_mark.index]


def _the_scalar(text: str, path: Path) -> ScalarNode:
    scalars = [node for node in _nodes(text, path.steps) if isinstance(node, ScalarNode)]
    if len(scalars) != 1:
        raise EditError(_count_words(path, len(scalars)))
    return scalars[0]


def _nodes(text: str, steps: tuple[Step, ...]) -> list[Node]:
    try:
        nodes: list[Node] = list(yaml.compose_all(text, yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise EditError(f"is no YAML: {' '.join(str(error).split())}") from error
    for step in steps:
        nodes = [child for node in nodes for child in _children(node, step)]
    return nodes


def _count_words(path: Path, count: int) -> str:
    if count:
        return f"has {count} values at {path}, and exactly one is wanted: remove or rename the others"
    return f"has no value at {path}, and exactly one is wanted: write it out once, with its present value"


def _children(node: Node, step: Step) -> list[Node]:
    if isinstance(step, Entry):
        entries = node.value if isinstance(node, SequenceNode) else []
        return [entry for entry in entries if _field(entry, step.field) == step.value.text]
    pairs = node.value if isinstance(node, MappingNode) else []
    return [value for key, value in pairs if key.value == step.name.text]


def _field(entry: Node, name: str) -> str | None:
    pairs = entry.value if isinstance(entry, MappingNode) else []
    return next((str(value.value) for key, value in pairs if key.value == name), None)


def _rendered(node: ScalarNode, value: int | str) -> str:
    """A value as it is written: as a word where the old one was, in quotes where those were or are needed."""
    if isinstance(value, int):
        return str(value)
    plain = node.style is None and _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT
    return value if plain else json.dumps(value)


def _with_value(documents: list[Any], path: Path, value: int | str) -> list[Any]:
    changed = copy.deepcopy(documents)
    *above, last = path.steps
    for document in changed:
        holder = Path(tuple(above)).find(document) if above else document
        if isinstance(holder, dict) and not isinstance(last, Entry) and last.name.text in holder:
            holder[last.name.text] = value
    return changed
