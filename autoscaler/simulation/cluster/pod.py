"""A simulated vLLM pod: `python -m autoscaler.simulation.cluster.pod --role prefill`.

Answers POST /v1/completions when its simulated engine has, and serves vLLM's /metrics and /health. Instead of a prompt,
a request has its length: {"prompt_tokens": 2000, "max_tokens": 200}.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import socket
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Event, Thread
from types import TracebackType
from typing import Self

from autoscaler.core.capacity import EngineModel
from autoscaler.core.engines import find_engine
from autoscaler.core.policy import Role
from autoscaler.simulation.cluster.replica import Replica
from autoscaler.simulation.exposition import CONTENT_TYPE, render_pod

_MOST_BODY_BYTES = 65_536


class Pod:
    """One replica behind HTTP.

    Args:
        role: Prefill or decode.
        engine: What it simulates.
        model_name: Label of every series.
        host: Address to listen on.
        port: TCP port; 0 takes a free one.
        startup_s: For how long it loads its model: until then every path answers 503.
    """

    def __init__(
        self, role: Role, engine: EngineModel, model_name: str, *, host: str, port: int, startup_s: float = 0.0
    ) -> None:
        self._model_name = model_name
        self._created_s = time.time()
        self._ready_s = self._created_s + startup_s
        self._replica = Replica(role, engine, socket.gethostname(), self._created_s)
        self._changed = Condition()
        self._closing = False
        self._server = _Server(host, port, self)
        self._threads = (
            Thread(target=self._play, name="engine"),
            Thread(target=self._server.serve_forever, args=(0.05,), name="http"),
        )
        for thread in self._threads:
            thread.start()

    @property
    def url(self) -> str:
        """Where it is reached on this machine."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def complete(self, prompt_tokens: int, output_tokens: int) -> None:
        """Serve one request; returns when it is done."""
        with self._changed:
            request = self._replica.submit(prompt_tokens, output_tokens, time.time())
            self._changed.notify_all()
        request.done.wait()

    def ready(self) -> bool:
        """Whether the model is loaded."""
        return time.time() >= self._ready_s

    def page(self) -> str:
        """What /metrics says."""
        with self._changed:
            counters = self._replica.counters(time.time())
        return render_pod(counters, model_name=self._model_name, created_unix_s=self._created_s)

    def close(self) -> None:
        """Take no more requests, finish those under way, and end."""
        self._server.shutdown()
        self._server.server_close()  # waits for the requests under way
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _play(self) -> None:
        with self._changed:
            while not self._closing:
                ends_s = self._replica.advance(time.time())
                self._changed.wait(None if ends_s == math.inf else max(ends_s - time.time(), 0.0))


def lengths_in(body: bytes) -> tuple[int, int]:
    """Prompt and output tokens that the body of a request names.

    Raises:
        ValueError: It names none.
    """
    try:
        document = json.loads(body)
        prompt, output = int(document["prompt_tokens"]), int(document["max_tokens"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'wants {{"prompt_tokens": 2000, "max_tokens": 200}}: {error!r}') from error
    if prompt < 1 or output < 1:
        raise ValueError("prompt_tokens and max_tokens must be at least 1")
    return prompt, output


class _Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = False  # so that closing waits for what is under way

    def __init__(self, host: str, port: int, pod: Pod) -> None:
        self.pod = pod
        super().__init__((host, port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        """Answer /health and /metrics."""
        if self.path == "/health" and self.server.pod.ready():
            self._answer(HTTPStatus.OK, "text/plain", "")
        elif self.path == "/metrics" and self.server.pod.ready():
            self._answer(HTTPStatus.OK, CONTENT_TYPE, self.server.pod.page())
        else:
            self._refuse()

    def do_POST(self) -> None:
        """Serve a request."""
        if self.path != "/v1/completions" or not self.server.pod.ready():
            self._refuse()
            return
        try:
            prompt, output = lengths_in(self.rfile.read(self._body_bytes()))
        except ValueError as error:
            self._answer(HTTPStatus.BAD_REQUEST, "text/plain", f"{error}\n")
            return
        self.server.pod.complete(prompt, output)
        usage = {"prompt_tokens": prompt, "completion_tokens": output}
        self._answer(HTTPStatus.OK, "application/json", json.dumps({"usage": usage}))

    def _body_bytes(self) -> int:
        return min(int(self.headers.get("Content-Length", "0")), _MOST_BODY_BYTES)

    def log_message(self, *_: object) -> None:
        """Say nothing: a request is no event."""

    def _refuse(self) -> None:
        if self.server.pod.ready():
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", "/health /metrics /v1/completions\n")
        else:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", "loading the model\n")

    def _answer(self, status: HTTPStatus, content_type: str, text: str) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def parser() -> argparse.ArgumentParser:
    """The options of the program."""
    made = argparse.ArgumentParser(prog="python -m autoscaler.simulation.cluster.pod", description=__doc__)
    made.add_argument("--role", required=True, choices=[Role.PREFILL.value, Role.DECODE.value])
    made.add_argument("--model", default="llama-3.1-70b", help="one that the built-in table knows")
    made.add_argument("--gpu", default="h100")
    made.add_argument("--tensor-parallel", type=int, default=4)
    made.add_argument("--startup", type=float, default=0.0, metavar="SECONDS", help="how long its model loads")
    made.add_argument("--host", default="0.0.0.0", help="address to listen on")  # noqa: S104 - pods are asked from outside
    made.add_argument("--port", type=int, default=8000)
    return made


def main() -> None:
    """Serve until told to end."""
    given = parser().parse_args()
    _, engine = find_engine(given.model, given.gpu, given.tensor_parallel)
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    with Pod(Role(given.role), engine, given.model, host=given.host, port=given.port, startup_s=given.startup):
        stop.wait()


if __name__ == "__main__":
    main()
