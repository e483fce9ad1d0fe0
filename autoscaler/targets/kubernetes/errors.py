"""What can go wrong between us and the API server, in words for the person who has to mend it.

    KubeError
    ├── UnauthorizedError  401: the token is not accepted
    ├── ForbiddenError     403: a role lacks a verb
    ├── NotFoundError      404: no such object, or no such kind
    ├── ConflictError      409: the object is not the one that was read
    ├── RejectedError      other 3xx and 4xx: the server understood and refused (400, 415, 422, admission)
    ├── FencedError        not sent: we are not the one who writes any more
    └── UnavailableError   429, 5xx, timeout, connection, no JSON: unknown whether a write was applied

Each says what was asked, what came back, and what to do next.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar

from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef

# The API server words every refusal of its authorizers so; a 403 without it comes from admission or quota.
_MISSING_VERB = re.compile(r" cannot \w+ resource ")
_LONGEST_MESSAGE = 500
UNSENDABLE = "no request can carry the token: it holds a line break, or a character that is none of Latin-1's"
"""What is wrong where the HTTP library refuses a header; its own words quote the token."""
SHAPE_ERRORS = (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What taking apart an object raises that is not of the form of its kind, as of kinds without a schema."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A request in the words of a role.

    Attributes:
        verb: get, list or patch.
        ref: The object or collection.
        subresource: Such as `scale`; empty for the object itself.
    """

    verb: str
    ref: ObjectRef
    subresource: str = ""

    @property
    def resource(self) -> str:
        """As a role lists it: `deployments/scale`."""
        return f"{self.ref.plural}/{self.subresource}" if self.subresource else self.ref.plural

    def __str__(self) -> str:
        place = f"{self.ref.namespace}/{self.ref.name}" if self.ref.name else f"in namespace {self.ref.namespace}"
        return f"{self.verb} {self.resource} {place}"


class KubeError(Exception):
    """A request to the API server that failed.

    Attributes:
        operation: What was asked.
        code: HTTP code; None when no answer came.
        said: The server's words, or what happened instead of an answer.
        retry_after_s: How long the server asks to wait; None when it did not say.
    """

    advice: ClassVar[str] = ""

    def __init__(
        self, operation: Operation, code: int | None, said: str, *, retry_after_s: float | None = None
    ) -> None:
        self.operation = operation
        self.code = code
        self.said = said
        self.retry_after_s = retry_after_s
        answer = f"HTTP {code}: {said}" if code is not None else said
        advice = self._advice()
        super().__init__(f"{operation}: {answer}" + (f"; {advice}" if advice else ""))

    def _advice(self) -> str:
        return self.advice


class UnauthorizedError(KubeError):
    """401: the token is not accepted."""

    advice = "the token is wrong or has expired: check the service account, or the user in the kubeconfig"


class ForbiddenError(KubeError):
    """403: a role lacks a verb."""

    def _advice(self) -> str:
        operation = self.operation
        group = operation.ref.group or "core"
        return (
            f"missing verb {operation.verb} on {operation.resource} (API group {group}) in namespace "
            f"{operation.ref.namespace}: add it to the Role, `pd-autoscaler rbac` prints it"
        )


class NotFoundError(KubeError):
    """404: no such object, or no such kind."""

    @property
    def unserved(self) -> bool:
        """Whether it is the kind or its version that the server does not know."""
        return "page not found" in self.said  # what the server says of a path that it does not know

    def _advice(self) -> str:
        ref, subresource = self.operation.ref, self.operation.subresource
        if self.unserved:
            return f"the server has no {self.operation.resource} in {ref.api_version}: is its CRD installed and served?"
        offered = f", and has its kind the subresource {subresource}" if subresource else ""
        return f"is {ref.kind} {ref.name} the right name, and {ref.namespace} its namespace{offered}?"


class ConflictError(KubeError):
    """409: the object is not the one that was read."""

    advice = "it changed since it was read: decide again on what it is now"


class RejectedError(KubeError):
    """The server understood and refused."""

    advice = "the same request will be refused again: change what is asked, or the rule that refuses it"


class FencedError(KubeError):
    """Not sent: we are not the one who writes any more."""

    advice = "nothing was changed, and whoever leads now decides"


class UnavailableError(KubeError):
    """429, 5xx, timeout, connection, no JSON: unknown whether a write was applied."""

    def _advice(self) -> str:
        if self.retry_after_s is not None:
            return f"the server asks to wait {self.retry_after_s:g} s"
        return "check that the API server is up and can be reached from here"


_BY_CODE: Mapping[int, type[KubeError]] = {
    HTTPStatus.UNAUTHORIZED: UnauthorizedError,
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.CONFLICT: ConflictError,
}


def error_of(operation: Operation, code: int, body: str, retry_after: str | None) -> KubeError:
    """The error that an answer other than 2xx stands for.

    Args:
        operation: What was asked.
        code: HTTP code.
        body: A Status object; a proxy in between may have sent anything else.
        retry_after: The header of that name.
    """
    said = _message_of(body)
    return _type_of(code, said)(operation, code, said, retry_after_s=_seconds(retry_after))


def _type_of(code: int, said: str) -> type[KubeError]:
    if code == HTTPStatus.TOO_MANY_REQUESTS or code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return UnavailableError
    if code == HTTPStatus.FORBIDDEN:
        return ForbiddenError if _MISSING_VERB.search(said) else RejectedError
    return _BY_CODE.get(code, RejectedError)


def _message_of(body: str) -> str:
    try:
        status: JsonObject = json.loads(body)
        message = str(status["message"])
    except (ValueError, TypeError, KeyError):
        message = " ".join(body.split())
    return message[:_LONGEST_MESSAGE] or "(no message)"


def _seconds(retry_after: str | None) -> float | None:
    return float(retry_after) if retry_after is not None and retry_after.isdigit() else None
