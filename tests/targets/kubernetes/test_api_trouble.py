"""A sick API server, and what leaves the process; on the fake, which can be made sick and counts requests."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from structlog.testing import capture_logs

from autoscaler.core.policy import Role
from autoscaler.targets.base import Outcome
from autoscaler.targets.kubernetes.refs import ObjectRef
from tests.support.kube import Cluster, FakeCluster
from tests.support.kube_api import Fault
from tests.support.kube_api.manifests import deployment
from tests.support.scale_target import ScaledPool, ScaleTarget
from tests.targets.kubernetes.conftest import ClientOn, DecodeOn

SCALE = "deployments/scale"


@pytest.fixture
def decode(fake_kube_api: FakeCluster, decode_on: DecodeOn) -> ScaleTarget:
    """A Deployment of 4, on a server that is given half a second to answer."""
    fake_kube_api.create("deployments", deployment("decode", replicas=4))
    fake_kube_api.api.log.clear()
    return decode_on(fake_kube_api, timeout_s=0.5)


TROUBLE = {
    "429 with Retry-After": ({"code": 429, "retry_after_s": 0}, "injected failure; the server asks to wait 0 s"),
    "429": ({"code": 429}, "HTTP 429"),
    "500": ({"code": 500}, "HTTP 500"),
    "503": ({"code": 503}, "HTTP 503"),
    "timeout": ({"delay_s": 30.0}, "no answer within 0.5 s"),
    "cut in mid-answer": ({"cut": True}, "the connection broke"),
}
each_trouble = pytest.mark.parametrize(("fault", "words"), TROUBLE.values(), ids=TROUBLE)


@each_trouble
def test_a_failed_read_is_the_roles_error_and_the_next_one_is_fine(
    fake_kube_api: FakeCluster, decode: ScaleTarget, fault: dict[str, Any], words: str
) -> None:
    fake_kube_api.api.faults.add(Fault(verb="get", resource=SCALE, **fault))

    failed, fine = decode.read(), decode.read()

    assert (failed.pools, fine.errors) == ({}, {})
    assert words in failed.errors[Role.DECODE]


@each_trouble
def test_a_failed_write_is_unavailable_and_not_repeated(
    fake_kube_api: FakeCluster, decode: ScaleTarget, fault: dict[str, Any], words: str
) -> None:
    basis = decode.read().basis[Role.DECODE]
    fake_kube_api.api.faults.add(Fault(verb="patch", resource=SCALE, **fault))

    result = decode.write(Role.DECODE, 6, basis=basis, dry_run=False)

    assert result.outcome is Outcome.UNAVAILABLE
    assert words in result.message
    assert fake_kube_api.api.log.count("patch") == 1


def test_a_server_that_is_not_there_is_said_within_the_timeout(fake_kube_api: FakeCluster, decode: ScaleTarget) -> None:
    fake_kube_api.api.close()
    started_s = time.monotonic()

    error = decode.read().errors[Role.DECODE]

    assert "no connection" in error
    assert "check that the API server is up" in error
    assert time.monotonic() - started_s < 2.0


@pytest.mark.parametrize("page", [b"<html>sign in</html>", b"[]", b"{}"])
def test_a_proxy_that_answers_200_with_something_else_is_no_zero(page: bytes, client_on: ClientOn) -> None:
    class SignInPage(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with HTTPServer(("127.0.0.1", 0), SignInPage) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        client = client_on(Cluster(f"http://127.0.0.1:{server.server_port}", "token", "serving", None))
        reading = ScaleTarget(client, {Role.DECODE: ScaledPool(ObjectRef.deployment("serving", "decode"))}).read()
        server.shutdown()
        thread.join()

    assert reading.pools == {}
    assert "is this an API server?" in reading.errors[Role.DECODE]


def test_reading_sends_no_write(fake_kube_api: FakeCluster, decode: ScaleTarget) -> None:
    for _ in range(3):
        decode.read()

    assert fake_kube_api.api.log.count() == 9
    assert fake_kube_api.api.log.writes() == []


def test_a_write_sends_the_count_and_what_it_rests_on_alone(fake_kube_api: FakeCluster, decode: ScaleTarget) -> None:
    basis = decode.read().basis[Role.DECODE]

    decode.write(Role.DECODE, 6, basis=basis, dry_run=True)

    (sent,) = fake_kube_api.api.log.writes()
    uid = fake_kube_api.get("apps/v1", "deployments", "decode")["metadata"]["uid"]
    query = {name: value for name, value in sent.query.items() if name != "timeout"}
    assert (sent.resource, query) == (SCALE, {"fieldManager": "pd-autoscaler", "dryRun": "All"})
    assert json.loads(sent.body) == [
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "test", "path": "/spec/replicas", "value": 4},
        {"op": "replace", "path": "/spec/replicas", "value": 6},
    ]


def test_pods_that_may_not_be_listed_are_said_once_and_cost_nothing_else(
    fake_kube_api: FakeCluster, decode_on: DecodeOn
) -> None:
    fake_kube_api.create("deployments", deployment("decode", replicas=4))
    rules = [{"apiGroups": ["apps"], "resources": ["deployments", SCALE], "verbs": ["get"]}]
    target = decode_on(fake_kube_api, token=fake_kube_api.service_account("reader", rules))

    with capture_logs() as logs:
        readings = [target.read() for _ in range(3)]

    assert [reading.pools[Role.DECODE].current for reading in readings] == [4, 4, 4]
    assert [reading.errors for reading in readings] == [{}, {}, {}]
    (said,) = logs
    assert "missing verb list on pods (API group core) in namespace serving" in said["reason"]


def test_a_fresh_failure_to_list_pods_is_said_again(fake_kube_api: FakeCluster, decode: ScaleTarget) -> None:
    with capture_logs() as logs:
        for failing in (True, True, False, True):
            if failing:
                fake_kube_api.api.faults.add(Fault(verb="list", resource="pods", code=500))
            decode.read()

    assert len(logs) == 2


def test_a_refusal_that_cannot_be_looked_into_is_told_with_both_reasons(
    fake_kube_api: FakeCluster, decode: ScaleTarget
) -> None:
    basis = decode.read().basis[Role.DECODE]
    fake_kube_api.patch("apps/v1", "deployments", "decode", {"spec": {"replicas": 2}})
    fake_kube_api.api.faults.add(Fault(verb="get", resource=SCALE, code=503))

    result = decode.write(Role.DECODE, 6, basis=basis, dry_run=False)

    assert result.outcome is Outcome.UNAVAILABLE
    assert "HTTP 422" in result.message
    assert "HTTP 503" in result.message
