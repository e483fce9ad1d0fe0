"""Metrics pages of Dynamo's frontend and workers for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.support.series_kit import Counter, Gauge, Histogram, Page, Row

TTFT_BOUNDS_S = (0.0, 0.0022, 0.0047, 0.01, 0.022, 0.047, 0.1, 0.22, 0.47, 1, 2.2, 4.7, 10, 22, 48, 100, 220, 480)
ITL_BOUNDS_S = (0.0, 0.0019, 0.0035, 0.0067, 0.013, 0.024, 0.045, 0.084, 0.16, 0.3, 0.56, 1.1, 2)
INPUT_BOUNDS = (0, 100, 210, 430, 870, 1800, 3600, 7400, 15000, 31000, 63000, 130000)
OUTPUT_BOUNDS = (0, 100, 210, 430, 880, 1800, 3700, 7600, 16000, 32000)


@dataclass(frozen=True, slots=True)
class Frontend:
    """What passes through a frontend.

    Attributes:
        started_per_s: Requests taken in; None on releases that do not count them.
        finished_per_s: Requests finished.
        held_for_prefill, held_for_decode: Requests in the router's queues; None without a queueing router.
        queue_has_model: Whether the series of the router's queues name the model.
        cached_name: What the histogram of cached tokens is called.
        keeps_case: Whether it writes model names as they are, as from 1.2 on.
    """

    started_per_s: float | None = 7.0
    finished_per_s: float = 6.0
    held_for_prefill: float | Callable[[float], float] | None = 9.0
    held_for_decode: float | None = 2.0
    queue_has_model: bool = True
    ttft_s: Sequence[float] = (0.3, 0.8, 1.5)
    itl_s: Sequence[float] = (0.02, 0.03, 0.07)
    input_tokens: Sequence[float] = (800.0, 1500.0)
    cached_tokens: Sequence[float] = (230.0,)
    output_tokens: Sequence[float] = (150.0, 350.0)
    cached_name: str = "cached_tokens"
    keeps_case: bool = True


def frontend_page(frontend: Frontend, namespace: str, model: str) -> Page:
    """The page of a frontend's pod."""
    target = {"namespace": namespace, "pod": "frontend-0", "job": f"{namespace}/dynamo-frontend"}
    graph = {"dynamo_namespace": f"{namespace}-graph"}
    return Page({**target, **graph}, list(_frontend(frontend, model if frontend.keeps_case else model.lower())))


def _frontend(frontend: Frontend, model: str) -> Iterator[Row]:
    labels = {"model": model}
    of_request = {**labels, "endpoint": "chat_completions", "request_type": "stream"}
    rate = frontend.finished_per_s
    if frontend.started_per_s is not None:
        yield Counter("dynamo_frontend_requests_started_total", frontend.started_per_s, of_request)
    ended = {"status": "success", "error_type": ""}
    yield Counter("dynamo_frontend_requests_total", rate, {**of_request, **ended})
    yield Counter("dynamo_frontend_requests_total", 80.0, {**of_request, **ended, "model": "another"})
    yield Gauge("dynamo_frontend_queued_requests", 33.0, labels)
    yield _histogram("time_to_first_token_seconds", TTFT_BOUNDS_S, frontend.ttft_s, rate, labels)
    yield _histogram("inter_token_latency_seconds", ITL_BOUNDS_S, frontend.itl_s, rate, labels)
    yield _histogram("input_sequence_tokens", INPUT_BOUNDS, frontend.input_tokens, rate, labels)
    yield _histogram("output_sequence_tokens", OUTPUT_BOUNDS, frontend.output_tokens, rate, labels)
    yield _histogram(frontend.cached_name, INPUT_BOUNDS, frontend.cached_tokens, rate, labels)
    yield _histogram("kv_transfer_estimated_latency_seconds", ITL_BOUNDS_S, (0.05, 0.11), rate, {})
    yield Counter("dynamo_frontend_output_tokens_total", rate * 250.0, labels)
    yield Gauge("dynamo_frontend_model_kv_cache_block_size", 16.0, labels)
    held = {"prefill": frontend.held_for_prefill, "decode": frontend.held_for_decode}
    for worker_type, depth in held.items():
        if depth is not None:
            of_queue = {"worker_type": worker_type, "policy_class": "default"}
            named = {**of_queue, **labels} if frontend.queue_has_model else of_queue
            yield Gauge("dynamo_frontend_router_queue_pending_requests", depth, named)


def _histogram(
    name: str, bounds: Sequence[float], cycle: Sequence[float], per_s: float, labels: dict[str, str]
) -> Histogram:
    return Histogram(f"dynamo_frontend_{name}", bounds, cycle, per_s, labels, whole_as_int=True)


def worker_labels(namespace: str, component: str) -> dict[str, str]:
    """Labels that a worker adds to its engine's metrics, and that the operator's PodMonitor adds."""
    return {
        "job": f"{namespace}/dynamo-worker",
        "dynamo_namespace": f"{namespace}_graph",
        "dynamo_component": component,
        "dynamo_endpoint": "generate",
        "dynamo_component_type": "worker",
    }


def worker_page(pod: str, component: str, namespace: str, usage: float, blocks: float, family: str = "") -> Page:
    """A worker that passes no engine metrics through; `family` is what older releases put into the names."""
    labels = {"model": "Org/Llama", "worker_id": pod, "dp_rank": "0"}
    return Page(
        {"namespace": namespace, "pod": pod, **worker_labels(namespace, component)},
        [
            Gauge(f"dynamo_component_{family}gpu_cache_usage_percent", usage, labels),
            Gauge("dynamo_component_total_blocks", blocks, labels),
            Gauge("dynamo_component_inflight_requests", 4.0, labels),
        ],
    )
