"""Who wrote which field: managedFields and server-side apply.

Simpler than the real thing in one point: a list is owned whole, never entry by entry.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from tests.support.kube_api.errors import ApiError

JsonObject = dict[str, Any]
Path = tuple[str, ...]

_NOT_OWNED = {"name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"}


def leaves(document: JsonObject) -> dict[Path, Any]:
    """Every owned field of an object with its value."""
    found: dict[Path, Any] = {}
    for key, value in document.items():
        if key == "metadata":
            found.update(_leaves({k: v for k, v in value.items() if k not in _NOT_OWNED}, ("metadata",)))
        elif key not in {"apiVersion", "kind"}:
            found.update(_leaves(value, (key,)))
    return found


def _leaves(value: Any, path: Path) -> dict[Path, Any]:
    if not isinstance(value, dict) or not value:
        return {path: value} if len(path) > 1 or not isinstance(value, dict) else {}
    found: dict[Path, Any] = {}
    for key, inner in value.items():
        found.update(_leaves(inner, (*path, key)))
    return found


def encode(paths: Iterable[Path]) -> JsonObject:
    """Paths as `fieldsV1`."""
    root: JsonObject = {}
    for path in sorted(paths):
        node = root
        for part in path:
            node = node.setdefault(f"f:{part}", {})
    return root


def decode(fields: JsonObject, prefix: Path = ()) -> set[Path]:
    """The paths of a `fieldsV1`."""
    if not fields:
        return {prefix} if prefix else set()
    return {path for key, inner in fields.items() for path in decode(inner, (*prefix, key.removeprefix("f:")))}


def record_update(old: JsonObject, new: JsonObject, manager: JsonObject) -> None:
    """Give the fields that changed to the manager of an update, and take them from all others.

    Args:
        old: The object as it was; empty for a create.
        new: The object as it is to be; its managedFields are rewritten.
        manager: The entry's head: manager, operation, apiVersion, time, perhaps subresource.
    """
    before, after = leaves(old), leaves(new)
    changed = {path for path, value in after.items() if path not in before or before[path] != value}
    _assign(new, manager, changed, present=set(after))


def apply(current: JsonObject, configuration: JsonObject, manager: JsonObject, *, force: bool) -> JsonObject:
    """Server-side apply of a configuration.

    Raises:
        ApiError: 409 when another manager owns a field with another value and `force` is off.
    """
    wanted, present = leaves(configuration), leaves(current)
    entries = current.get("metadata", {}).get("managedFields", [])
    others = {
        path: entry for entry in entries if not _same(entry, manager) for path in decode(entry.get("fieldsV1", {}))
    }
    clashes = [path for path in wanted if path in others and present.get(path) != wanted[path]]
    if clashes and not force:
        raise _apply_conflict(clashes, others)
    mine = {path for entry in entries if _same(entry, manager) for path in decode(entry.get("fieldsV1", {}))}
    result = copy.deepcopy(current)
    for path in mine - set(wanted) - set(others):
        _delete(result, path)
    for path, value in wanted.items():
        _set(result, path, copy.deepcopy(value))
    _assign(result, manager, set(wanted), present=set(leaves(result)), exclusive=set(clashes))
    return result


def _assign(
    document: JsonObject,
    manager: JsonObject,
    paths: set[Path],
    *,
    present: set[Path],
    exclusive: set[Path] | None = None,
) -> None:
    taken = paths if exclusive is None else exclusive
    kept, mine = [], set(paths)
    for entry in document.get("metadata", {}).get("managedFields", []):
        owned = decode(entry.get("fieldsV1", {}))
        if _same(entry, manager):
            mine |= owned if exclusive is None else set()
            continue
        if rest := (owned - taken) & present:
            kept.append({**entry, "fieldsV1": encode(rest)})
    if mine & present:
        kept.append({**manager, "fieldsType": "FieldsV1", "fieldsV1": encode(mine & present)})
    document["metadata"]["managedFields"] = kept


def _same(entry: JsonObject, manager: JsonObject) -> bool:
    return all(entry.get(key) == manager.get(key) for key in ("manager", "operation", "apiVersion", "subresource"))


def _apply_conflict(clashes: list[Path], others: dict[Path, JsonObject]) -> ApiError:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f'conflict with "{others[path]["manager"]}" using {others[path]["apiVersion"]}',
            "field": "." + ".".join(path),
        }
        for path in clashes
    ]
    count = f"{len(causes)} conflict" + ("s" if len(causes) > 1 else "")
    listed = ", ".join(f"{cause['message']}: {cause['field']}" for cause in causes)
    return ApiError(409, "Conflict", f"Apply failed with {count}: {listed}", {"causes": causes})


def _set(document: JsonObject, path: Path, value: Any) -> None:
    for part in path[:-1]:
        document = document.setdefault(part, {})
    document[path[-1]] = value


def _delete(document: JsonObject, path: Path) -> None:
    for part in path[:-1]:
        document = document.get(part, {})
    document.pop(path[-1], None)
