"""A service on vLLM whose every signal can be computed by hand, and sources that read it."""

from __future__ import annotations

from dataclasses import replace

from autoscaler.core.policy import LatencyObjective, Objectives, Role
from autoscaler.core.signals import Scope, Signal, Signals
from autoscaler.sources.http import Connection
from autoscaler.sources.prometheus import PrometheusSource
from autoscaler.stacks.candidates import Dispatch
from autoscaler.stacks.load import load_stack
from autoscaler.stacks.placeholders import Matcher
from autoscaler.stacks.queries import ServiceQueries
from autoscaler.stacks.resolve import Overrides, ServiceLabels, Workload, resolve
from tests.support.distributions import below, quantile, sum_below
from tests.support.prometheus import Prometheus
from tests.support.vllm_series import REQUEST_BOUNDS_S, TOKEN_BOUNDS_S, TOKEN_COUNT_BOUNDS, TTFT_BOUNDS_S, Engine, Fleet

NOW_S = 1_760_000_000.0
FROM_S = NOW_S - 600.0
VLLM = load_stack("vllm")
OBJECTIVES = Objectives(LatencyObjective(0.95, 0.9), LatencyObjective(0.9, 0.06), 0.95)

E2E_S = (0.4, 0.6, 0.9)
TTFT_S = (0.08, 0.2, 0.3)
TPOT_S = (0.03, 0.04, 0.07)

PREFILL = Engine(
    pod="p-0",
    role="prefill",
    finished=30,
    prompt_tokens=(800, 1200, 1600),
    sources={"local_compute": 0.7, "local_cache_hit": 0.3, "external_kv_transfer": 0.0},
    latencies_s={
        "vllm:e2e_request_latency_seconds": E2E_S,
        "vllm:time_to_first_token_seconds": E2E_S,
        "vllm:request_queue_time_seconds": (0.1, 0.2, 0.3),
        "vllm:request_prefill_time_seconds": (0.3, 0.4, 0.6),
        "vllm:request_time_per_output_token_seconds": (0.0,),
    },
    waiting=lambda at_s: 20.0 + 0.05 * (at_s - FROM_S),
    running=4.0,
    kv_usage=0.2,
    expired=3,
)
DECODE = Engine(
    pod="d-0",
    role="decode",
    finished=45,
    prompt_tokens=(800, 1200, 1600),
    output_tokens=(100, 200, 300),
    sources={"local_compute": 0.0, "local_cache_hit": 0.3, "external_kv_transfer": 0.7},
    latencies_s={
        "vllm:e2e_request_latency_seconds": (8.0, 9.0, 30.0),
        "vllm:time_to_first_token_seconds": TTFT_S,
        "vllm:inter_token_latency_seconds": (0.02, 0.03, 0.07),
        "vllm:time_per_output_token_seconds": (0.02, 0.03, 0.07),
        "vllm:request_time_per_output_token_seconds": TPOT_S,
        "vllm:request_queue_time_seconds": (0.01, 0.05, 0.09),
        "vllm:request_prefill_time_seconds": (0.02,),
        "vllm:nixl_xfer_time_seconds": (0.02, 0.04, 0.06),
    },
    waiting=lambda _: 6.0,
    deferred=4.0,
    running=50.0,
    kv_usage=0.6,
    preempted=15,
    expired=0,
)
ENGINES = (
    PREFILL,
    replace(PREFILL, engine="1", kv_usage=0.4),
    replace(PREFILL, pod="p-1", kv_usage=0.6),
    DECODE,
    replace(DECODE, pod="d-1", kv_usage=0.9, blocks="3000"),
)
"""Two prefill pods with three engines, two decode pods; 6 requests/s on either side."""


def queries(
    namespace: str,
    *matchers: Matcher,
    model: str = "llama",
    dispatch: Dispatch = "sequential",
    overrides: Overrides | None = None,
) -> ServiceQueries:
    labels = ServiceLabels(
        model=model,
        selector=(Matcher("namespace", namespace), *matchers),
        workloads={Role.PREFILL: Workload("chat-prefill", namespace), Role.DECODE: Workload("chat-decode", namespace)},
        dispatch=dispatch,
    )
    return resolve(VLLM, "chat", labels, OBJECTIVES, overrides=overrides)


def fill(server: Prometheus, namespace: str, *engines: Engine, model: str = "llama") -> None:
    server.write(Fleet(engines, model, {"namespace": namespace}).time_series(FROM_S, NOW_S))


def read(server: Prometheus, of: ServiceQueries, at_s: float = NOW_S) -> Signals:
    source = PrometheusSource(of, Connection(server.url))
    try:
        return source.read(at_s)
    finally:
        source.close()


def pick(signals: Signals, path: str) -> Signal:
    scope, name = path.split(".")
    return signals[Scope(scope)][name]


EXPECTED = {
    "prefill.queue_depth": 3 * 50.0,  # 20 + 0.05 a second over 600 s
    "prefill.in_flight": 3 * 4.0,
    "prefill.offered_tokens_per_s": 6.0 * 1200 + 3 * 0.05 * 1200,
    "prefill.uncached_ratio": 0.7,
    "prefill.request_rate": 6.0 + 3 * 0.05,
    "prefill.queue_time_s": 0.2,
    "prefill.prefill_time_s": 1.3 / 3,
    "prefill.kv_utilization_mean": ((0.2 + 0.4) / 2 + 0.6) / 2,
    "prefill.kv_utilization_max": 0.6,
    "prefill.ready_replicas": 2.0,
    "prefill.reporting_replicas": 2.0,
    "decode.kv_utilization_mean": 0.75,
    "decode.kv_utilization_max": 0.9,
    "decode.running": 100.0,
    "decode.waiting": 12.0,
    "decode.waiting_for_kv": 8.0,
    "decode.preemption_rate": 2.0,
    "decode.offered_tokens_per_s": 6.0 * 1200,
    "decode.uncached_ratio": 0.0,
    "decode.request_rate": 6.0,
    "decode.generation_tokens_per_s": 6.0 * 200,
    "decode.step_time_s": 0.04,
    "decode.queue_time_s": 0.05,
    "decode.first_token_time_s": 0.58 / 3,
    "decode.kv_capacity_tokens": 16 * 2000.0,
    "decode.ready_replicas": 2.0,
    "decode.reporting_replicas": 2.0,
    "service.kv_transfer_time_s": 0.04,
    "service.kv_expired_rate": 3 * 3 / 15,
    "service.ttft_s": quantile(0.95, E2E_S, REQUEST_BOUNDS_S) + quantile(0.95, TTFT_S, TTFT_BOUNDS_S),
    "service.tpot_s": quantile(0.9, TPOT_S, TOKEN_BOUNDS_S),
    "service.ttft_attainment_ratio": sum_below(0.9, E2E_S, TTFT_S, REQUEST_BOUNDS_S, TTFT_BOUNDS_S),
    "service.tpot_attainment_ratio": below(0.06, TPOT_S, TOKEN_BOUNDS_S),
    "service.request_rate": 6.0,
    "service.input_tokens_mean": 1200.0,
    "service.input_tokens_p50": quantile(0.5, (800, 1200, 1600), TOKEN_COUNT_BOUNDS),
    "service.input_tokens_p90": quantile(0.9, (800, 1200, 1600), TOKEN_COUNT_BOUNDS),
    "service.output_tokens_mean": 200.0,
}
