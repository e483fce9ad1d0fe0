"""Who wrote a field, by the record that the API server keeps in `metadata.managedFields`."""

from __future__ import annotations

import json
from dataclasses import dataclass

from autoscaler.targets.kubernetes.paths import Entry, Path, Step
from autoscaler.targets.kubernetes.refs import JsonObject


@dataclass(frozen=True, slots=True)
class FieldOwner:
    """One manager of a field.

    Attributes:
        manager: The name that it writes under.
        operation: Update or Apply.
        at: When it last wrote, RFC 3339; empty where that is not recorded.
    """

    manager: str
    operation: str
    at: str


def owners_of(document: JsonObject, path: Path) -> tuple[FieldOwner, ...]:
    """The managers that own a field, the one that wrote last first."""
    entries = document.get("metadata", {}).get("managedFields", [])
    owners = [
        FieldOwner(entry.get("manager", "unknown"), entry.get("operation", ""), entry.get("time", ""))
        for entry in entries
        if _owns(entry.get("fieldsV1", {}), path.steps)
    ]
    return tuple(sorted(owners, key=lambda owner: owner.at, reverse=True))


def last_writer(document: JsonObject, path: Path) -> str:
    """The manager that wrote a field last; empty where nobody is recorded."""
    return next((owner.manager for owner in owners_of(document, path)), "")


def _owns(fields: JsonObject, steps: tuple[Step, ...]) -> bool:
    """Follow the steps into `fieldsV1`; what ends before them is owned whole, as a list without keys is."""
    node = fields
    for depth, step in enumerate(steps):
        if not node:
            return depth > 0
        key = _key_of(node, step) if isinstance(step, Entry) else f"f:{step.name.text}"
        if key not in node:
            return False
        node = node[key]
    return True


def _key_of(node: JsonObject, step: Entry) -> str:
    """The key of a list's entry, written `k:{"name":"prefill"}`."""
    wanted = (step.field, step.value.text)
    return next(
        (key for key in node if key.startswith("k:") and wanted in json.loads(key.removeprefix("k:")).items()), ""
    )
