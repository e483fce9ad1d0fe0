"""Custom resource definitions of the serving stacks, as far as scaling goes.

The files list kinds by the fields that their projects publish: where the count is, what surrounds it, and what it may
be. `definition_of` makes whole CustomResourceDefinitions of them, which a real API server takes as well.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

JsonObject = dict[str, Any]

_OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_SCHEMA_KEYS = {"type", "minimum", "maximum", "default", "enum"}


@cache
def _kinds() -> dict[str, JsonObject]:
    found: dict[str, JsonObject] = {}
    for entry in files(__package__).iterdir():
        if entry.name.endswith(".yaml"):
            for kind in yaml.safe_load(entry.read_text(encoding="utf-8")):
                found[f"{kind['kind']}.{kind['group']}"] = kind
    return found


def definition_of(kind: str, versions: Collection[str] = ()) -> JsonObject:
    """The definition of a kind.

    Args:
        kind: Kind and group, as in `LeaderWorkerSet.leaderworkerset.x-k8s.io`.
        versions: Versions to serve; empty for all.
    """
    listed = _kinds()[kind]
    served = {name: spec for name, spec in listed["versions"].items() if not versions or name in versions}
    names = {"kind": listed["kind"], "plural": listed["plural"], "singular": listed["kind"].lower()}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{listed['plural']}.{listed['group']}"},
        "spec": {
            "group": listed["group"],
            "scope": "Namespaced",
            "names": {**names, "listKind": f"{listed['kind']}List"},
            "versions": [
                _version(name, spec, listed, storage=index == 0) for index, (name, spec) in enumerate(served.items())
            ],
        },
    }


def manifest(kind: str, name: str, spec: JsonObject, *, version: str = "", **metadata: Any) -> JsonObject:
    """An object of a kind, in its first version unless another is named."""
    listed = _kinds()[kind]
    api_version = f"{listed['group']}/{version or next(iter(listed['versions']))}"
    return {"apiVersion": api_version, "kind": listed["kind"], "metadata": {"name": name, **metadata}, "spec": spec}


def plural_of(kind: str) -> str:
    """The plural of a kind, as paths carry it."""
    return str(_kinds()[kind]["plural"])


def _version(name: str, spec: JsonObject, listed: JsonObject, *, storage: bool) -> JsonObject:
    subresources: JsonObject = {"status": {}}
    if "scale" in listed:
        subresources["scale"] = {path: f".{dotted}" for path, dotted in listed["scale"].items()}
    schema = {"type": "object", "properties": {"spec": _schema(spec), "status": _OPEN}}
    return {
        "name": name,
        "served": True,
        "storage": storage,
        "subresources": subresources,
        "schema": {"openAPIV3Schema": schema},
    }


def _schema(short: Any) -> JsonObject:
    """A schema from its short form.

    `open` is any object, `count` a number from 0, another text a type; a mapping of a schema's keys is one already,
    with `each` it is a map, and any other an object with these fields; a list of one is a list of such entries.
    """
    if short == "open":
        return _OPEN
    if short == "count":
        return {"type": "integer", "minimum": 0}
    if isinstance(short, str):
        return {"type": short}
    if isinstance(short, list):
        return {"type": "array", "items": _schema(short[0])}
    if isinstance(short.get("type"), str) and short.keys() <= _SCHEMA_KEYS:
        return dict(short)
    if "each" in short:
        return {"type": "object", "additionalProperties": _schema(short["each"])}
    return {"type": "object", "properties": {name: _schema(inner) for name, inner in short.items()}}
