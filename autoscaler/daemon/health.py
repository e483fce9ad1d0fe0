"""The daemon's HTTP endpoint: /healthz, /readyz, /metrics, and whatever documents it is given to serve."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import MappingProxyType
from typing import Any, Self

from prometheus_client.exposition import choose_encoder, gzip_accepted

from autoscaler.daemon.clock import Clock
from autoscaler.daemon.endpoint_guard import EndpointGuard, EndpointGuardError
from autoscaler.daemon.ledger import Account, Ledger
from autoscaler.daemon.logs import Log
from autoscaler.daemon.loopback import is_loopback, is_meant
from autoscaler.daemon.metrics.page import MetricsPage
from autoscaler.daemon.tick import Dependency, Trouble
from autoscaler.daemon.troubles import TroubleLog

_STUCK_INTERVALS = 5.0
# Short intervals must not make a slow dependency look like a dead loop.
_STUCK_AT_LEAST_S = 120.0
_CLIENT_TIMEOUT_S = 10.0
_POLL_S = 0.1  # how soon closing is noticed
Checks = Mapping[str, Callable[[], list[str]]]
_TEXT = "text/plain; charset=utf-8"
_OPENMETRICS = "application/openmetrics-text"
_GZIP_LEVEL = 1  # a 25th of the size for 40 ms with 200 services; higher levels cost more than the network
_OPEN = EndpointGuard()


@dataclass(frozen=True, slots=True)
class Document:
    """An answer in full."""

    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


Documents = Mapping[str, Callable[[str], Document]]
"""Documents by path, each made from the query of the request's address."""


def stuck(accounts: Mapping[str, Account], now_s: float) -> list[str]:
    """Services whose ticks do not finish, in words; empty when the loop is alive."""
    silent = []
    for service, account in accounts.items():
        last_s = account.finished_s if account.finished_s is not None else account.since_s
        allowed_s = max(_STUCK_INTERVALS * account.interval_s, _STUCK_AT_LEAST_S)
        if now_s - last_s > allowed_s:
            silent.append(f"{service}: no tick finished for {now_s - last_s:.0f} s, allowed are {allowed_s:.0f} s")
    return silent


def not_ready(accounts: Mapping[str, Account]) -> list[str]:
    """Services that have not been looked at yet, in words."""
    return [f"{service}: first tick under way" for service, account in accounts.items() if account.latest is None]


