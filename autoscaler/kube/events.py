"""Events (core/v1), which `kubectl describe` shows under the object that they are about."""

from __future__ import annotations

import secrets
from typing import Protocol

from autoscaler.kube.times import time_text
from autoscaler.targets.kubernetes.errors import NotFoundError
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef

COMPONENT = "pd-autoscaler"
_LONGEST_MESSAGE = 1024
_LONGEST_NAME = 253


class EventApi(Protocol):
    """What posting an Event asks of the API server."""

    def create(self, ref: ObjectRef, document: JsonObject) -> JsonObject:
        """Create an object; a ConflictError says that the name is taken."""
        ...

    def merge(self, ref: ObjectRef, change: JsonObject, *, subresource: str = "") -> JsonObject:
        """Merge a change into an object (RFC 7386)."""
        ...


def post(
    api: EventApi, about: ObjectRef, uid: str, reason: str, message: str, at_s: float, *, warning: bool, instance: str
) -> ObjectRef:
    """Post an Event.

    Args:
        api: Where to.
        about: The object that it is about.
        uid: Of that object; without it `kubectl describe` does not find the Event.
        reason: One word in CamelCase.
        message: A sentence; see `shortened`.
        at_s: Unix time.
        warning: Whether somebody should look.
        instance: Which process says so.

    Returns:
        The Event, for `repeat`.

    Raises:
        KubeError: See `targets.kubernetes.errors`.
    """
    suffix = f".{secrets.token_hex(8)}"
    name = about.name[: _LONGEST_NAME - len(suffix)].rstrip("-.") + suffix
    ref = ObjectRef("v1", "Event", "events", about.namespace, name)
    involved = {"apiVersion": about.api_version, "kind": about.kind, "name": about.name, "namespace": about.namespace}
    now = time_text(at_s)
    document = {
        "apiVersion": ref.api_version,
        "kind": ref.kind,
        "metadata": {"name": name, "namespace": about.namespace},
        "involvedObject": {**involved, **({"uid": uid} if uid else {})},
        "reason": reason,
        "message": shortened(message),
        "type": "Warning" if warning else "Normal",
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": instance,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    api.create(ref, document)
    return ref


def repeat(api: EventApi, event: ObjectRef, message: str, at_s: float, count: int) -> bool:
    """Say that an Event has come about again; false where it is gone by now, as Events are after an hour.

    Raises:
        KubeError: See `targets.kubernetes.errors`.
    """
    try:
        api.merge(event, {"count": count, "lastTimestamp": time_text(at_s), "message": shortened(message)})
    except NotFoundError:
        return False
    return True


def shortened(message: str, ending: str = "") -> str:
    """A message as long as the server takes one, in bytes: what is too long is cut off before its ending."""
    raw, most = message.encode(), _LONGEST_MESSAGE - len(ending.encode())
    return (message if len(raw) <= most else raw[: most - 3].decode(errors="ignore") + "…") + ending
