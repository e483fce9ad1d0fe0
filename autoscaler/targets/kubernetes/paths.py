"""Where a field is inside an object: `spec.roles[name=prefill].replicas`, `metadata.annotations["ome.io/class"]`.

A path may hold placeholders such as `{entry}`, filled in step by step, so that no value changes the path's shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from autoscaler.targets.kubernetes.refs import JsonObject
from autoscaler.targets.kubernetes.templates import Template

_STEP = re.compile(
    r"(?P<dot>\.?)(?P<key>[A-Za-z0-9_{}-]+)"
    r'|\["(?P<quoted>[^"\]]+)"\]'
    r"|\[(?P<field>[A-Za-z0-9_]+)=(?P<value>[^\[\]=]+)\]"
)


class PathError(ValueError):
    """A path that is none; names it, the place and what may stand there."""


class MissingFieldError(Exception):
    """An object has no such field.

    Attributes:
        path: The field that was looked for.
        present: The part of it that the object has.
    """

    def __init__(self, path: Path, present: Path, why: str = "") -> None:
        self.path = path
        self.present = present
        absent = Path(path.steps[: len(present.steps) + 1])
        super().__init__(why or f"has no {absent}")


@dataclass(frozen=True, slots=True)
class Key:
    """A step into an object."""

    name: Template


@dataclass(frozen=True, slots=True)
class Entry:
    """A step into a list: to the one entry whose `field` is `value`."""

    field: str
    value: Template


Step = Key | Entry


@dataclass(frozen=True, slots=True)
class Place:
    """A field of one object as it is now.

    Attributes:
        pointer: JSON pointer (RFC 6901) with the indices of the lists passed through.
        value: None where the field is absent, though what would hold it is there.
        guards: Pointers and values of what chose those indices; as long as they hold, the pointer means the same field.
    """

    pointer: str
    value: Any
    guards: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Path:
    """A sequence of steps from the top of an object."""

    steps: tuple[Step, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a path as it is written in a spec.

        Raises:
            PathError: It is none.
        """
        steps: list[Step] = []
        position = 0
        while position < len(text):
            found = _STEP.match(text, position)
            if found is None or (found["key"] is not None and bool(found["dot"]) is not bool(steps)):
                raise PathError(
                    f"{text!r} is no path at {text[position:]!r}: keys separated by dots, "
                    '["a key with dots"], or [name=value] for an entry of a list'
                )
            key = found["key"] or found["quoted"]
            steps.append(Key(Template(key)) if key else Entry(found["field"], Template(found["value"])))
            position = found.end()
        if not steps or isinstance(steps[0], Entry):
            raise PathError(f"{text!r} is no path: it starts with a key, as in spec.replicas")
        return cls(tuple(steps))

    @property
    def placeholders(self) -> frozenset[str]:
        """Names of the placeholders in it."""
        texts = [step.name if isinstance(step, Key) else step.value for step in self.steps]
        return frozenset(name for text in texts for name in text.placeholders)

    @property
    def through_list(self) -> bool:
        """Whether it goes through an entry of a list."""
        return any(isinstance(step, Entry) for step in self.steps)

    def fill(self, values: Mapping[str, str]) -> Path:
        """The path with its placeholders replaced."""
        return Path(
            tuple(
                Key(Template(step.name.fill(values)))
                if isinstance(step, Key)
                else Entry(step.field, Template(step.value.fill(values)))
                for step in self.steps
            )
        )

    def find(self, document: JsonObject) -> Any:
        """The value in a document; None where there is none."""
        try:
            return self.locate(document).value
        except MissingFieldError:
            return None

    def locate(self, document: JsonObject) -> Place:
        """Find the field, or the place where it would be.

        Raises:
            MissingFieldError: What would hold it is not there, or a list has several entries of that name.
        """
        node: Any = document
        pointer, guards = "", []
        for depth, step in enumerate(self.steps):
            held = node
            if isinstance(step, Key):
                if not isinstance(held, dict):
                    raise MissingFieldError(self, self._present(held, depth))
                node = held.get(step.name.text)
                pointer += f"/{_escaped(step.name.text)}"
            else:
                index = self._index(held, step, depth)
                node = held[index]
                pointer += f"/{index}"
                guards.append((f"{pointer}/{_escaped(step.field)}", step.value.text))
        return Place(pointer, node, tuple(guards))

    def nest(self, value: Any) -> JsonObject:
        """A document that holds this field alone, for a merge patch; the path goes through no list."""
        nested = value
        for step in reversed(self.steps):
            if isinstance(step, Entry):
                raise TypeError(f"{self} goes through a list, which a merge patch would replace whole")
            nested = {step.name.text: nested}
        return dict(nested)

    def _index(self, held: Any, step: Entry, depth: int) -> int:
        present = Path(self.steps[:depth])
        if not isinstance(held, list):
            raise MissingFieldError(self, self._present(held, depth))
        names = [entry.get(step.field) if isinstance(entry, dict) else None for entry in held]
        found = [index for index, name in enumerate(names) if name == step.value.text]
        if len(found) == 1:
            return found[0]
        if found:
            raise MissingFieldError(self, present, f"has {len(found)} entries {step.value.text!r} in {present}")
        there = ", ".join(str(name) for name in names if name is not None) or "none"
        raise MissingFieldError(
            self, present, f"has no entry of {step.field} {step.value.text!r} in {present}: there are {there}"
        )

    def _present(self, held: Any, depth: int) -> Path:
        """The steps that lead somewhere, when what the first `depth` lead to holds nothing."""
        return Path(self.steps[: depth if held is not None else max(depth - 1, 0)])

    def __str__(self) -> str:
        text = ""
        for step in self.steps:
            if isinstance(step, Entry):
                text += f"[{step.field}={step.value.text}]"
            elif re.fullmatch(r"[A-Za-z0-9_{}-]+", step.name.text):
                text += f".{step.name.text}" if text else step.name.text
            else:
                text += f'["{step.name.text}"]'
        return text


def guarded_patch(
    uid: str, fields: Iterable[tuple[str, Any]], guards: Iterable[tuple[str, str]], wanted: Any
) -> list[JsonObject]:
    """A JSON patch (RFC 6902) that sets fields of an object if they are still as they were read.

    An absent field cannot be tested, and is added.

    Args:
        uid: Of the object.
        fields: JSON pointers, each with its value then; None for an absent one.
        guards: Pointers and values that must still hold, see `Place.guards`.
        wanted: The new value.
    """
    tests: list[JsonObject] = [{"op": "test", "path": "/metadata/uid", "value": uid}]
    tests += [{"op": "test", "path": pointer, "value": value} for pointer, value in guards]
    writes: list[JsonObject] = []
    for pointer, value in fields:
        if value is not None:
            tests.append({"op": "test", "path": pointer, "value": value})
        writes.append({"op": "add" if value is None else "replace", "path": pointer, "value": wanted})
    return tests + writes


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")
