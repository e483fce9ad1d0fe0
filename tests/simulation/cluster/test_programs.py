"""The programs that the example cluster runs: pods on loopback, and the load that is sent to them."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from random import Random
from threading import Event, Thread
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from autoscaler.core.capacity import DecodeStep, EngineModel, PrefillTime
from autoscaler.core.policy import Role
from autoscaler.simulation.cluster.load import Load, Tide, length, send
from autoscaler.simulation.cluster.pod import Pod, lengths_in
from tests.support.prometheus import wait_until

FAST = EngineModel(PrefillTime(1.0, 0.001, 0.0), DecodeStep(0.5, 0.01, 0.0), 1e6)


@contextmanager
def pod(role: Role, startup_s: float = 0.0) -> Iterator[Pod]:
    with Pod(role, FAST, "llama", host="127.0.0.1", port=0, startup_s=startup_s) as made:
        yield made


def get(url: str, path: str) -> tuple[int, str]:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def value(url: str, name: str) -> float:
    families = text_string_to_metric_families(get(url, "/metrics")[1])
    return sum(sample.value for family in families for sample in family.samples if sample.name == name)


def test_a_pod_serves_requests_and_vllms_metrics() -> None:
    with pod(Role.DECODE) as decode:
        assert send(decode.url, 1000, 20) == 200

        assert get(decode.url, "/health") == (200, "")
        assert value(decode.url, "vllm:generation_tokens_total") == 20
        assert value(decode.url, "vllm:prompt_tokens_total") == 1000
        assert value(decode.url, "vllm:num_requests_running") == 0


def test_a_pod_that_loads_its_model_answers_503() -> None:
    with pod(Role.PREFILL, startup_s=3600.0) as prefill:
        assert send(prefill.url, 1000, 20) == 503
        assert [get(prefill.url, path)[0] for path in ("/health", "/metrics")] == [503, 503]


def test_an_unknown_path_is_answered_with_those_there_are() -> None:
    with pod(Role.PREFILL) as prefill:
        assert get(prefill.url, "/v1/chat") == (404, "/health /metrics /v1/completions\n")


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"prompt_tokens": 1}', b'{"prompt_tokens": 0, "max_tokens": 5}', b'{"prompt_tokens":"x"}'],
)
def test_a_request_without_lengths_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="max_tokens"):
        lengths_in(body)


def test_requests_go_to_prefill_and_then_to_decode() -> None:
    stop = Event()
    with pod(Role.PREFILL) as prefill, pod(Role.DECODE) as decode:
        load = Load(prefill.url, decode.url, Tide(100.0, 200.0, 60.0), prompt_tokens=500, output_tokens=10)
        sender = Thread(target=load.run, args=(stop,))
        sender.start()
        wait_until(lambda: load.outcomes["served"] >= 20, "nothing is served")
        stop.set()
        sender.join()

        assert load.outcomes["failed"] == 0
        served = load.outcomes["served"]
        for url in (prefill.url, decode.url):
            assert value(url, "vllm:request_success_total") == served
        assert value(prefill.url, "vllm:generation_tokens_total") == served
        assert value(decode.url, "vllm:generation_tokens_total") > served


def test_a_request_that_nobody_takes_is_a_failure() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))

        assert send(f"http://127.0.0.1:{taken.getsockname()[1]}", 1, 1) == 0


def test_the_tide_swings_between_its_rates() -> None:
    tide, random = Tide(2.0, 10.0, 100.0), Random(1)  # noqa: S311 - load is no secret

    assert [round(tide.rate_per_s(at_s), 3) for at_s in (0.0, 25.0, 50.0, 100.0)] == [2.0, 6.0, 10.0, 2.0]
    times, at_s = [], 0.0
    while at_s < 1000.0:
        at_s = tide.next_s(at_s, random)
        times.append(at_s)
    assert len(times) == pytest.approx(6000, rel=0.05)


def test_lengths_have_the_mean_that_was_asked_for() -> None:
    random = Random(1)  # noqa: S311 - load is no secret

    lengths = [length(3000.0, random) for _ in range(5000)]

    assert sum(lengths) / len(lengths) == pytest.approx(3000.0, rel=0.05)
    assert min(lengths) >= 1


def test_the_programs_run_as_processes_and_end_when_asked_to() -> None:
    python = [sys.executable, "-m"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    serve = [*python, "autoscaler.simulation.cluster.pod", "--role=decode", "--host=127.0.0.1", f"--port={port}"]
    press = [*python, "autoscaler.simulation.cluster.load", f"--prefill={url}", f"--decode={url}"]
    press += ["--low=50", "--high=50", "--prompt-tokens=10", "--output-tokens=1"]
    with subprocess.Popen(serve) as server:
        try:
            wait_until(lambda: answers(url), "the pod does not answer", timeout_s=20.0)
            with subprocess.Popen(press) as sender:
                wait_until(lambda: value(url, "vllm:request_success_total") >= 5, "no load comes", timeout_s=20.0)
                sender.send_signal(signal.SIGTERM)
                assert sender.wait(20) == 0
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0


def answers(url: str) -> bool:
    try:
        return get(url, "/health")[0] == 200
    except OSError:
        return False


def test_the_load_needs_to_know_where_to_go() -> None:
    command = [sys.executable, "-m", "autoscaler.simulation.cluster.load"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert re.search(r"required: --prefill, --decode", done.stderr)
