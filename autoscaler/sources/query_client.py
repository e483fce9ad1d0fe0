"""One question to a server that speaks Prometheus' HTTP API, with every way to fail told apart."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any, TypeVar

import requests
import urllib3
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException

from autoscaler.sources.answers import Answer, Element
from autoscaler.sources.http import (
    BoundedSession,
    Connection,
    CredentialsError,
    NamedAdapter,
    TooLargeError,
    cause_of,
    root_of,
    without_credentials,
)
from autoscaler.sources.matrix import ODD_FORM, labels_of, series_of

_EXPRESSION_STATUS = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.REQUEST_URI_TOO_LONG,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
_ANNOTATION = "PromQL "
_REMARK = "PromQL info"
_LONGEST_QUOTE = 300
_Found = TypeVar("_Found")


class FailureKind(StrEnum):
    """What went wrong with a request."""

    CONNECTION = "connection"
    TIMEOUT = "timeout"
    CREDENTIALS = "credentials"
    EXPRESSION = "expression"
    SERVER = "server"
    MALFORMED = "malformed"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer.

    Attributes:
        kind: What went wrong.
        message: What failed, why, and what to do about it.
        hopeless: Whether other questions at this moment would fail in the same way.
    """

    kind: FailureKind
    message: str
    hopeless: bool


