from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.signals import Signals
from tests.sources.chat import ENGINES
from tests.sources.chat import EXPECTED as AT_THE_ENGINES
from tests.stacks.services import FROM_S, NOW_S, check, fill, pick, read, service
from tests.support.distributions import below, quantile
from tests.support.prometheus import Prometheus
from tests.support.series_aibrix import BOUNDS_S, Gateway, page
from tests.support.vllm_series import Fleet

GATEWAY = Gateway()
AT_THE_GATEWAY: dict[str, float] = {
    "service.ttft_s": quantile(0.95, GATEWAY.ttft_s, BOUNDS_S),
    "service.ttft_attainment_ratio": below(0.9, GATEWAY.ttft_s, BOUNDS_S),
}


def write_engines(server: Prometheus, namespace: str, model: str) -> None:
    server.write(Fleet(ENGINES, model, {"namespace": namespace}).time_series(FROM_S, NOW_S))


@pytest.fixture(scope="module")
def signals(server: Prometheus) -> Signals:
    write_engines(server, "aibrix", "aibrix-llama")
    fill(server, [page(GATEWAY, "aibrix-llama", "aibrix")])
    return read(server, service("aibrix", selector={"namespace": "aibrix"}, model="aibrix-llama"))


@pytest.mark.parametrize("path", AT_THE_ENGINES)
def test_latencies_in_ranges_at_the_gateway_and_all_else_at_the_engines(signals: Signals, path: str) -> None:
    check(signals, path, (AT_THE_ENGINES | AT_THE_GATEWAY)[path])


def test_a_share_inside_a_range_says_between_which_bounds_it_lies(signals: Signals) -> None:
    assert pick(signals, "service.ttft_attainment_ratio").detail == (
        "interpolated at 0.9 s; the buckets allow 33.3% to 66.7%; "
        "streaming requests that report their usage, counted when their stream ends"
    )


def test_beyond_the_last_range_the_quantile_is_where_that_begins(server: Prometheus) -> None:
    fill(server, [page(replace(GATEWAY, ttft_s=(0.3, 9.0)), "aibrix-slow", "aibrix-slow")])

    signals = read(server, service("aibrix", selector={"namespace": "aibrix-slow"}, model="aibrix-slow"))

    check(signals, "service.ttft_s", 5.0)
    check(signals, "service.ttft_attainment_ratio", 0.5)


def test_without_engines_the_gateway_tells_what_it_can(server: Prometheus) -> None:
    fill(server, [page(GATEWAY, "aibrix-bare", "aibrix-bare")])

    signals = read(server, service("aibrix", selector={"namespace": "aibrix-bare"}, model="aibrix-bare"))

    expected: dict[str, float | str] = {
        "service.tpot_s": quantile(0.9, GATEWAY.tpot_s, BOUNDS_S),
        "service.tpot_attainment_ratio": below(0.06, GATEWAY.tpot_s, BOUNDS_S),
        "service.request_rate": 6.0,
        "service.input_tokens_mean": 1100.0,
        "service.output_tokens_mean": 240.0,
        "prefill.queue_depth": "no series match vllm:num_requests_waiting",
    }
    for path, value in expected.items():
        check(signals, path, value)


def test_a_gateway_that_takes_the_end_of_a_stream_for_its_first_token_is_not_believed(server: Prometheus) -> None:
    write_engines(server, "aibrix-old", "aibrix-old")
    old = replace(GATEWAY, ttft_s=(20.0, 30.0, 40.0), times_first_token=False)
    fill(server, [page(old, "aibrix-old", "aibrix-old")])

    signals = read(server, service("aibrix", selector={"namespace": "aibrix-old"}, model="aibrix-old"))

    for path in AT_THE_GATEWAY:
        check(signals, path, AT_THE_ENGINES[path])
        assert "does not time the first token" in pick(signals, path).detail


def test_without_the_gateway_the_engines_tell_and_the_detail_says_so(server: Prometheus) -> None:
    write_engines(server, "aibrix-no-gateway", "aibrix-other")

    signals = read(server, service("aibrix", selector={"namespace": "aibrix-no-gateway"}, model="aibrix-other"))

    for path, expected in AT_THE_ENGINES.items():
        check(signals, path, expected)
    assert "the gateway tells nothing or does not time the first token" in pick(signals, "service.ttft_s").detail
