"""A small HTTP server on loopback whose every answer the test decides."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent; `connection` tells connections apart."""

    connection: int
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form body."""
        return dict(urllib.parse.parse_qsl(self.body.decode()))


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server sends; `chunks` go out one by one, after a body length of `length`."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: Iterable[bytes] = ()
    length: int | None = None


Answerer = Callable[[Request], Reply]


@dataclass(slots=True)
class Loopback:
    """A running server; assign `answer` to change what it says."""

    answer: Answerer
    url: str = ""
    requests: list[Request] = field(default_factory=list)


def json_reply(document: object, status: int = 200) -> Reply:
    """A JSON body."""
    return Reply(status, json.dumps(document).encode(), {"Content-Type": "application/json"})


@contextlib.contextmanager
def running_loopback(
    answer: Answerer, *, port: int = 0, certificate: Path | None = None, clients: Path | None = None
) -> Iterator[Loopback]:
    """Start a server and stop it at the end.

    Args:
        answer: What to say to each request.
        port: Port to listen on; 0 for a free one.
        certificate: PEM file with key and certificate, for https.
        clients: PEM file with the certificates that a client must have one of.
    """
    loopback = Loopback(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = 5.0  # of an idle connection, so that a leaked client cannot hang the suite

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(self.client_address[1], self.command, self.path, dict(self.headers), body)
            loopback.requests.append(request)
            reply = loopback.answer(request)
            (self.send_response_only if "Date" in reply.headers else self.send_response)(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body) if reply.length is None else reply.length))
            self.end_headers()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                for chunk in reply.chunks or (reply.body,):
                    self.wfile.write(chunk)
            self.close_connection = reply.length is not None

        do_GET = do_POST = _serve  # noqa: N815 (names of the base class)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = False
        block_on_close = True

        def handle_error(self, *_: object) -> None:
            """Clients that go away in the middle are part of the tests."""

    server = Server(("127.0.0.1", port), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "https" if certificate is not None else "http"
    loopback.url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield loopback
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
