from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.core.signals import Signal, Signals, SignalState
from autoscaler.sources.http import Connection
from autoscaler.sources.prometheus import PrometheusSource, ReadStats
from autoscaler.sources.query_client import FailureKind
from autoscaler.stacks.queries import ServiceQueries
from tests.sources.chat import NOW_S, pick, queries
from tests.support.loopback import Loopback, Reply, Request, json_reply, running_loopback

QUERIES = queries("chat")
ONE_BATCH_BYTES = 6_000
NO_HISTOGRAM = {"service.ttft_attainment_ratio", "service.tpot_attainment_ratio", "decode.kv_capacity_tokens"}
"""Signals that the plain elements of the healthy server are not enough for."""


class FakeClock:
    """Seconds that pass when told, or by a step a look."""

    def __init__(self, step_s: float = 0.0) -> None:
        self.at_s = 100.0
        self.step_s = step_s

    def __call__(self) -> float:
        self.at_s += self.step_s
        return self.at_s


def elements(query: str, value: float = 7.0) -> list[dict[str, Any]]:
    """One series for every expression of a query; ages are those of fresh samples."""
    arms = re.findall(r'label_replace\((.*?)\n, "pd_signal", "(\d+)", "", ""\)', query, re.DOTALL)
    return [
        {"metric": {"pd_signal": index} if index else {}, "value": [NOW_S, str(NOW_S if is_age(text) else value)]}
        for text, index in arms or [(query, "")]
    ]


def is_age(text: str) -> bool:
    return text.startswith("max(timestamp(")


def healthy(request: Request, **extra: object) -> Reply:
    result = elements(request.form["query"])
    return json_reply({"status": "success", "data": {"resultType": "vector", "result": result}, **extra})


def always(reply: Reply) -> Callable[[Request], Reply]:
    return lambda _: reply


@contextlib.contextmanager
def reading(
    server: Loopback | str,
    *,
    of: ServiceQueries = QUERIES,
    clock: Callable[[], float] = time.monotonic,
    timeout_s: float = 5.0,
    connection: Connection | None = None,
) -> Iterator[PrometheusSource]:
    url = server if isinstance(server, str) else server.url
    source = PrometheusSource(of, connection or Connection(url, timeout_s=timeout_s), clock=clock)
    with contextlib.closing(source):
        yield source


def all_of(signals: Signals) -> list[Signal]:
    return [signal for of_scope in signals.values() for signal in of_scope.values()]


def absent_paths(signals: Signals) -> set[str]:
    return {
        f"{scope}.{name}"
        for scope, of_scope in signals.items()
        for name, signal in of_scope.items()
        if signal.state is SignalState.ABSENT
    }


def the_reason(signals: Signals) -> str:
    """Why every signal is absent, which must be one reason."""
    assert {signal.state for signal in all_of(signals)} == {SignalState.ABSENT}
    (reason,) = {signal.detail for signal in all_of(signals)}
    return reason


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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


def test_a_server_that_is_down_makes_every_signal_absent_with_the_cause_and_a_way_out() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with reading(url) as source:
        signals = source.read(NOW_S)

    assert the_reason(signals) == (
        f"Prometheus at {url} cannot be reached: [Errno 111] Connection refused; "
        "check the address and that the server runs"
    )
    assert source.last_read.requests == 1
    assert source.last_read.errors == {FailureKind.CONNECTION: 1}


def test_a_host_that_does_not_exist_is_named() -> None:
    with reading("http://prometheus.invalid:9090") as source:
        reason = the_reason(source.read(NOW_S))

    assert "Prometheus at http://prometheus.invalid:9090 cannot be reached" in reason
    assert "object at 0x" not in reason


