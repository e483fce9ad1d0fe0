"""What is sent to a Prometheus, and what of a healthy answer is kept."""

from __future__ import annotations

from tests.sources.chat import NOW_S, pick
from tests.sources.prometheus_server import elements, healthy, reading
from tests.support.loopback import Reply, Request, json_reply, running_loopback

ONE_BATCH_BYTES = 6_000


def test_a_healthy_server_gives_values() -> None:
    with running_loopback(healthy) as server, reading(server) as source:
        signals = source.read(NOW_S)

    assert pick(signals, "decode.running").usable == 7.0
    assert source.last_read.requests == len(server.requests) <= 5
    assert source.last_read.errors == {}


def test_a_connection_is_used_again_by_the_next_tick() -> None:
    with running_loopback(healthy) as server, reading(server) as source:
        source.read(NOW_S)
        source.read(NOW_S + 15.0)

    assert len({request.connection for request in server.requests}) == 1


def test_queries_go_into_the_body_at_the_time_of_the_tick_and_stay_below_the_size_of_a_batch() -> None:
    with running_loopback(healthy) as server, reading(server) as source:
        source.read(NOW_S)

    assert {(request.method, request.path) for request in server.requests} == {("POST", "/api/v1/query")}
    assert {request.form["time"] for request in server.requests} == {"1760000000.000"}
    assert all(len(request.form["query"]) <= ONE_BATCH_BYTES for request in server.requests)
    assert all(0 < float(request.form["timeout"]) <= 5.0 for request in server.requests)


def test_a_path_prefix_is_kept() -> None:
    with running_loopback(healthy) as server, reading(f"{server.url}/prometheus/") as source:
        source.read(NOW_S)

    assert {request.path for request in server.requests} == {"/prometheus/api/v1/query"}


def test_elements_that_nobody_asked_for_are_left_out() -> None:
    def chatty(request: Request) -> Reply:
        strangers = [
            {"metric": labels, "value": [NOW_S, "1"]} for labels in ({}, {"pd_signal": "999"}, {"pd_signal": "x"})
        ]
        result = elements(request.form["query"]) + strangers
        return json_reply({"status": "success", "data": {"resultType": "vector", "result": result}})

    with running_loopback(chatty) as server, reading(server) as source:
        assert pick(source.read(NOW_S), "decode.running").usable == 7.0
