from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.signals import Signals
from tests.stacks.services import ALL_PATHS, NOW_S, check, fill, read, service
from tests.support.prometheus import Prometheus
from tests.support.series_triton import Server, page

GROWTH = 0.02
CONTEXT = Server("p-0", 3.0, waiting=lambda at_s: 4.0 + GROWTH * (at_s % 7_000), context=2.0, usage=0.3)
GENERATION = Server("d-0", 6.0, output_tokens=(200.0, 300.0), waiting=5.0, scheduled=70.0, usage=0.6, transfer_ms=40.0)
EXPECTED: dict[str, float | str] = {
    "prefill.queue_depth": 4.0 + GROWTH * (NOW_S % 7_000) + 1.0,
    "prefill.in_flight": 4.0,
    "prefill.offered_tokens_per_s": 6.0 * 1200 + GROWTH * 1200,
    "prefill.uncached_ratio": "tells of blocks",
    "prefill.request_rate": 6.0 + GROWTH,
    "prefill.queue_time_s": "in front of the backend",
    "prefill.prefill_time_s": "measures no phases",
    "prefill.kv_utilization_mean": 0.4,
    "prefill.kv_utilization_max": 0.5,
    "prefill.ready_replicas": 2.0,
    "prefill.reporting_replicas": 2.0,
    "decode.kv_utilization_mean": 0.6,
    "decode.kv_utilization_max": 0.6,
    "decode.running": 70.0,
    "decode.waiting": 5.0,
    "decode.waiting_for_kv": "no gauge of them",
    "decode.preemption_rate": "no rate",
    "decode.offered_tokens_per_s": 6.0 * 1200,
    "decode.uncached_ratio": "tells of blocks",
    "decode.request_rate": 6.0,
    "decode.generation_tokens_per_s": 1500.0,
    "decode.step_time_s": "measures no tokens",
    "decode.queue_time_s": "in front of the backend",
    "decode.first_token_time_s": "measures no tokens",
    "decode.kv_capacity_tokens": 64_000.0,
    "decode.ready_replicas": 1.0,
    "decode.reporting_replicas": 1.0,
    "service.kv_transfer_time_s": 0.04,
    "service.kv_expired_rate": "no count of it",
    "service.ttft_s": "measures no tokens",
    "service.tpot_s": "measures no tokens",
    "service.ttft_attainment_ratio": "measures no tokens",
    "service.tpot_attainment_ratio": "measures no tokens",
    "service.request_rate": 6.0,
    "service.input_tokens_mean": 1200.0,
    "service.input_tokens_p50": 1000.0,
    "service.input_tokens_p90": 1000.0,
    "service.output_tokens_mean": 250.0,
}


@pytest.fixture(scope="module")
def signals(server: Prometheus) -> Signals:
    labels = {"namespace": "triton"}
    fill(
        server,
        [
            page(CONTEXT, "tensorrt_llm", {**labels, "role": "prefill"}),
            page(replace(CONTEXT, pod="p-1", waiting=1.0, usage=0.5), "tensorrt_llm", {**labels, "role": "prefill"}),
            page(GENERATION, "tensorrt_llm", {**labels, "role": "decode"}),
        ],
    )
    return read(server, service("triton", selector=labels, model="tensorrt_llm"))


def test_every_signal_has_an_expected_value() -> None:
    assert EXPECTED.keys() == ALL_PATHS


@pytest.mark.parametrize("path", EXPECTED)
def test_a_signal_is_what_one_computes_by_hand(signals: Signals, path: str) -> None:
    check(signals, path, EXPECTED[path])