def test_a_failing_server_is_left_alone_for_growing_times_up_to_a_minute() -> None:
    clock = FakeClock()
    pauses_s = []
    with running_loopback(always(Reply(500))) as server, reading(server, clock=clock) as source:
        for failures in range(1, 7):
            source.read(NOW_S)
            asked = len(server.requests)
            reason = the_reason(source.read(NOW_S))
            assert f"(failures in a row: {failures}; next attempt in" in reason
            assert source.last_read == ReadStats()
            pauses_s.append(float(re.findall(r"next attempt in (\d+) s", reason)[0]))
            clock.at_s += pauses_s[-1] - 0.5
            source.read(NOW_S)
            assert len(server.requests) == asked
            clock.at_s += 1.0

    assert pauses_s == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]


def test_a_server_that_comes_back_is_read_without_a_restart() -> None:
    clock = FakeClock()
    port = free_port()
    with reading(f"http://127.0.0.1:{port}", clock=clock) as source:
        before = source.read(NOW_S)
        clock.at_s += 15.0
        with running_loopback(healthy, port=port):
            after = source.read(NOW_S)
            again = source.read(NOW_S)
            source.close()

    assert "cannot be reached" in the_reason(before)
    assert pick(after, "decode.running").usable == pick(again, "decode.running").usable == 7.0


def test_a_slow_server_costs_no_more_than_the_timeout() -> None:
    over = threading.Event()

    def hang(_: Request) -> Reply:
        over.wait(10.0)
        return Reply()

    with running_loopback(hang) as server, reading(server, timeout_s=0.2) as source:
        started_s = time.monotonic()
        signals = source.read(NOW_S)
        took_s = time.monotonic() - started_s
        over.set()

    assert took_s < 2.0
    assert all(signal.state is SignalState.ABSENT for signal in all_of(signals))
    assert "gave no answer within 0.2 s" in pick(signals, "prefill.queue_depth").detail
    assert source.last_read.errors == {FailureKind.TIMEOUT: 1}


def test_a_server_that_drips_its_answer_costs_little_more_than_the_timeout() -> None:
    over = threading.Event()

    def drip() -> Iterator[bytes]:
        yield b'{"status":'
        while not over.wait(0.05):
            yield b" "

    reply = Reply(chunks=drip(), length=1_000_000)
    with running_loopback(always(reply)) as server, reading(server, timeout_s=0.3) as source:
        started_s = time.monotonic()
        signals = source.read(NOW_S)
        took_s = time.monotonic() - started_s
        over.set()

    assert took_s < 2.0
    assert "gave no answer within 0.3 s" in pick(signals, "prefill.queue_depth").detail


def test_queries_share_one_deadline() -> None:
    with running_loopback(healthy) as server, reading(server, clock=FakeClock(step_s=1.0), timeout_s=3.0) as source:
        signals = source.read(NOW_S)

    assert len(server.requests) < 3
    assert pick(signals, "prefill.queue_depth").state in (SignalState.VALUE, SignalState.STALE)
    assert "earlier queries used up the time of this tick" in pick(signals, "service.request_rate").detail


def test_an_answer_cut_short_is_a_failed_connection() -> None:
    reply = Reply(body=b'{"status": "success"', length=500)
    with running_loopback(always(reply)) as server, reading(server) as source:
        reason = the_reason(source.read(NOW_S))

    assert "cannot be reached" in reason
    assert "IncompleteRead" in reason


def test_an_answer_of_enormous_size_is_not_swallowed() -> None:
    def endless(request: Request) -> Reply:
        if "num_preemptions" not in request.form["query"]:
            return healthy(request)
        return Reply(chunks=[b" " * 1_048_576] * 10, length=10 * 1_048_576)

    with running_loopback(endless) as server, reading(server) as source:
        signals = source.read(NOW_S)

    assert "larger than 8 MiB; aggregate the series" in pick(signals, "decode.preemption_rate").detail
    assert pick(signals, "decode.running").usable == 7.0


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
        @settings(max_examples=60, deadline=None)
        def read_anything(status: int, body: bytes) -> None:
            server.answer = always(Reply(status, body if status != 204 else b""))
            with reading(server) as source:
                assert all(signal.usable is None for signal in all_of(source.read(NOW_S)))

        read_anything()


