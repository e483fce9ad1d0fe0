from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from autoscaler.core.signals import Signals
from tests.stacks.services import ALL_PATHS, NOW_S, check, fill, read, service
from tests.support.distributions import below, quantile, sum_below
from tests.support.prometheus import Prometheus
from tests.support.series_trtllm import (
    CONTEXT,
    GENERATION,
    REQUEST_BOUNDS_S,
    TOKEN_BOUNDS_S,
    TTFT_BOUNDS_S,
    Server,
    page,
)

SERVERS = (CONTEXT, replace(CONTEXT, pod="p-1", waiting=1.0, usage=0.5), GENERATION)
E2E_S, TTFT_S, TPOT_S = (0.4, 0.6, 0.9), (0.08, 0.2, 0.3), (0.03, 0.04, 0.07)
GROWTH = 0.02
EXPECTED: dict[str, float | str] = {
    "prefill.queue_depth": 4.0 + GROWTH * (NOW_S % 7_000) + 1.0,
    "prefill.in_flight": 4.0,
    "prefill.offered_tokens_per_s": 6.0 * 1200 + GROWTH * 1200,
    "prefill.uncached_ratio": 0.75,
    "prefill.request_rate": 6.0 + GROWTH,
    "prefill.queue_time_s": 0.2,
    "prefill.prefill_time_s": 0.3,
    "prefill.kv_utilization_mean": 0.4,
    "prefill.kv_utilization_max": 0.5,
    "prefill.ready_replicas": 2.0,
    "prefill.reporting_replicas": 2.0,
    "decode.kv_utilization_mean": 0.6,
    "decode.kv_utilization_max": 0.6,
    "decode.running": 70.0,
    "decode.waiting": 5.0,
    "decode.waiting_for_kv": "no gauge of them",
    "decode.preemption_rate": "tells no rate",
    "decode.offered_tokens_per_s": 6.0 * 1200,
    "decode.uncached_ratio": 1.0,
    "decode.request_rate": 6.0,
    "decode.generation_tokens_per_s": 1500.0,
    "decode.step_time_s": 0.14 / 3,
    "decode.queue_time_s": 0.03,
    "decode.first_token_time_s": 0.58 / 3,
    "decode.kv_capacity_tokens": 32_000.0,
    "decode.ready_replicas": 1.0,
    "decode.reporting_replicas": 1.0,
    "service.kv_transfer_time_s": 0.03,
    "service.kv_expired_rate": "no count of it",
    "service.ttft_s": quantile(0.95, E2E_S, REQUEST_BOUNDS_S) + quantile(0.95, TTFT_S, TTFT_BOUNDS_S),
    "service.tpot_s": quantile(0.9, TPOT_S, TOKEN_BOUNDS_S),
    "service.ttft_attainment_ratio": sum_below(0.9, E2E_S, TTFT_S, REQUEST_BOUNDS_S, TTFT_BOUNDS_S),
    "service.tpot_attainment_ratio": below(0.06, TPOT_S, TOKEN_BOUNDS_S),
    "service.request_rate": 6.0,
    "service.input_tokens_mean": 1200.0,
    "service.input_tokens_p50": "no histogram of their number",
    "service.input_tokens_p90": "no histogram of their number",
    "service.output_tokens_mean": 250.0,
}


def write(server: Prometheus, namespace: str, servers: Sequence[Server]) -> None:
    for one in servers:
        role = "prefill" if one.pod.startswith("p") else "decode"
        fill(server, [page(one, "llama", {"namespace": namespace, "role": role})])


@pytest.fixture(scope="module")
def signals(server: Prometheus) -> Signals:
    write(server, "trtllm", SERVERS)
    return read(server, service("trtllm", selector={"namespace": "trtllm"}))


def test_every_signal_has_an_expected_value() -> None:
    assert EXPECTED.keys() == ALL_PATHS


@pytest.mark.parametrize("path", EXPECTED)
def test_a_signal_is_what_one_computes_by_hand(signals: Signals, path: str) -> None:
    check(signals, path, EXPECTED[path])


def test_without_performance_metrics_latencies_are_absent_and_the_reason_names_the_metric(server: Prometheus) -> None:
    write(server, "trtllm-bare", [replace(one, performance=False) for one in SERVERS])

    signals = read(server, service("trtllm", selector={"namespace": "trtllm-bare"}))

    check(signals, "service.ttft_s", "no series match trtllm_e2e_request_latency_seconds_bucket")
    check(signals, "prefill.prefill_time_s", "no series match trtllm_request_prefill_time_seconds_sum")
    for path in ("prefill.queue_depth", "prefill.offered_tokens_per_s", "decode.kv_utilization_mean"):
        check(signals, path, EXPECTED[path])
