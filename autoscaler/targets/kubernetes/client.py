"""Requests to the API server: plain JSON in and out, a timeout on each, no retries, errors in words."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import urllib3.exceptions
from kubernetes.client import ApiClient, ApiException, Configuration

from autoscaler.targets.kubernetes.answers import items_in, no_object, object_in
from autoscaler.targets.kubernetes.budget import RequestBudget
from autoscaler.targets.kubernetes.errors import (
    UNSENDABLE,
    FencedError,
    Operation,
    UnauthorizedError,
    UnavailableError,
    error_of,
)
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef

FIELD_MANAGER = "pd-autoscaler"
_JSON_PATCH = "application/json-patch+json"
_MERGE_PATCH = "application/merge-patch+json"
_LONGEST_REST_S = 120.0  # a number that is wrong must not stop us for long
_LEAST_TIMEOUT_S = 0.001  # none at all would be none to the libraries below
_METHODS = {"get": "GET", "list": "GET", "patch": "PATCH"}


class KubeClient:
    """A connection to one API server; safe to share between threads.

    A server that asks to be left alone for a while is: until then requests fail without being sent. Else, a failed
    request is not repeated: the next tick reads and decides again, which beats a late write of an old number.

    A change does not outlast its timeout: the wait for its turn counts, and the server is told by when to be done.

    Args:
        configuration: Address, certificates and credentials, see `connection`.
        timeout_s: How long a request may wait for its turn and its connection, and for each part of its answer.
        clock: Monotonic seconds.
        budget: How many requests may be sent; None for any number.
        may_write: Whether we are the one who writes; asked right before a change is sent.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        timeout_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        budget: RequestBudget | None = None,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        configuration.retries = False
        self._api: Any = ApiClient(configuration)  # half of its methods carry no types
        self._api.user_agent = FIELD_MANAGER
        self._timeout_s = timeout_s
        self._resume_s = float("-inf")
        self._clock = clock
        self._budget = budget
        self._may_write = may_write

    def get(self, ref: ObjectRef, subresource: str = "") -> JsonObject:
        """Read one object.

        Raises:
            KubeError: See `errors`.
        """
        operation = Operation("get", ref, subresource)
        document = self._request(operation)
        if not {"uid", "resourceVersion"} <= document.get("metadata", {}).keys():
            raise no_object(operation, json.dumps(document))
        return document

    def list_items(self, ref: ObjectRef, *, label_selector: str) -> list[JsonObject]:
        """Read the objects of a collection that a label selector matches.

        Raises:
            KubeError: See `errors`.
        """
        operation = Operation("list", ref)
        return items_in(operation, self._request(operation, query={"labelSelector": label_selector}))

    def patch(
        self, ref: ObjectRef, change: list[JsonObject] | JsonObject, *, subresource: str = "", dry_run: bool = False
    ) -> JsonObject:
        """Change one object, under our field manager's name.

        Args:
            ref: The object.
            change: A list is a JSON patch (RFC 6902), an object a merge patch (RFC 7386).
            subresource: Such as `scale`.
            dry_run: Let the server check everything and persist nothing.

        Raises:
            KubeError: See `errors`.
        """
        query = {"fieldManager": FIELD_MANAGER} | ({"dryRun": "All"} if dry_run else {})
        content_type = _JSON_PATCH if isinstance(change, list) else _MERGE_PATCH
        return self._request(Operation("patch", ref, subresource), query=query, body=change, content_type=content_type)

    def close(self) -> None:
        """Close idle connections."""
        self._api.close()

    def _wait_for_turn(self, operation: Operation) -> float:
        """Seconds that are left of the timeout once the request may be sent."""
        began_s = self._clock()
        rest_s = self._resume_s - began_s
        if rest_s > 0:
            raise UnavailableError(operation, None, "not asked, as the server wanted", retry_after_s=math.ceil(rest_s))
        if self._budget is not None and not self._budget.take(self._timeout_s):
            said = f"not asked: this daemon sends {self._budget.per_s:g} requests/s at most, and as many wait already"
            raise UnavailableError(operation, None, said)
        return max(self._timeout_s - (self._clock() - began_s), _LEAST_TIMEOUT_S)

    def _request(
        self, operation: Operation, *, query: Mapping[str, str] | None = None, body: Any = None, content_type: str = ""
    ) -> JsonObject:
        left_s = self._wait_for_turn(operation)
        asked = dict(query or {})
        if operation.verb == "patch":
            # The check before the wait says nothing any more, and a lease outlasts no more than one timeout.
            if not self._may_write():
                raise FencedError(operation, None, "not sent: the lease ran out before it")
            asked["timeout"] = f"{left_s:.3f}s"
        headers = {"Accept": "application/json"} | ({"Content-Type": content_type} if content_type else {})
        with failures_in_words(operation, self._timeout_s):
            request = self._api.param_serialize(
                method=_METHODS[operation.verb],
                resource_path=operation.ref.path(operation.subresource),
                query_params=list(asked.items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            response = send(self._api, operation, request, left_s)
            payload = response.read()
        text = payload.decode(errors="replace")
        if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
            refused = error_of(operation, response.status, text, response.headers.get("Retry-After"))
            self._resume_s = self._clock() + min(refused.retry_after_s or 0.0, _LONGEST_REST_S)
            raise refused
        return object_in(operation, text)


@contextmanager
def failures_in_words(operation: Operation, timeout_s: float) -> Iterator[None]:
    """Whatever keeps a request from its answer as an error of ours.

    Raises:
        UnavailableError: There is no answer; says why.
    """
    try:
        yield
    except urllib3.exceptions.NewConnectionError as error:
        raise UnavailableError(operation, None, f"no connection: {error}") from error
    except urllib3.exceptions.TimeoutError as error:
        raise UnavailableError(operation, None, f"no answer within {timeout_s:g} s") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:  # OSError: a token file that cannot be read
        raise UnavailableError(operation, None, f"the connection broke: {error}") from error
    except ApiException as error:  # the client's wrapping of a TLS failure
        reason = " ".join(str(error.reason).split())
        raise UnavailableError(operation, None, f"no TLS, check address and CA file: {reason}") from error


def send(api: ApiClient, operation: Operation, request: Any, timeout_s: float) -> Any:
    """Send a request, as `param_serialize` has made it, and give the answer, not read yet.

    Raises:
        UnauthorizedError: The token cannot be sent; its text is not told.
    """
    try:
        return api.call_api(*request, _request_timeout=timeout_s)  # type: ignore[misc]  # theirs has no types
    except urllib3.exceptions.HTTPError:  # some of them are ValueErrors, too
        raise
    except ValueError:
        raise UnauthorizedError(operation, None, UNSENDABLE) from None