def test_elements_that_nobody_asked_for_are_left_out() -> None:
    def chatty(request: Request) -> Reply:
        strangers = [
            {"metric": labels, "value": [NOW_S, "1"]} for labels in ({}, {"pd_signal": "999"}, {"pd_signal": "x"})
        ]
        result = elements(request.form["query"]) + strangers
        return json_reply({"status": "success", "data": {"resultType": "vector", "result": result}})

    with running_loopback(chatty) as server, reading(server) as source:
        assert pick(source.read(NOW_S), "decode.running").usable == 7.0


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


def test_a_partial_answer_is_shown_and_may_not_be_used() -> None:
    def partial(request: Request) -> Reply:
        return healthy(request, warnings=["No StoreAPIs matched for this query"])

    with running_loopback(partial) as server, reading(server) as source:
        signals = source.read(NOW_S)

    signal = pick(signals, "decode.running")
    assert (signal.state, signal.value, signal.usable) == (SignalState.STALE, 7.0, None)
    assert signal.detail == "the answer may be incomplete: No StoreAPIs matched for this query"
    assert source.last_read.errors == {FailureKind.WARNING: source.last_read.requests}


def test_a_leg_that_a_partial_answer_lacks_is_not_taken_as_no_leg() -> None:
    def without_prefill(request: Request) -> Reply:
        arms = [arm for arm in elements(request.form["query"]) if not is_sum_of_legs(request.form["query"], arm)]
        result = {"resultType": "vector", "result": arms}
        return json_reply({"status": "success", "data": result, "warnings": ["a store is away"]})

    def is_sum_of_legs(query: str, element: dict[str, Any]) -> bool:
        position = query.find(f'"pd_signal", "{element["metric"]["pd_signal"]}"')
        return "e2e_request_latency" in query[query.rfind("label_replace(", 0, position) : position]

    with running_loopback(without_prefill) as server, reading(server) as source:
        ttft = pick(source.read(NOW_S), "service.ttft_s")

    assert ttft.state is SignalState.ABSENT
    assert ttft.detail == "the answer is empty and may be incomplete: a store is away"


def test_remarks_on_style_change_nothing() -> None:
    def remark(request: Request) -> Reply:
        return healthy(request, warnings=["PromQL info: metric might not be a counter"], infos=["PromQL info: x"])

    with running_loopback(remark) as server, reading(server) as source:
        assert pick(source.read(NOW_S), "decode.running").usable == 7.0


def test_a_warning_about_one_expression_costs_only_its_own_signal() -> None:
    def warn(request: Request) -> Reply:
        if "num_preemptions" in request.form["query"]:
            return healthy(request, warnings=["PromQL warning: bucket label is missing"])
        return healthy(request)

    with running_loopback(warn) as server, reading(server) as source:
        signals = source.read(NOW_S)

    assert pick(signals, "decode.preemption_rate").state is SignalState.STALE
    assert pick(signals, "decode.running").usable == 7.0