class HealthServer:
    """Serves health and metrics until closed.

    Args:
        host: Address to listen on; empty for all of them, IPv4 and IPv6.
        port: Port to listen on; 0 takes any free one, see `address`.
        ledger: What to judge by.
        metrics: What to serve under /metrics.
        clock: Where the time comes from.
        missing: What else is missing before the daemon does its work, in words.
        documents: What else to serve.
        guard: Who may read metrics and documents, and whether over TLS.
        log: Where to say which page cannot be made.

    Raises:
        OSError: The address cannot be bound.
        EndpointGuardError: Certificate and key cannot be used.
    """

    def __init__(
        self,
        host: str,
        port: int,
        ledger: Ledger,
        metrics: MetricsPage,
        clock: Clock,
        missing: Callable[[], list[str]] = list,
        documents: Documents = MappingProxyType({}),
        guard: EndpointGuard = _OPEN,
        log: Log | None = None,
    ) -> None:
        checks: Checks = {
            "/healthz": lambda: stuck(ledger.accounts(), clock.now_s()),
            "/readyz": lambda: missing() + not_ready(ledger.accounts()),
        }
        faults = _Faults(log, clock) if log is not None else None
        self._server = _Server(host, port, checks, metrics, documents, guard, faults)
        self._thread = Thread(target=self._server.serve_forever, args=(_POLL_S,), name="health", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where it listens, as host:port."""
        host, port = (str(part) for part in self._server.server_address[:2])
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


class _Faults:
    """Says which pages cannot be made, each as troubles are said; asked for by many threads."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._troubles: dict[str, TroubleLog] = {}
        self._lock = Lock()

    def note(self, path: str, error: Exception | None) -> None:
        """Take note of how making a page went."""
        if error is None and path not in self._troubles:
            return
        message = f"the page {path} cannot be made: {error!r}; this is a defect, please report it with the traceback"
        found = [Trouble(Dependency.INTERNAL, path, message, error)] if error is not None else []
        with self._lock:
            self._troubles.setdefault(path, TroubleLog(self._log)).update(found, self._clock.now_s())


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self,
        host: str,
        port: int,
        checks: Checks,
        metrics: MetricsPage,
        documents: Documents,
        guard: EndpointGuard,
        faults: _Faults | None,
    ) -> None:
        self.checks = checks
        self.faults = faults
        self.metrics = metrics
        self.documents = documents
        self.guard = guard
        self.is_private = is_loopback(host)
        self._tls, self._stamp = guard.context(), guard.stamp()
        self._is_everywhere = not host and socket.has_dualstack_ipv6()
        if ":" in host or self._is_everywhere:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Bind; without a host to every address, of IPv4 and IPv6 alike, whatever the system's default is."""
        if self._is_everywhere:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; its handshake is made by the thread that serves it, so that none can hold up others."""
        connection, address = super().get_request()
        if self._tls is None:
            return connection, address
        self._renew()
        return self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who goes away in the middle, or speaks no TLS, is no news."""

    def _renew(self) -> None:
        """Follow a certificate that was renewed; until key and certificate fit again the old ones serve."""
        stamp = self.guard.stamp()
        if stamp and stamp != self._stamp:
            with suppress(EndpointGuardError):
                self._tls, self._stamp = self.guard.context(), stamp


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _CLIENT_TIMEOUT_S

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        checks, documents = self.server.checks, self.server.documents
        if self.server.is_private and not is_meant(self.headers.get("Host", "")):
            words = b"this is for this machine alone: ask for localhost, or have --listen name an address for others\n"
            self._answer(HTTPStatus.MISDIRECTED_REQUEST, _TEXT, words)
        elif path not in checks and not self.server.guard.admits(self.headers.get("Authorization", "")):
            challenge = {"WWW-Authenticate": "Bearer"}
            self._answer(HTTPStatus.UNAUTHORIZED, _TEXT, b"wants the bearer token of the endpoint\n", challenge)
        elif path == "/metrics" or path in checks or path in documents:
            self._answer_page(path, query)
        else:
            known = " ".join((*checks, "/metrics", *documents))
            self._answer(HTTPStatus.NOT_FOUND, _TEXT, f"{known}\n".encode())

    def _answer_page(self, path: str, query: str) -> None:
        """Answer with a page of ours; one that cannot be made is a defect, and says so here and in the log."""
        try:
            status, made = self._made(path, query)
        except Exception as error:  # noqa: BLE001 - whoever asks must not be left without an answer
            status, made = HTTPStatus.INTERNAL_SERVER_ERROR, Document(_TEXT, b"cannot be made; the log says why\n")
            self._note(path, error)
        else:
            self._note(path, None)
        self._answer(status, made.content_type, made.body, made.headers)

    def _note(self, path: str, error: Exception | None) -> None:
        if self.server.faults is not None:
            self.server.faults.note(path, error)

    def _made(self, path: str, query: str) -> tuple[HTTPStatus, Document]:
        if path == "/metrics":
            return HTTPStatus.OK, self._metrics()
        if path in self.server.documents:
            return HTTPStatus.OK, self.server.documents[path](query)
        problems = self.server.checks[path]()
        status = HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK
        return status, Document(_TEXT, ("\n".join(problems or ["ok"]) + "\n").encode())

    def _metrics(self) -> Document:
        _, content_type = choose_encoder(self.headers.get("Accept", ""))
        body = self.server.metrics.text(openmetrics=content_type.startswith(_OPENMETRICS)).encode()
        headers = {"Vary": "Accept, Accept-Encoding"}
        if gzip_accepted(self.headers.get("Accept-Encoding", "")):
            body, headers["Content-Encoding"] = gzip.compress(body, _GZIP_LEVEL), "gzip"
        return Document(content_type, body, headers)

    def _answer(
        self, status: HTTPStatus, content_type: str, body: bytes, headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Probes each few seconds are no news."""
