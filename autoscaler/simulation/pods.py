"""Simulated pods over HTTP: every pod's `/metrics` page, and where to find them.

One server on loopback stands for all pods, one path each. What it serves is published to it, never read out of a
running simulation, so it needs no lock and a scraper may come at any time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Self
from urllib.parse import quote, unquote

from autoscaler.simulation.counters import PodCounters, ReplicaPhase
from autoscaler.simulation.exposition import CONTENT_TYPE, render_pod

_SERVING = frozenset({ReplicaPhase.READY, ReplicaPhase.DRAINING})


class PodServer:
    """Serves `/pods/<name>/metrics` per pod and `/sd` in Prometheus' HTTP-SD format.

    A pod that still starts is listed and answers 503, as a loading engine answers nothing; one without a node has no
    address and is not listed.

    Args:
        model_name: Label of every series.
        namespace: Label of every target.
        epoch_unix_s: Unix time at second 0 of the simulation.
        port: TCP port on loopback; 0 takes a free one.
    """

    def __init__(self, *, model_name: str, namespace: str, epoch_unix_s: float, port: int = 0) -> None:
        self._model_name = model_name
        self._namespace = namespace
        self._epoch_unix_s = epoch_unix_s
        self._pods: Mapping[str, PodCounters] = {}
        self._server = _Server(("127.0.0.1", port), _handler(self))
        # Threads that are joined on close, so that nothing outlives the server.
        self._server.daemon_threads = False
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="pods")
        self._thread.start()

    @property
    def address(self) -> str:
        """Host and port that it listens on."""
        return f"127.0.0.1:{self._server.server_port}"

    def publish(self, pods: Iterable[PodCounters]) -> None:
        """Replace what is served from now on."""
        self._pods = {pod.name: pod for pod in pods if pod.phase is not ReplicaPhase.UNSCHEDULABLE}

    def targets(self) -> list[dict[str, object]]:
        """Every pod as an entry of Prometheus' HTTP service discovery."""
        return [
            {
                "targets": [self.address],
                "labels": {
                    "__metrics_path__": f"/pods/{quote(pod.name, safe='')}/metrics",
                    "namespace": self._namespace,
                    "pod": pod.name,
                    "role": pod.role.value,
                },
            }
            for pod in self._pods.values()
        ]

    def page(self, path: str) -> tuple[HTTPStatus, str, str]:
        """Answer a path: status, content type, body."""
        if path == "/sd":
            return HTTPStatus.OK, "application/json", json.dumps(self.targets())
        match path.split("/"):
            case ["", "pods", name, "metrics"]:
                pod = self._pods.get(unquote(name))
            case _:
                pod = None
        if pod is None:
            known = ", ".join(sorted(self._pods)) or "none"
            return HTTPStatus.NOT_FOUND, "text/plain", f"no such page: {path}; pods: {known}; targets: /sd\n"
        if pod.phase not in _SERVING:
            return HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", f"{pod.name} is {pod.phase}\n"
        created_unix_s = self._epoch_unix_s + pod.created_s
        return HTTPStatus.OK, CONTENT_TYPE, render_pod(pod, model_name=self._model_name, created_unix_s=created_unix_s)

    def close(self) -> None:
        """Stop serving and wait for requests under way."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    # A scraper asks for every pod at once; with the usual backlog of 5 the rest would wait a second for a retransmit.
    request_queue_size = 128


def _handler(pods: PodServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer one request."""
            status, content_type, body = pods.page(self.path.partition("?")[0])
            data = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing: a scrape is no event."""

    return Handler
