"""The HTTP session under the Prometheus client: bounded in time and size, credentials read afresh, form bodies."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth

from autoscaler import __version__

_CHUNK_BYTES = 65_536
_MOST_CAUSES = 10  # errors can name each other
_PLAIN_HEADERS = frozenset(
    {"user-agent", "accept", "accept-encoding", "connection", "content-length", "content-type", "host"}
)
_SHORTEST_SECRET = 4  # a tenant called 1 is none, and its number is in every text
_MOST_BYTES = 8 * 1024 * 1024
_NO_HEADER = "holds a line break, or a character that is none of ASCII's: no request can carry it"


class CredentialsError(requests.RequestException):
    """A token or password file cannot be read, or no request can carry what it holds; quotes nothing of it."""


class TooLargeError(requests.RequestException):
    """An answer is larger than any that is needed."""


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach and convince a server that speaks Prometheus' HTTP API.

    Attributes:
        url: Address with any path prefix before `/api`.
        timeout_s: Longest wait for one answer, and for all answers of a tick together.
        bearer_token: Token in clear text.
        bearer_token_file: File that holds the token; read for every request, so a rotated one is used at once.
        username: User of basic auth.
        password: Password of basic auth in clear text.
        password_file: File that holds the password; read for every request.
        ca_file: Certificates to trust; None for those of the system.
        cert_file: Client certificate.
        key_file: Its key.
        verify: Whether to check the server's certificate.
        server_name: Name that the server's certificate must have; None for the host of the URL.
        headers: Further headers, such as X-Scope-OrgID.
    """

    url: str
    timeout_s: float = 10.0
    bearer_token: str | None = field(default=None, repr=False)
    bearer_token_file: Path | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    verify: bool = True
    server_name: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class BoundedSession(requests.Session):
    """A session whose answers arrive within their timeout or not at all.

    `requests` bounds only the gaps between bytes, so a server that drips would hold a tick for ever. Parameters of a
    POST go into the body: long URLs break proxies, and URLs end up in access logs.

    Attributes:
        last: The latest answer, for what the client on top leaves out.
    """

    def __init__(self, connection: Connection, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.last: requests.Response | None = None
        self._clock = clock
        self.auth = _Credentials(connection)
        self.headers["User-Agent"] = f"pd-autoscaler/{__version__}"
        self.headers.update(connection.headers)
        self.verify = str(connection.ca_file) if connection.verify and connection.ca_file else connection.verify
        if connection.cert_file is not None and connection.key_file is not None:
            self.cert = (str(connection.cert_file), str(connection.key_file))
        if not connection.verify:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request; redirects are answers, because following one would turn a POST into a GET.

        Raises:
            CredentialsError: A header cannot be sent.
            requests.RequestException: No complete answer within `timeout`.
        """
        if method == "POST" and kwargs.get("params"):
            kwargs["data"] = kwargs.pop("params")
        kwargs |= {"stream": True, "allow_redirects": False}
        self.last = None
        deadline_s = self._clock() + kwargs["timeout"]
        try:
            response = super().request(method, url, *args, **kwargs)
        except (requests.exceptions.InvalidHeader, UnicodeEncodeError):  # both quote what may be a secret
            raise CredentialsError(f"a header of spec.prometheus {_NO_HEADER}") from None
        with response:
            body = self._read(response, deadline_s)
        response.raw = io.BytesIO(body)
        self.last = response
        return response

    def _read(self, response: requests.Response, deadline_s: float) -> bytes:
        try:
            return read_body(response.raw, _MOST_BYTES, deadline_s, self._clock)
        except urllib3.exceptions.TimeoutError as error:
            raise requests.ReadTimeout(error) from error
        except urllib3.exceptions.HTTPError as error:
            raise requests.ConnectionError(error) from error


def read_body(raw: urllib3.BaseHTTPResponse, most_bytes: int, deadline_s: float, clock: Callable[[], float]) -> bytes:
    """Read a body to its end, within a time and a size.

    Raises:
        TooLargeError: It is longer than `most_bytes`.
        urllib3.exceptions.HTTPError: It broke off, or did not end by `deadline_s` of the clock.
    """
    body = bytearray()
    while chunk := raw.read1(_CHUNK_BYTES, decode_content=True):
        body += chunk
        if clock() > deadline_s:
            raise urllib3.exceptions.TimeoutError("the answer did not end in time")
        if len(body) > most_bytes:
            raise TooLargeError(f"the answer is larger than {most_bytes >> 20} MiB")
    raw.drain_conn()  # nothing is left, but only now does the connection go back to its pool
    return bytes(body)


def without_credentials(text: str, response: requests.Response) -> str:
    """A server's words without the credentials that it was sent, should it quote them."""
    for secret in sorted(_sent(response.request.headers), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _sent(headers: Mapping[str, str]) -> Iterator[str]:
    """Everything in the headers of a request that could be a secret."""
    for name, value in headers.items():
        if name.lower() not in _PLAIN_HEADERS and len(value) >= _SHORTEST_SECRET:
            yield value
    scheme, _, given = headers.get("Authorization", "").partition(" ")
    if given:
        yield given
    if scheme == "Basic":
        password = base64.b64decode(given).decode(errors="replace").partition(":")[2]
        if password:
            yield password


def root_of(error: BaseException) -> BaseException:
    """The innermost reason of an error, without the object dumps that urllib3 wraps it in."""
    reason = error
    for _ in range(_MOST_CAUSES):
        inner = _inner(reason)
        if inner is None:
            break
        reason = inner
    return reason


def cause_of(error: BaseException) -> str:
    """The innermost reason in words."""
    reason = root_of(error)
    return str(reason) or type(reason).__name__


def _inner(error: BaseException) -> BaseException | None:
    candidates = (getattr(error, "reason", None), error.__cause__, *error.args[:1], error.__context__)
    return next((item for item in candidates if isinstance(item, BaseException) and item is not error), None)


class NamedAdapter(HTTPAdapter):
    """One attempt a request, and optionally another name to expect in the server's certificate."""

    def __init__(self, server_name: str | None) -> None:
        self._tls = {"assert_hostname": server_name, "server_hostname": server_name} if server_name else {}
        super().__init__(max_retries=urllib3.Retry(total=0, read=False))

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool: Any) -> None:
        """Make the connection pools."""
        super().init_poolmanager(connections, maxsize, block, **pool, **self._tls)


class _Credentials(AuthBase):
    """Sets the Authorization header; present even without credentials, so that no .netrc is consulted."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        known = self._connection
        if known.username is not None:
            password = known.password if known.password_file is None else _secret(known.password_file, "password")
            signed: requests.PreparedRequest = HTTPBasicAuth(known.username.encode(), (password or "").encode())(
                request
            )
            return signed
        token = known.bearer_token if known.bearer_token_file is None else _secret(known.bearer_token_file, "token")
        if token is not None and not _fits_a_header(token):
            where = known.bearer_token_file or "of the policy"
            raise CredentialsError(f"the token {'file ' if known.bearer_token_file else ''}{where} {_NO_HEADER}")
        if token is not None:
            request.headers["Authorization"] = f"Bearer {token}"
        return request


def _fits_a_header(text: str) -> bool:
    return text.isprintable() and text.isascii()


def _secret(path: Path, what: str) -> str:
    try:
        secret = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsError(f"the {what} file {path} cannot be read: {error}") from error
    if not secret:
        raise CredentialsError(f"the {what} file {path} is empty")
    return secret
