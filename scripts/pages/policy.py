"""The reference of the scaling policy, from its JSON Schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from autoscaler.config.schema import json_schema
from scripts.pages.markdown import code, page, table

_INTRODUCTION = """
Every key of a scaling policy, with its unit, its default and why it is that. Unknown keys are errors, and so are values
with the wrong unit; the message names the path, what is allowed and the nearest name. Editors complete and check a
policy with the schema that `pd-autoscaler schema` prints.

Durations carry a unit (`50ms`, `2s`, `1h30m`), shares are written `15%` or `0.15`, percentiles `p95`, `95%` or `0.95`.
`<role>` stands for `prefill` and `decode`.
"""
_ROLE = re.compile(r"\broles\.(prefill|decode)\b")
_HEAD = ("key", "value", "default", "meaning")
_REQUIRED = re.compile(r"\s*Required\.$")


@dataclass(frozen=True, slots=True)
class _Part:
    """One mapping of the document: where it stands, and its schema."""

    paths: tuple[str, ...]
    schema: dict[str, Any]


def policy_page() -> str:
    """The page."""
    schema = json_schema()
    sections = [
        (
            f"## {', '.join(map(code, part.paths)) or 'The document'}",
            part.schema.get("description", ""),
            _table(part, schema),
        )
        for part in _parts(schema)
    ]
    return page("# Policy", _INTRODUCTION.strip(), *(block for section in sections for block in section))


def _parts(schema: dict[str, Any]) -> Iterator[_Part]:
    """Each mapping once, with every place where it may stand, in the order of the document."""
    places: dict[str, list[str]] = {}
    _walk(schema, "", schema["$defs"], places)
    yield _Part((), schema)
    for name, paths in places.items():
        if "properties" in schema["$defs"][name]:
            yield _Part(tuple(paths), schema["$defs"][name])


def _walk(found: dict[str, Any], path: str, defs: dict[str, Any], places: dict[str, list[str]]) -> None:
    for key, value in found.get("properties", {}).items():
        for name in _references(value):
            ending = "[]" if value.get("type") == "array" else ""
            place = _ROLE.sub("roles.<role>", f"{path}.{key}".lstrip(".") + ending)
            if place not in places.setdefault(name, []):
                places[name].append(place)
            _walk(defs[name], place, defs, places)


def _references(value: dict[str, Any]) -> Iterator[str]:
    for holder in (value, value.get("items", {}), *value.get("anyOf", ())):
        if "$ref" in holder:
            yield holder["$ref"].rpartition("/")[2]


def _table(part: _Part, schema: dict[str, Any]) -> list[str]:
    required = part.schema.get("required", [])
    rows = []
    for key, value in part.schema["properties"].items():
        text = value.get("description", "")
        default = "required" if key in required else _default(value)
        rows.append((code(key), _kind(value, schema["$defs"]), default, _REQUIRED.sub("", text)))
    return table(_HEAD, rows)


def _default(value: dict[str, Any]) -> str:
    given = value.get("default")
    if given in (None, {}, []):
        return ""
    return code(given if isinstance(given, str) else json.dumps(given))


def _kind(value: dict[str, Any], defs: dict[str, Any]) -> str:
    """What may stand there, in words."""
    for name in _references(value):
        if "enum" in defs[name]:
            return " or ".join(code(str(word)) for word in defs[name]["enum"])
        return "list" if value.get("type") == "array" else "mapping"
    texts = [_kind_of(one) for one in value.get("anyOf", [value])]
    examples = [code(str(example)) for example in value.get("examples", ())[:1]]
    return f"{' or '.join(dict.fromkeys(texts))}{', such as ' if examples else ''}{''.join(examples)}"


def _kind_of(schema: dict[str, Any]) -> str:
    if "const" in schema:
        return code(str(schema["const"]))
    if "enum" in schema:
        return " or ".join(code(str(word)) for word in schema["enum"])
    if schema.get("type") == "string" and "(d|h|m|s|ms)" in schema.get("pattern", ""):
        return "duration"
    words = {"integer": "whole number", "object": "mapping", "array": "list", "boolean": "`true` or `false`"}
    kind = words.get(schema.get("type", ""), schema.get("type", "any"))
    low, high = (
        schema.get("minimum", schema.get("exclusiveMinimum")),
        schema.get("maximum", schema.get("exclusiveMaximum")),
    )
    least = f"{'more than' if 'exclusiveMinimum' in schema else 'from'} {low:,}" if low is not None else ""
    most = f"{'below' if 'exclusiveMaximum' in schema else 'to'} {high:,}" if high is not None else ""
    return " ".join(word for word in (kind, least, most) if word)
