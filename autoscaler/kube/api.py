"""Requests of the daemon for its own objects: create, replace, list and watch, with errors in words.

Beside `targets`' client, which reads and patches the workloads, so that each has its own connections: a lease must be
renewed in time even while every connection to read pods with is in use.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kubernetes.client import ApiClient, Configuration

from autoscaler.targets.kubernetes.answers import items_in, object_in
from autoscaler.targets.kubernetes.client import FIELD_MANAGER, failures_in_words, send
from autoscaler.targets.kubernetes.connection import SERVICE_ACCOUNT_DIR
from autoscaler.targets.kubernetes.errors import Operation, error_of
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef

_METHODS = {"get": "GET", "list": "GET", "watch": "GET", "create": "POST", "update": "PUT", "patch": "PATCH"}
# A watch that says nothing ends by itself after the time that was asked for; its socket waits a little longer.
_WATCH_GRACE_S = 5.0
_FIRST_ERROR = 300


def own_namespace() -> str | None:
    """The namespace of the pod that we run in; None outside of one."""
    try:
        return (SERVICE_ACCOUNT_DIR / "namespace").read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


class KubeApi:
    """A connection to one API server; safe to share between threads.

    A failed request is not repeated here: who asked knows whether what it asked for is still wanted.

    Args:
        configuration: Address, certificates and credentials.
        timeout_s: How long a request may take to connect and to answer.
    """

    def __init__(self, configuration: Configuration, *, timeout_s: float = 5.0) -> None:
        configuration.retries = False
        self._api: Any = ApiClient(configuration)  # half of its methods carry no types
        self._api.user_agent = FIELD_MANAGER
        self._timeout_s = timeout_s

    def get(self, ref: ObjectRef) -> JsonObject:
        """Read one object.

        Raises:
            KubeError: See `targets.kubernetes.errors`; so for all methods.
        """
        return self._answer(Operation("get", ref))

    def list_all(self, ref: ObjectRef, *, label_selector: str = "") -> tuple[list[JsonObject], str]:
        """The objects of a collection, and the resource version that a watch goes on from.

        Raises:
            KubeError: See `errors`.
        """
        query = {"labelSelector": label_selector} if label_selector else {}
        operation = Operation("list", ref)
        answer = self._answer(operation, query=query)
        version = str(answer.get("metadata", {}).get("resourceVersion", ""))
        return items_in(operation, answer), version

    def create(self, ref: ObjectRef, document: JsonObject) -> JsonObject:
        """Create an object; a ConflictError says that the name is taken."""
        return self._answer(Operation("create", ref), body=document)

    def replace(self, ref: ObjectRef, document: JsonObject) -> JsonObject:
        """Replace an object if it is still at the resource version of the document."""
        return self._answer(Operation("update", ref), body=document)

    def merge(self, ref: ObjectRef, change: JsonObject, *, subresource: str = "") -> JsonObject:
        """Merge a change into an object (RFC 7386)."""
        operation = Operation("patch", ref, subresource)
        return self._answer(operation, body=change, content_type="application/merge-patch+json")

    def watch(self, ref: ObjectRef, *, since: str, timeout_s: float) -> Iterator[JsonObject]:
        """What happens in a collection, as `type` and `object`, until the server ends it.

        Args:
            ref: The collection.
            since: Resource version to go on from.
            timeout_s: When the server is to end it.

        Raises:
            KubeError: As above; `code` 410 when that version is forgotten: list again.
        """
        operation = Operation("watch", ref)
        query = {
            "watch": "true",
            "resourceVersion": since,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(max(round(timeout_s), 1)),
        }
        with self._opened(operation, query, None, "", timeout_s + _WATCH_GRACE_S) as lines:
            for line in lines:
                event = object_in(operation, line.decode(errors="replace"))
                if event.get("type") == "ERROR":
                    status = event.get("object", {})
                    raise error_of(operation, int(status.get("code") or 500), json.dumps(status), None)
                yield event

    def close(self) -> None:
        """Close idle connections."""
        self._api.close()

    def _answer(
        self,
        operation: Operation,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> JsonObject:
        with self._opened(operation, query or {}, body, content_type, self._timeout_s) as response:
            return object_in(operation, response.data.decode(errors="replace"))

    @contextmanager
    def _opened(
        self, operation: Operation, query: Mapping[str, str], body: Any, content_type: str, timeout_s: float
    ) -> Iterator[Any]:
        """The answer to a request, not read yet; whatever goes wrong until it is read becomes a KubeError."""
        writes = operation.verb in ("create", "update", "patch")
        with failures_in_words(operation, timeout_s):
            request = self._api.param_serialize(
                method=_METHODS[operation.verb],
                resource_path=_path(operation),
                query_params=[*query.items(), *([("fieldManager", FIELD_MANAGER)] if writes else [])],
                header_params={"Accept": "application/json"} | ({"Content-Type": content_type} if writes else {}),
                body=body,
                auth_settings=["BearerToken"],
            )
            response = send(self._api, operation, request, timeout_s)
            try:
                if response.status >= _FIRST_ERROR:
                    text = response.read().decode(errors="replace")
                    raise error_of(operation, response.status, text, response.headers.get("Retry-After"))
                yield response.response
            finally:
                response.response.close()


def _path(operation: Operation) -> str:
    ref = operation.ref
    if not ref.namespace:
        return f"/{'apis' if ref.group else 'api'}/{ref.api_version}/{ref.plural}"
    if operation.verb == "create":
        ref = ObjectRef(ref.api_version, ref.kind, ref.plural, ref.namespace)
    return ref.path(operation.subresource)
