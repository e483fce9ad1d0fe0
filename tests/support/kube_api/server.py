"""The HTTP side: authentication, faults, log, answers and watches."""

from __future__ import annotations

import json
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from tests.support.kube_api import discovery, rbac
from tests.support.kube_api.errors import PAGE_NOT_FOUND, ApiError, unauthorized
from tests.support.kube_api.faults import Fault, Faults, Request, RequestLog
from tests.support.kube_api.operations import Body, execute
from tests.support.kube_api.rbac import Attributes, User
from tests.support.kube_api.resources import Address
from tests.support.kube_api.routes import Call, parse
from tests.support.kube_api.selectors import matches_fields, matches_labels
from tests.support.kube_api.store import Store

JsonObject = dict[str, Any]

_ADMIN = User("kubernetes-admin", frozenset({"system:masters", "system:authenticated"}))
_WATCH_POLL_S = 0.2  # how soon a watch notices that its server closes


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: code, object, and what is to go wrong on the way."""

    code: int
    document: JsonObject
    fault: Fault
    retry_after_s: int | None = None


class FakeKubeApi:
    """A Kubernetes API server in memory, on loopback, without TLS.

    Close it, or use it as a context manager. Objects are reached through `store` as well as over HTTP.

    Attributes:
        store: The objects.
        log: Every request to an object or a collection.
        faults: What is to go wrong with the next requests.
        before_request: Called before each request is carried out: the place for a controller's personality.
        admin_token: Bearer token that may do everything.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.store = Store(clock)
        self.log = RequestLog()
        self.faults = Faults()
        self.before_request: list[Callable[[], None]] = []
        self.admin_token = "admin"
        self._tokens = {self.admin_token: _ADMIN}
        self._closing = threading.Event()
        self._controllers_turn = threading.Lock()
        self._make_namespace("default")
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"api": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving, end delayed answers and watches, and close every connection."""
        self._closing.set()
        self._server.shutdown()
        self._server.close_connections()
        self._server.server_close()
        self._thread.join()

    def address(self, api_version: str, plural: str, namespace: str = "", name: str = "") -> Address:
        """Where an object is in the store."""
        group, _, version = api_version.rpartition("/")
        resource = self.store.registry.find(group, version, plural)
        if resource is None:
            raise LookupError(f"{api_version} {plural} is not served")
        return Address(resource, version, namespace, name)

    def issue_token(self, namespace: str, service_account: str) -> str:
        """A new bearer token of a service account; older ones stay valid until `revoke_token`."""
        token = f"token-{uuid.uuid4()}"
        self._tokens[token] = User.service_account(namespace, service_account)
        return token

    def revoke_token(self, token: str) -> None:
        """Answer 401 to this token from now on."""
        del self._tokens[token]

    def answer(self, method: str, target: str, headers: dict[str, str], text: str) -> Answer | Call:
        """Carry out a request; a watch that may start comes back as its Call."""
        try:
            user = self._authenticate(headers)
            document = discovery.answer(method, urlsplit(target).path, self.store.registry)
            if document is not None:
                return Answer(200, document, Fault())
            call = parse(method, target, self.store.registry)
        except ApiError as error:
            return _refusal(error, Fault())
        fault = self.faults.take(call.verb, call.resource)
        body = Body(text, headers.get("content-type", "").partition(";")[0], _manager(call, headers))
        answer = self._carry_out(call, user, body, fault)
        code = answer.code if isinstance(answer, Answer) else 200
        self.log.add(replace(_logged(call, body, user), code=code))
        return answer

    def wait(self, delay_s: float) -> None:
        """Let time pass, unless the server closes."""
        self._closing.wait(delay_s)

    @property
    def closing(self) -> bool:
        """Whether the server is about to go."""
        return self._closing.is_set()

    def _carry_out(self, call: Call, user: User, body: Body, fault: Fault) -> Answer | Call:
        if fault.code:
            return _refusal(ApiError(fault.code, "Injected", fault.message, retry_after_s=fault.retry_after_s), fault)
        try:
            if call.address.resource.kind == "SelfSubjectAccessReview":
                return Answer(201, self._review(user, body.document()), fault)
            if not rbac.allowed(self.store, user, call.attributes):
                raise rbac.forbidden(user, call.attributes)
            if call.address.subresource == "token":
                self.store.get(call.address)
                token = self.issue_token(call.address.namespace, call.address.name)
                return Answer(201, {"kind": "TokenRequest", "status": {"token": token}}, fault)
            with self._controllers_turn:
                for controller in self.before_request:
                    controller()
            if call.verb == "watch":
                return call
            self._hold(call, fault)
            return Answer(*execute(self.store, call, body), fault)
        except ApiError as error:
            return _refusal(error, fault)

    def _hold(self, call: Call, fault: Fault) -> None:
        """Let a request wait for as long as it is to, and as it says that it may."""
        allowed_s = float(call.query.get("timeout", "inf").removesuffix("s"))
        if fault.held_s:
            self.wait(min(fault.held_s, allowed_s))
        if fault.held_s > allowed_s:
            raise ApiError(504, "Timeout", "request did not complete within the requested timeout")

    def _authenticate(self, headers: dict[str, str]) -> User:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if not token:
            return User("system:anonymous", frozenset({"system:unauthenticated"}))
        if scheme.lower() != "bearer" or token not in self._tokens:
            raise unauthorized()
        return self._tokens[token]

    def _review(self, user: User, review: JsonObject) -> JsonObject:
        asked = review["spec"]["resourceAttributes"]
        subresource = asked.get("subresource")
        resource = f"{asked['resource']}/{subresource}" if subresource else asked["resource"]
        wanted = Attributes(
            asked["verb"], asked.get("group", ""), resource, asked.get("namespace", ""), asked.get("name", "")
        )
        return {**review, "status": {"allowed": rbac.allowed(self.store, user, wanted)}}

    def _make_namespace(self, name: str) -> None:
        document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        self.store.create(self.address("v1", "namespaces"), document, manager="kube-apiserver")


def _refusal(error: ApiError, fault: Fault) -> Answer:
    return Answer(error.code, error.status, fault, error.retry_after_s)


def _manager(call: Call, headers: dict[str, str]) -> str:
    return call.query.get("fieldManager") or headers.get("user-agent", "unknown").partition("/")[0]


def _logged(call: Call, body: Body, user: User) -> Request:
    address = call.address
    return Request(
        verb=call.verb,
        group=address.resource.group,
        resource=call.resource,
        namespace=address.namespace,
        name=address.name,
        query=call.query,
        content_type=body.content_type,
        body=body.text,
        user=user.name,
    )


class _Server(ThreadingHTTPServer):
    """Knows its open connections, so that closing leaves no thread behind a client that keeps one alive."""

    daemon_threads = False

    def __init__(self, address: tuple[str, int], handler: type[_Handler]) -> None:
        self._connections: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        with self._guard:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # the client was quicker


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    api: ClassVar[FakeKubeApi]
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one segment: no wait for a delayed acknowledgement
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        """Keep quiet: the request log is what tests read."""

    def _serve(self) -> None:
        headers = {key.lower(): value for key, value in self.headers.items()}
        text = self.rfile.read(int(headers.get("content-length", 0))).decode()
        try:
            answer = self.api.answer(self.command, self.path, headers, text)
            if isinstance(answer, Call):
                self._watch(answer)
            else:
                self._send(answer)
        except ConnectionError:
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815  # the base class looks for these names

    def _send(self, answer: Answer) -> None:
        if answer.fault.delay_s:
            self.api.wait(answer.fault.delay_s)
        plain = answer.document.get("message") == PAGE_NOT_FOUND
        payload = (PAGE_NOT_FOUND + "\n" if plain else json.dumps(answer.document)).encode()
        self.send_response(answer.code)
        self.send_header("Content-Type", "text/plain; charset=utf-8" if plain else "application/json")
        self.send_header("Content-Length", str(len(payload)))
        if answer.retry_after_s is not None:
            self.send_header("Retry-After", str(answer.retry_after_s))
        self.end_headers()
        if answer.fault.cut:
            payload = payload[: len(payload) // 2]
            self.close_connection = True
        self.wfile.write(payload)
        self.wfile.flush()

    def _watch(self, call: Call) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        deadline_s = time.monotonic() + float(call.query.get("timeoutSeconds", 3600))
        asked = call.query.get("resourceVersion", "")
        version = int(asked) if asked not in {"", "0"} else self._send_existing(call)
        while not self.api.closing and time.monotonic() < deadline_s:
            self.wfile.flush()
            wait_s = min(_WATCH_POLL_S, max(deadline_s - time.monotonic(), 0.0))
            try:
                events = self.api.store.events_after(version, call.address, wait_s)
            except ApiError as error:
                self._chunk({"type": "ERROR", "object": error.status})
                break
            for event in events:
                version = event.version
                self._chunk_matching(call, event.type, event.document)
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _send_existing(self, call: Call) -> int:
        version = self.api.store.version
        for document in self.api.store.select(call.address):
            self._chunk_matching(call, "ADDED", document)
        return version

    def _chunk_matching(self, call: Call, event: str, document: JsonObject) -> None:
        labels = document["metadata"].get("labels", {})
        fields = call.query.get("fieldSelector", "")
        if matches_labels(call.query.get("labelSelector", ""), labels) and matches_fields(fields, document):
            self._chunk({"type": event, "object": {**document, "apiVersion": call.address.api_version}})

    def _chunk(self, line: JsonObject) -> None:
        payload = json.dumps(line).encode() + b"\n"
        self.wfile.write(b"%x\r\n%b\r\n" % (len(payload), payload))
