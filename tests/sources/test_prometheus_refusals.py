"""A Prometheus that refuses queries, fails at them, or is none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.core.signals import Signals, SignalState
from autoscaler.sources.query_client import FailureKind
from tests.sources.chat import NOW_S, pick
from tests.sources.prometheus_server import FakeClock, all_of, always, healthy, reading, the_reason
from tests.support.loopback import Reply, Request, json_reply, running_loopback

NO_HISTOGRAM = {"service.ttft_attainment_ratio", "service.tpot_attainment_ratio", "decode.kv_capacity_tokens"}
"""Signals that the plain elements of the healthy server are not enough for."""


def test_a_server_that_refuses_every_query_is_not_asked_them_all() -> None:
    reply = json_reply({"status": "error", "error": "read-only"}, 400)
    with running_loopback(always(reply)) as server, reading(server, clock=FakeClock()) as source:
        reason = the_reason(source.read(NOW_S))
        asked = len(server.requests)
        source.read(NOW_S)

    assert "refused the query (400): read-only" in reason
    assert asked == len(server.requests) == 11


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, FailureKind.CREDENTIALS, "refused our credentials (401): no; check the token, user or tenant header"),
        (403, FailureKind.CREDENTIALS, "refused our credentials (403): no; check the token"),
        (404, FailureKind.SERVER, "/api/v1/query does not exist (404): no; is a path prefix missing in the address?"),
        (429, FailureKind.SERVER, "failed (429): no; look into its log"),
    ],
)
def test_a_refusal_that_would_meet_every_query_is_met_once(status: int, kind: FailureKind, words: str) -> None:
    reply = json_reply({"status": "error", "error": "no"}, status)
    with running_loopback(always(reply)) as server, reading(server) as source:
        reason = the_reason(source.read(NOW_S))

    assert words in reason
    assert len(server.requests) == 1
    assert source.last_read.errors == {kind: 1}


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_is_not_answered_with_more_queries_than_usual(status: int) -> None:
    with running_loopback(healthy) as server, reading(server) as source:
        source.read(NOW_S)
        usual = len(server.requests)
        server.requests.clear()
        server.answer = always(Reply(status, b"upstream  is\ngone"))
        reason = the_reason(source.read(NOW_S))

    assert f"failed ({status}): upstream is gone; look into its log" in reason
    assert len(server.requests) == usual


def test_a_redirect_is_shown_and_not_followed() -> None:
    reply = Reply(302, headers={"Location": "https://login.example/"})
    with running_loopback(always(reply)) as server, reading(server) as source:
        reason = the_reason(source.read(NOW_S))

    assert "redirects to https://login.example/ (302); write that address, or log in" in reason


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Sign in</html>",
        b"",
        b"[]",
        b"null",
        b'{"status": "success"}',
        b'{"status": "success", "data": null}',
        b'{"status": "success", "data": {"resultType": "vector", "result": []}, "warnings": 5}',
        b'{"status": "success", "data": {"resultType": "vector", "result": []}, "warnings": "all is lost"}',
        b"[" * 200_000,
        b'{"a": ' + b"9" * 10_000 + b"}",
        b'{"status": "success", "data": {"result": 5}}',
        b'{"status": "success", "data": {"result": [5]}}',
        b'{"status": "success", "data": {"result": [{"metric": {}}]}}',
        b'{"status": "success", "data": {"result": [{"metric": {}, "value": [1, "many"]}]}}',
        b'{"status": "success", "data": {"result": [{"metric": {}, "value": []}]}}',
        b'{"status": "success", "data": {"resultType": "scalar", "result": [1, "2"]}}',
        b"\xff\xfe\x00",
    ],
)
def test_what_is_no_answer_of_prometheus_says_so(body: bytes) -> None:
    with running_loopback(always(Reply(body=body))) as server, reading(server) as source:
        reason = the_reason(source.read(NOW_S))

    assert "is it a Prometheus API?" in reason
    assert source.last_read.errors == {FailureKind.MALFORMED: 1}


def test_no_answer_whatever_makes_a_read_raise() -> None:
    with running_loopback(healthy) as server:

        @given(
            st.sampled_from([200, 200, 204, 400, 422, 500]),
            st.one_of(
                st.binary(max_size=40),
                st.recursive(
                    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
                    lambda inner: (
                        st.lists(inner, max_size=3)
                        | st.dictionaries(
                            st.sampled_from(["status", "data", "result", "metric", "value", "error", "warnings"]), inner
                        )
                    ),
                    max_leaves=8,
                ).map(lambda document: json.dumps(document).encode()),
            ),
        )
        @settings(max_examples=60)
        def read_anything(status: int, body: bytes) -> None:
            server.answer = always(Reply(status, body if status != 204 else b""))
            with reading(server) as source:
                assert all(signal.usable is None for signal in all_of(source.read(NOW_S)))

        read_anything()


def absent_paths(signals: Signals) -> set[str]:
    return {
        f"{scope}.{name}"
        for scope, of_scope in signals.items()
        for name, signal in of_scope.items()
        if signal.state is SignalState.ABSENT
    }


def refuse_preemptions(request: Request) -> Reply:
    if "rate(vllm:num_preemptions_total" in request.form["query"]:
        return json_reply({"status": "error", "errorType": "bad_data", "error": "too many samples"}, 422)
    return healthy(request)


def test_a_refused_expression_is_asked_alone_until_it_is_well_again() -> None:
    with running_loopback(healthy) as server, reading(server) as source:
        source.read(NOW_S)
        usual = source.last_read.requests
        server.answer = refuse_preemptions
        first = source.read(NOW_S)
        searching = source.last_read.requests
        second = source.read(NOW_S)
        alone = source.last_read
        server.answer = healthy
        source.read(NOW_S)
        source.read(NOW_S)
        well = source.last_read

    for signals in (first, second):
        assert "refused the query (422): too many samples" in pick(signals, "decode.preemption_rate").detail
        assert absent_paths(signals) == NO_HISTOGRAM | {"decode.preemption_rate"}
    assert searching > alone.requests == usual + 1
    assert alone.errors == {FailureKind.EXPRESSION: 1}
    assert (well.requests, well.errors) == (usual, {})


def test_a_server_that_takes_only_short_queries_gets_shorter_ones() -> None:
    def short(request: Request) -> Reply:
        if len(request.form["query"]) > 2000:
            return json_reply({"status": "error", "error": "query too long"}, 400)
        return healthy(request)

    with running_loopback(short) as server, reading(server) as source:
        for _ in range(4):
            signals = source.read(NOW_S)

    assert pick(signals, "decode.running").usable == 7.0
    assert source.last_read.errors == {}
