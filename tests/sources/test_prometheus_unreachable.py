"""A Prometheus that is down, slow, or ends in the middle of an answer."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator

from autoscaler.core.signals import SignalState
from autoscaler.sources.prometheus import ReadStats
from autoscaler.sources.query_client import FailureKind
from tests.sources.chat import NOW_S, pick
from tests.sources.prometheus_server import FakeClock, all_of, always, free_port, healthy, reading, the_reason
from tests.support.loopback import Reply, Request, running_loopback


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
