"""What an API server answered, read from its text; a proxy that answers in its place is found out here."""

from __future__ import annotations

import json

from autoscaler.targets.kubernetes.errors import KubeError, Operation, UnavailableError
from autoscaler.targets.kubernetes.refs import JsonObject


def object_in(operation: Operation, text: str) -> JsonObject:
    """The object that an answer is.

    Raises:
        UnavailableError: It is none.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise no_object(operation, text)
    return document


def items_in(operation: Operation, answer: JsonObject) -> list[JsonObject]:
    """The objects of a list. One taken for empty would say that they are all gone.

    Raises:
        UnavailableError: It is no list.
    """
    items = answer.get("items", ...)
    if items is None:
        return []
    if not isinstance(items, list):
        raise no_object(operation, json.dumps(answer))
    return items


def no_object(operation: Operation, text: str) -> KubeError:
    """The error of an answer that no API server gives."""
    said = f"the answer is no Kubernetes object, is this an API server? It begins {text[:100]!r}"
    return UnavailableError(operation, None, said)
