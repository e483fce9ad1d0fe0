"""From an HTTP answer to words and a kind of error."""

from __future__ import annotations

import json

import pytest

from autoscaler.targets.kubernetes.errors import (
    ConflictError,
    ForbiddenError,
    KubeError,
    NotFoundError,
    Operation,
    RejectedError,
    UnauthorizedError,
    UnavailableError,
    error_of,
)
from autoscaler.targets.kubernetes.refs import ObjectRef

PATCH = Operation("patch", ObjectRef.deployment("serving", "decode"), "scale")
RBAC = (
    'deployments.apps "decode" is forbidden: User "system:serviceaccount:serving:pd-autoscaler" cannot patch resource '
    '"deployments/scale" in API group "apps" in the namespace "serving"'
)
WEBHOOK = 'admission webhook "guard.example" denied the request: not on a Friday'


def error(code: int, message: str = "words", retry_after: str | None = None) -> KubeError:
    return error_of(PATCH, code, json.dumps({"kind": "Status", "message": message}), retry_after)


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (307, "", RejectedError),
        (400, "", RejectedError),
        (401, "", UnauthorizedError),
        (403, RBAC, ForbiddenError),
        (403, WEBHOOK, RejectedError),
        (404, "", NotFoundError),
        (409, "", ConflictError),
        (415, "", RejectedError),
        (422, "", RejectedError),
        (429, "", UnavailableError),
        (500, "", UnavailableError),
        (504, "", UnavailableError),
    ],
)
def test_a_code_is_one_kind_of_error(code: int, message: str, kind: type[KubeError]) -> None:
    assert type(error(code, message)) is kind


def test_a_message_names_the_request_the_answer_and_the_next_step() -> None:
    assert str(error(403, RBAC)) == (
        f"patch deployments/scale serving/decode: HTTP 403: {RBAC}; missing verb patch on deployments/scale "
        "(API group apps) in namespace serving: add it to the Role, `pd-autoscaler rbac` prints it"
    )


def test_a_refusal_by_admission_does_not_ask_for_a_role() -> None:
    assert "Role" not in str(error(403, WEBHOOK))


def test_a_proxy_that_answers_in_html_is_quoted_on_one_short_line() -> None:
    page = "<html>\n<body>\nBad gateway\n</body>\n</html>" + "x" * 5000

    said = error_of(PATCH, 502, page, None).said

    assert said.startswith("<html> <body> Bad gateway")
    assert len(said) <= 500


@pytest.mark.parametrize("body", ["", "null", "[]", '"words"', '{"kind": "Status"}'])
def test_a_body_without_a_message_is_still_an_error(body: str) -> None:
    assert "HTTP 500" in str(error_of(PATCH, 500, body, None))


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), (None, None), ("Wed, 21 Oct 2026 07:28:00 GMT", None)])
def test_retry_after_is_read_in_seconds(header: str | None, seconds: float | None) -> None:
    assert error(429, retry_after=header).retry_after_s == seconds
