from __future__ import annotations

import pytest

from autoscaler.core.signals import Signals
from tests.stacks.services import ALL_PATHS, check, fill, read, service
from tests.support.distributions import below, quantile
from tests.support.prometheus import Prometheus
from tests.support.series_kit import Page
from tests.support.series_moreh import LATENCY_BOUNDS_S, TOKEN_BOUNDS, Endpoint, Gateway, pages

GATEWAY = Gateway(
    (
        Endpoint("p-0", "prefill", waiting=5.0, running=2.0, kv_percent=20.0),
        Endpoint("p-1", "prefill", waiting=2.0, running=1.0, kv_percent=40.0),
        Endpoint("d-0", "decode", waiting=3.0, running=60.0, kv_percent=70.0),
        Endpoint("d-1", "decode", waiting=1.0, running=50.0, kv_percent=90.0),
        Endpoint("e-0", "e2e", waiting=100.0, running=100.0, kv_percent=100.0),
    )
)
EXPECTED: dict[str, float | str] = {
    "prefill.queue_depth": 7.0,
    "prefill.in_flight": 3.0,
    "prefill.offered_tokens_per_s": 6.0 * 1150,
    "prefill.uncached_ratio": "neither gateway nor endpoints tell of a cache",
    "prefill.request_rate": 6.0,
    "prefill.queue_time_s": "no queueing time",
    "prefill.prefill_time_s": "time to first token as a whole",
    "prefill.kv_utilization_mean": 0.3,
    "prefill.kv_utilization_max": 0.4,
    "prefill.ready_replicas": 2.0,
    "prefill.reporting_replicas": 2.0,
    "decode.kv_utilization_mean": 0.8,
    "decode.kv_utilization_max": 0.9,
    "decode.running": 110.0,
    "decode.waiting": 4.0,
    "decode.waiting_for_kv": "no gauge of them",
    "decode.preemption_rate": "no count of it",
    "decode.offered_tokens_per_s": 6.0 * 1150,
    "decode.uncached_ratio": "neither gateway nor endpoints tell of a cache",
    "decode.request_rate": 6.0,
    "decode.generation_tokens_per_s": 1500.0,
    "decode.step_time_s": 0.04,
    "decode.queue_time_s": "no queueing time",
    "decode.first_token_time_s": "time to first token as a whole",
    "decode.kv_capacity_tokens": "not its size",
    "decode.ready_replicas": 2.0,
    "decode.reporting_replicas": 2.0,
    "service.kv_transfer_time_s": "neither gateway nor endpoints measure it",
    "service.kv_expired_rate": "no count of it",
    "service.ttft_s": quantile(0.95, GATEWAY.ttft_s, LATENCY_BOUNDS_S),
    "service.tpot_s": quantile(0.9, GATEWAY.itl_s, LATENCY_BOUNDS_S),
    "service.ttft_attainment_ratio": below(0.9, GATEWAY.ttft_s, LATENCY_BOUNDS_S),
    "service.tpot_attainment_ratio": below(0.06, GATEWAY.itl_s, LATENCY_BOUNDS_S),
    "service.request_rate": 6.0,
    "service.input_tokens_mean": 1150.0,
    "service.input_tokens_p50": quantile(0.5, GATEWAY.input_tokens, TOKEN_BOUNDS),
    "service.input_tokens_p90": quantile(0.9, GATEWAY.input_tokens, TOKEN_BOUNDS),
    "service.output_tokens_mean": 250.0,
}


@pytest.fixture(scope="module")
def signals(server: Prometheus) -> Signals:
    fill(server, pages(GATEWAY, "mif"))
    fill(server, pages(Gateway((Endpoint("p-9", "prefill", 50.0, 50.0, 90.0),)), "mif-other"))
    return read(server, service("moreh", selector={"namespace": "mif", "aigateway": "chat"}, targets=("p", "d")))


def test_every_signal_has_an_expected_value() -> None:
    assert EXPECTED.keys() == ALL_PATHS


@pytest.mark.parametrize("path", EXPECTED)
def test_endpoints_are_told_apart_by_the_labels_of_their_pods(signals: Signals, path: str) -> None:
    check(signals, path, EXPECTED[path])


def test_an_endpoint_that_two_replicas_of_the_gateway_tell_of_counts_once(server: Prometheus) -> None:
    first, *others = pages(GATEWAY, "mif-two")
    told = [row for row in first.rows if row.name.startswith("inference_service_")]
    fill(server, [first, Page({**first.target, "pod": "gateway-1"}, told), *others])

    signals = read(server, service("moreh", selector={"namespace": "mif-two", "aigateway": "chat"}))

    for path, expected in EXPECTED.items():
        check(signals, path, expected)


def test_without_the_pods_labels_the_reason_names_the_series_that_are_missing(server: Prometheus) -> None:
    fill(server, pages(GATEWAY, "mif-no-labels")[:1])

    signals = read(server, service("moreh", selector={"namespace": "mif-no-labels"}, targets=("p", "d")))

    check(signals, "prefill.queue_depth", "no series match kube_pod_labels{label_mif_moreh_io_role=")
    check(signals, "service.ttft_s", EXPECTED["service.ttft_s"])
