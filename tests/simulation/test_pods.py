from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from autoscaler.core.policy import Role
from autoscaler.simulation.counters import ReplicaPhase
from autoscaler.simulation.exposition import render_pod
from autoscaler.simulation.pods import PodServer
from tests.simulation.pod_builder import pod

_HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def server() -> Iterator[PodServer]:
    with PodServer(model_name="m", namespace="llm", epoch_unix_s=1e9) as running:
        yield running


def get(server: PodServer, path: str) -> str:
    with _HTTP.open(f"http://{server.address}{path}", timeout=10) as response:
        return str(response.read().decode())


def refused(server: PodServer, path: str) -> tuple[int, str]:
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(server, path)
    with caught.value as error:
        return error.code, error.read().decode()


def test_each_pod_has_a_page_of_its_own(server: PodServer) -> None:
    one, two = pod("a", seed=1), pod("b", Role.DECODE, seed=2)
    server.publish([one, two])

    assert get(server, "/pods/a/metrics") == render_pod(one, model_name="m", created_unix_s=1e9 + 30.0)
    assert get(server, "/pods/b/metrics") == render_pod(two, model_name="m", created_unix_s=1e9 + 30.0)


def test_targets_come_in_the_form_of_http_service_discovery(server: PodServer) -> None:
    server.publish([pod("a"), pod("b", Role.DECODE)])

    assert json.loads(get(server, "/sd")) == [
        {
            "targets": [server.address],
            "labels": {"__metrics_path__": f"/pods/{name}/metrics", "namespace": "llm", "pod": name, "role": role},
        }
        for name, role in (("a", "prefill"), ("b", "decode"))
    ]


def test_a_pod_without_a_node_has_no_address(server: PodServer) -> None:
    server.publish([pod("a", phase=ReplicaPhase.UNSCHEDULABLE)])

    assert server.targets() == []


def test_a_starting_pod_is_listed_and_does_not_answer_yet(server: PodServer) -> None:
    server.publish([pod("a", phase=ReplicaPhase.STARTING, ready_s=None)])

    assert len(server.targets()) == 1
    assert refused(server, "/pods/a/metrics") == (503, "a is starting\n")


def test_a_draining_pod_still_serves_its_page(server: PodServer) -> None:
    server.publish([pod("a", phase=ReplicaPhase.DRAINING)])

    assert "vllm:num_requests_running" in get(server, "/pods/a/metrics")


def test_what_is_published_replaces_what_was(server: PodServer) -> None:
    server.publish([pod("a")])
    server.publish([pod("b")])

    assert refused(server, "/pods/a/metrics")[0] == 404


@pytest.mark.parametrize("path", ["/", "/metrics", "/pods/a", "/pods/a/metrics/more", "/pods/gone/metrics"])
def test_an_unknown_page_is_answered_with_those_that_exist(server: PodServer, path: str) -> None:
    server.publish([pod("a")])

    code, body = refused(server, path)

    assert code == 404
    assert path in body
    assert "pods: a" in body


def test_closing_leaves_no_thread_behind() -> None:
    before = set(threading.enumerate())

    with PodServer(model_name="m", namespace="llm", epoch_unix_s=0.0) as server:
        server.publish([pod("a")])
        get(server, "/pods/a/metrics")

    assert set(threading.enumerate()) == before
