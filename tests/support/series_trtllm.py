"""Metrics pages of TensorRT-LLM for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.support.series_kit import Counter, Gauge, Histogram, Page, Row

TTFT_BOUNDS_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80)
TOKEN_BOUNDS_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5)
REQUEST_BOUNDS_S = (0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60)
PREFILL_BOUNDS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_BOUNDS: Mapping[str, Sequence[float]] = {
    "time_to_first_token_seconds": TTFT_BOUNDS_S,
    "time_per_output_token_seconds": TOKEN_BOUNDS_S,
    "e2e_request_latency_seconds": REQUEST_BOUNDS_S,
    "request_queue_time_seconds": REQUEST_BOUNDS_S,
    "request_prefill_time_seconds": PREFILL_BOUNDS_S,
    "kv_transfer_latency_seconds": PREFILL_BOUNDS_S,
}


@dataclass(frozen=True, slots=True)
class Server:
    """A context or generation server.

    Attributes:
        requests_per_s: Requests that end.
        input_tokens, cached_tokens, output_tokens: Means.
        waiting, context, generating: Gauges.
        usage: Share of KV blocks in use.
        latencies_s: Cycles by histogram.
        performance: Whether performance metrics are on.
    """

    pod: str
    requests_per_s: float
    input_tokens: float = 1200.0
    cached_tokens: float = 0.0
    output_tokens: float = 1.0
    waiting: float | Callable[[float], float] = 0.0
    context: float = 0.0
    generating: float = 0.0
    usage: float = 0.0
    blocks: float = 1000.0
    latencies_s: Mapping[str, Sequence[float]] = field(default_factory=dict)
    performance: bool = True


def page(server: Server, model: str, target: Mapping[str, str]) -> Page:
    """The page of a pod; `target` are the labels that the scrape adds beside the pod's name."""
    return Page({"pod": server.pod, **target}, list(_rows(server, {"model_name": model, "engine_type": "trtllm"})))


def _rows(server: Server, labels: Mapping[str, str]) -> Iterator[Row]:
    gauges = {
        "num_requests_waiting": server.waiting,
        "num_requests_running": server.context + server.generating,
        "num_context_requests": server.context,
        "num_generation_requests": server.generating,
        "num_paused_requests": 1.0,
        "kv_cache_utilization": server.usage,
        "kv_cache_hit_rate": 0.5,
        "kv_cache_max_blocks": server.blocks,
        "kv_cache_tokens_per_block": 32.0,
    }
    for name, value in gauges.items():
        yield Gauge(f"trtllm_{name}", value, labels)
    counters = {
        "request_success_total": 1.0,
        "prompt_tokens_total": server.input_tokens,
        "prompt_cached_tokens_total": server.cached_tokens,
        "generation_tokens_total": server.output_tokens,
    }
    for name, each in counters.items():
        yield Counter(f"trtllm_{name}", server.requests_per_s * each, labels)
    if server.performance:
        for name, cycle in server.latencies_s.items():
            yield Histogram(f"trtllm_{name}", _BOUNDS[name], cycle, server.requests_per_s, labels)


CONTEXT = Server(
    pod="p-0",
    requests_per_s=3.0,
    cached_tokens=300.0,
    waiting=lambda at_s: 4.0 + 0.02 * (at_s % 7_000),
    context=2.0,
    usage=0.3,
    latencies_s={
        "e2e_request_latency_seconds": (0.4, 0.6, 0.9),
        "time_to_first_token_seconds": (0.4, 0.6, 0.9),
        "request_queue_time_seconds": (0.1, 0.2, 0.3),
        "request_prefill_time_seconds": (0.2, 0.4),
        "kv_transfer_latency_seconds": (0.02, 0.04),
    },
)
GENERATION = Server(
    pod="d-0",
    requests_per_s=6.0,
    output_tokens=250.0,
    waiting=5.0,
    generating=70.0,
    usage=0.6,
    latencies_s={
        "e2e_request_latency_seconds": (8.0, 9.0),
        "time_to_first_token_seconds": (0.08, 0.2, 0.3),
        "time_per_output_token_seconds": (0.03, 0.04, 0.07),
        "request_queue_time_seconds": (0.01, 0.05),
    },
)