def test_a_bearer_token_is_read_anew_when_its_file_changes(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    with running_loopback(healthy) as server:
        connection = Connection(server.url, bearer_token_file=token)
        with reading(server, connection=connection) as source:
            source.read(NOW_S)
            token.write_text("second\n")
            before = len(server.requests)
            source.read(NOW_S)

    sent = [request.headers["Authorization"] for request in server.requests]
    assert set(sent[:before]) == {"Bearer first"}
    assert set(sent[before:]) == {"Bearer second"}


@pytest.mark.parametrize(("content", "words"), [(None, "cannot be read: [Errno 2]"), (" \n", "is empty")])
def test_a_token_that_cannot_be_read_is_named_and_nothing_is_sent(
    tmp_path: Path, content: str | None, words: str
) -> None:
    token = tmp_path / "token"
    if content is not None:
        token.write_text(content)
    with (
        running_loopback(healthy) as server,
        reading(server, connection=Connection(server.url, bearer_token_file=token)) as source,
    ):
        reason = the_reason(source.read(NOW_S))

    assert f"the token file {token} {words}" in reason
    assert not server.requests
    assert source.last_read.errors == {FailureKind.CREDENTIALS: 1}


@pytest.mark.parametrize(
    ("credentials", "header"),
    [
        ({"bearer_token": "t0ken"}, "Bearer t0ken"),
        ({"username": "us\u00e9r", "password": "p"}, "Basic dXPDqXI6cA=="),
        ({"username": "user", "password_file": "p"}, "Basic dXNlcjpwYXNz"),
        ({}, None),
    ],
)
def test_credentials_and_headers_are_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, credentials: dict[str, str], header: str | None
) -> None:
    (tmp_path / "p").write_text("pass\n")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login stray password stray\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    if "password_file" in credentials:
        credentials = {**credentials, "password_file": tmp_path / "p"}  # type: ignore[dict-item]
    with running_loopback(healthy) as server:
        connection = Connection(server.url, headers={"X-Scope-OrgID": "team"}, **credentials)  # type: ignore[arg-type]
        with reading(server, connection=connection) as source:
            source.read(NOW_S)

    (sent,) = {
        tuple(request.headers.get(name) for name in ("Authorization", "X-Scope-OrgID")) for request in server.requests
    }
    assert sent == (header, "team")
    assert server.requests[0].headers["User-Agent"].startswith("pd-autoscaler/")


def test_secrets_do_not_show_when_a_connection_is_printed() -> None:
    connection = Connection("http://x", bearer_token="t0ken", password="pa55", headers={"X-Key": "k3y"})

    assert not re.search("t0ken|pa55|k3y", repr(connection))


def test_a_path_prefix_is_kept() -> None:
    with running_loopback(healthy) as server, reading(f"{server.url}/prometheus/") as source:
        source.read(NOW_S)

    assert {request.path for request in server.requests} == {"/prometheus/api/v1/query"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for the name prometheus.example."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=prometheus.example", "-addext", "subjectAltName=DNS:prometheus.example"]
    subprocess.run([*command, *names, "-keyout", str(path), "-out", f"{path}.crt"], check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@pytest.mark.parametrize(
    ("trust", "words"),
    [
        ({}, "has no certificate that we trust"),
        ({"ca_file": True}, "has no certificate that we trust"),  # trusted, but for another name
        ({"ca_file": True, "server_name": "prometheus.example"}, ""),
        ({"verify": False}, ""),
        ({"ca_file": Path("/nowhere")}, "cannot be reached: Could not find a suitable TLS CA certificate bundle"),
    ],
)
def test_certificates_are_checked(certificate: Path, trust: dict[str, object], words: str) -> None:
    given = {**trust, "ca_file": certificate if trust.get("ca_file") is True else trust.get("ca_file")}
    with running_loopback(healthy, certificate=certificate) as server:
        connection = Connection(server.url, **given)  # type: ignore[arg-type]
        with reading(server, connection=connection) as source:
            signal = pick(source.read(NOW_S), "decode.running")

    assert words in signal.detail
    assert (signal.usable == 7.0) == (not words)


def test_https_to_a_server_that_speaks_http_says_so() -> None:
    with running_loopback(healthy) as server, reading(server.url.replace("http:", "https:")) as source:
        reason = the_reason(source.read(NOW_S))

    assert reason.startswith("TLS with Prometheus at https://")
    assert reason.endswith("does it want a client certificate, or plain http?")


@pytest.mark.parametrize("shown", [True, False])
def test_a_client_certificate_is_shown(certificate: Path, shown: bool) -> None:
    own = {"cert_file": certificate, "key_file": certificate} if shown else {}
    with running_loopback(healthy, certificate=certificate, clients=certificate) as server:
        connection = Connection(server.url, ca_file=certificate, server_name="prometheus.example", **own)  # type: ignore[arg-type]
        with reading(server, connection=connection) as source:
            signal = pick(source.read(NOW_S), "decode.running")

    assert (signal.usable == 7.0) == shown
    assert ("does it want a client certificate" in signal.detail or "cannot be reached" in signal.detail) == (not shown)
