"""Failures as an API server words them: each carries the Status object that goes over the wire."""

from __future__ import annotations

from typing import Any

JsonObject = dict[str, Any]

PAGE_NOT_FOUND = "404 page not found"


class ApiError(Exception):
    """A refused request."""

    def __init__(
        self, code: int, reason: str, message: str, details: JsonObject | None = None, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_s = retry_after_s
        self.status: JsonObject = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "details": details or {},
            "code": code,
        }


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized")


def not_found(qualified: str, name: str) -> ApiError:
    plural, _, group = qualified.partition(".")
    details = {"name": name, "group": group, "kind": plural}
    return ApiError(404, "NotFound", f'{qualified} "{name}" not found', details)


def no_such_path() -> ApiError:
    """The one refusal that comes as plain text."""
    return ApiError(404, "NotFound", PAGE_NOT_FOUND)


def method_not_allowed() -> ApiError:
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def already_exists(qualified: str, name: str) -> ApiError:
    return ApiError(409, "AlreadyExists", f'{qualified} "{name}" already exists', {"name": name, "kind": qualified})


def conflict(qualified: str, name: str, cause: str = "") -> ApiError:
    cause = cause or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {qualified} "{name}": {cause}'
    return ApiError(409, "Conflict", message, {"name": name, "kind": qualified})


def gone(requested: int, oldest: int) -> ApiError:
    return ApiError(410, "Expired", f"too old resource version: {requested} ({oldest})")


def unsupported_media_type(accepted: tuple[str, ...]) -> ApiError:
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
    return ApiError(415, "UnsupportedMediaType", message)


def invalid(kind: str, name: str, causes: list[tuple[str, str]]) -> ApiError:
    """A failed validation: `causes` are pairs of field and message; `kind` is qualified, as in `Scale.autoscaling`."""
    plain, _, group = kind.partition(".")
    listed = [{"reason": "FieldValueInvalid", "field": field, "message": message} for field, message in causes]
    words = [f"{field}: {message}" for field, message in causes]
    text = words[0] if len(words) == 1 else f"[{', '.join(words)}]"
    details = {"name": name, "group": group, "kind": plain, "causes": listed}
    return ApiError(422, "Invalid", f'{kind} "{name}" is invalid: {text}', details)


def patch_does_not_apply() -> ApiError:
    """A JSON patch whose `test` failed, or with a path that does not exist: the server does not say which."""
    return ApiError(422, "Invalid", "the server rejected our request due to an error in our request")


def internal(cause: str) -> ApiError:
    details = {"causes": [{"message": cause}]}
    return ApiError(500, "InternalError", f"Internal error occurred: {cause}", details)
