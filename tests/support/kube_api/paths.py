"""Reading and writing nested JSON objects by dotted path."""

from __future__ import annotations

from typing import Any

JsonObject = dict[str, Any]


def lookup(document: JsonObject, dotted: str) -> Any:
    """The value at a dotted path, or None."""
    value: Any = document
    for key in dotted.split("."):
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value


def assign(document: JsonObject, dotted: str, value: Any) -> None:
    """Set the value at a dotted path, making the objects on the way."""
    *parents, last = dotted.split(".")
    for key in parents:
        document = document.setdefault(key, {})
    document[last] = value