class QueryClient:
    """Asks for one instant or for a span of time, one question at a time.

    Args:
        connection: Where to and as whom.
        clock: Monotonic seconds.
    """

    def __init__(self, connection: Connection, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = connection.url.rstrip("/")
        self._session = BoundedSession(connection, clock)
        adapter = NamedAdapter(connection.server_name)
        self._client = PrometheusConnect(self._url, session=self._session, retry=adapter.max_retries, method="POST")
        self._session.mount(self._url, adapter)

    def ask(self, expression: str, now_s: float, timeout_s: float) -> Answer | Failure:
        """Evaluate an expression that gives an instant vector.

        Args:
            expression: PromQL.
            now_s: Unix time of the evaluation.
            timeout_s: Longest wait.
        """
        params = {"time": f"{now_s:.3f}", "timeout": f"{max(timeout_s, 0.001):.3f}"}

        def answer() -> Answer:
            result = self._client.custom_query(expression, params=params, timeout=timeout_s)
            return Answer(tuple(map(_element, result)), warning=self._warning())

        return self._answered(answer, timeout_s)

    def ask_range(
        self, expression: str, start_s: float, end_s: float, step_s: float, timeout_s: float
    ) -> list[dict[str, Any]] | Failure:
        """Evaluate an expression at every step from start to end, in Unix seconds; see `history.Ranges.ask_range`."""
        start, end = (datetime.fromtimestamp(at_s, UTC) for at_s in (start_s, end_s))

        def series() -> list[dict[str, Any]]:
            return series_of(self._client.custom_query_range(expression, start, end, f"{step_s:g}", timeout=timeout_s))

        return self._answered(series, timeout_s)

    @property
    def server_s(self) -> float | None:
        """What the server's clock said when it gave the latest answer, in Unix seconds; None where it does not say."""
        response = self._session.last
        try:
            return parsedate_to_datetime(response.headers["Date"]).timestamp() if response is not None else None
        except (KeyError, ValueError):
            return None

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def _answered(self, ask: Callable[[], _Found], timeout_s: float) -> _Found | Failure:
        """What asking gives, or how it failed."""
        try:
            return ask()
        except PrometheusApiClientException:
            return self._refused()
        except requests.JSONDecodeError:
            return self._malformed("no JSON")
        except (requests.RequestException, OSError, urllib3.exceptions.HTTPError) as error:
            return self._unreachable(error, timeout_s)
        except ODD_FORM:
            return self._malformed("JSON of an unknown form")

    def _unreachable(self, error: Exception, timeout_s: float) -> Failure:
        where = f"Prometheus at {self._url}"
        if isinstance(error, CredentialsError):
            return Failure(FailureKind.CREDENTIALS, str(error), hopeless=True)
        if isinstance(error, TooLargeError):
            return Failure(FailureKind.EXPRESSION, f"{where}: {error}; aggregate the series", hopeless=False)
        if isinstance(error, requests.ConnectTimeout):
            message = (
                f"{where} took no connection within {timeout_s:.3g} s: is the address right, is a firewall between?"
            )
            return Failure(FailureKind.TIMEOUT, message, hopeless=True)
        if isinstance(error, requests.Timeout):
            message = f"{where} gave no answer within {timeout_s:.3g} s: is it overloaded, or is a window too long?"
            return Failure(FailureKind.TIMEOUT, message, hopeless=False)
        if isinstance(root_of(error), ssl.SSLCertVerificationError):
            message = f"{where} has no certificate that we trust: {cause_of(error)}; set caFile or serverName under tls"
            return Failure(FailureKind.CONNECTION, message, hopeless=True)
        if isinstance(error, requests.exceptions.SSLError):
            message = f"TLS with {where} failed: {cause_of(error)}; does it want a client certificate, or plain http?"
            return Failure(FailureKind.CONNECTION, message, hopeless=True)
        message = f"{where} cannot be reached: {cause_of(error)}; check the address and that the server runs"
        return Failure(FailureKind.CONNECTION, message, hopeless=True)

    def _refused(self) -> Failure:
        response = self._session.last
        status = response.status_code if response is not None else 0
        said = self._said()
        where = f"Prometheus at {self._url}"
        if status in _EXPRESSION_STATUS:
            return Failure(FailureKind.EXPRESSION, f"{where} refused the query ({status}): {said}", hopeless=False)
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            message = f"{where} refused our credentials ({status}): {said}; check the token, user or tenant header"
            return Failure(FailureKind.CREDENTIALS, message, hopeless=True)
        if status == HTTPStatus.NOT_FOUND:
            message = f"{self._url}/api/v1/query does not exist (404): {said}; is a path prefix missing in the address?"
            return Failure(FailureKind.SERVER, message, hopeless=True)
        if response is not None and response.is_redirect:
            place = without_credentials(response.headers["Location"], response)[:_LONGEST_QUOTE]
            message = f"{where} redirects to {place} ({status}); write that address, or log in"
            return Failure(FailureKind.SERVER, message, hopeless=True)
        message = f"{where} failed ({status}): {said}; look into its log"
        return Failure(FailureKind.SERVER, message, hopeless=status == HTTPStatus.TOO_MANY_REQUESTS)

    def _said(self) -> str:
        """The server's own words: the error of Prometheus' JSON, else the start of the body."""
        response = self._session.last
        if response is None:
            return "no body"
        try:
            text = str(response.json()["error"])
        except ODD_FORM:
            text = " ".join(response.text.split()) or "no body"
        return without_credentials(text, response)[:_LONGEST_QUOTE]

    def _malformed(self, what: str) -> Failure:
        message = f"{self._url}/api/v1/query answered with {what}: {self._said()}; is it a Prometheus API?"
        return Failure(FailureKind.MALFORMED, message, hopeless=True)

    def _warning(self) -> str:
        """Warnings of the answer, which the client leaves out; remarks on style do not count.

        Raises:
            Exception: One of `ODD_FORM`: they have another form.
        """
        response = self._session.last
        if response is None:
            return ""
        given = response.json().get("warnings") or []
        if not isinstance(given, list):
            raise TypeError("warnings that are none")
        text = "; ".join(str(warning) for warning in given if not str(warning).startswith(_REMARK))
        return without_credentials(text, response)[:_LONGEST_QUOTE]


def _element(item: Any) -> Element:
    return Element(labels_of(item), float(item["value"][1]))


def concerns_expression(warning: str) -> bool:
    """Whether a warning is about the expression, as opposed to the data that the server could reach."""
    return warning.startswith(_ANNOTATION)
