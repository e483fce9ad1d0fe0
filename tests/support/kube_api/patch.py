"""The patch formats: JSON patch (RFC 6902), merge patch (RFC 7386) and strategic merge."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from tests.support.kube_api.errors import bad_request, patch_does_not_apply

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

JsonObject = dict[str, Any]


def merge_patch(target: Any, patch: Any) -> Any:
    """Merge by RFC 7386: null deletes, lists are replaced whole."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


# The server takes these from its Go types; lists that are not named here are replaced whole.
_MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "ports": "containerPort",
    "conditions": "type",
    "ownerReferences": "uid",
    "containerStatuses": "name",
}


def strategic_merge(target: Any, patch: Any, field: str = "") -> Any:
    """Merge like RFC 7386, but entries of known lists by their key; `$patch: delete` removes one."""
    if isinstance(patch, list):
        key = _MERGE_KEYS.get(field)
        return copy.deepcopy(patch) if key is None else _merge_entries(target or [], patch, key)
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = strategic_merge(merged.get(name), value, name)
    return merged


def _merge_entries(target: list[JsonObject], patch: list[JsonObject], key: str) -> list[JsonObject]:
    entries = {entry.get(key): entry for entry in target}
    for change in patch:
        if change.get("$patch") == "delete":
            entries.pop(change.get(key), None)
        else:
            entries[change.get(key)] = strategic_merge(entries.get(change.get(key)), change)
    return list(entries.values())


def json_patch(document: JsonObject, operations: Any) -> JsonObject:
    """Apply the operations in order, all or none.

    Raises:
        ApiError: 400 for what is no patch, 422 for a failed `test` or a path that does not exist.
    """
    if not isinstance(operations, list):
        raise bad_request("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    result = copy.deepcopy(document)
    for operation in operations:
        apply = _OPERATIONS.get(operation.get("op"))
        if apply is None or not isinstance(operation.get("path"), str):
            raise patch_does_not_apply()
        apply(result, operation)
    return result


def _add(document: JsonObject, operation: JsonObject) -> None:
    parent, key = _parent(document, operation["path"])
    if isinstance(parent, list):
        parent.insert(len(parent) if key == "-" else _index(key, len(parent)), operation["value"])
    else:
        parent[key] = operation["value"]


def _remove(document: JsonObject, operation: JsonObject) -> None:
    parent, key = _existing(document, operation["path"])
    del parent[key]


def _replace(document: JsonObject, operation: JsonObject) -> None:
    parent, key = _existing(document, operation["path"])
    parent[key] = operation["value"]


def _test(document: JsonObject, operation: JsonObject) -> None:
    parent, key = _existing(document, operation["path"])
    if parent[key] != operation.get("value"):
        raise patch_does_not_apply()


_OPERATIONS: dict[Any, Callable[[JsonObject, JsonObject], None]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "test": _test,
}


def _parent(document: JsonObject, pointer: str) -> tuple[Any, str]:
    """The object or list that a pointer ends in, and the last part of the pointer."""
    *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    node: Any = document
    for part in parents:
        if isinstance(node, list):
            node = node[_index(part, len(node) - 1)]
        elif isinstance(node, dict) and part in node:
            node = node[part]
        else:
            raise patch_does_not_apply()
    if not isinstance(node, dict | list):
        raise patch_does_not_apply()
    return node, last


def _existing(document: JsonObject, pointer: str) -> tuple[Any, str | int]:
    """As `_parent`, with what is there under the key: a list has an int for it, an object a str."""
    parent, key = _parent(document, pointer)
    if isinstance(parent, list):
        return parent, _index(key, len(parent) - 1)
    if key not in parent:
        raise patch_does_not_apply()
    return parent, key


def _index(part: str, last: int) -> int:
    if not part.isdigit() or int(part) > last:
        raise patch_does_not_apply()
    return int(part)
