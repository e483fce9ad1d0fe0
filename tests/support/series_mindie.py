"""Metrics pages of Huawei MindIE for tests: native servers, and the coordinator that adds both roles up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.support.series_kit import Counter, Gauge, Histogram, Page, Row

TTFT_BOUNDS_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
TOKEN_BOUNDS_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5)
E2E_BOUNDS_S = (1, 2.5, 5, 10, 15, 20, 30, 40, 50, 60)
LENGTH_BOUNDS = (10, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 16000)


@dataclass(frozen=True, slots=True)
class Server:
    """One server.

    Attributes:
        requests_per_s: Requests that end.
        input_tokens, output_tokens: Means.
        waiting, running, swapped: Gauges.
        usage, hit_rate: Shares.
        ttft_s, tpot_s, e2e_s: Cycles; an empty one is a histogram without observations.
    """

    pod: str
    requests_per_s: float
    input_tokens: float = 1200.0
    output_tokens: float = 1.0
    waiting: float | Callable[[float], float] = 0.0
    running: float = 0.0
    swapped: float = 0.0
    usage: float = 0.0
    hit_rate: float = 0.0
    preempted_per_s: float = 0.0
    ttft_s: Sequence[float] = ()
    tpot_s: Sequence[float] = ()
    e2e_s: Sequence[float] = ()


def page(server: Server, model: str, target: Mapping[str, str]) -> Page:
    """The page of a pod; `target` are the labels that the scrape adds beside the pod's name."""
    labels, rate = {"model_name": model}, server.requests_per_s
    rows: list[Row] = [
        Counter("request_received_total", rate * 1.1, labels),
        Counter("request_success_total", rate, labels),
        Counter("request_failed_total", rate * 0.1, labels),
        Gauge("num_requests_running", server.running, labels),
        Gauge("num_requests_waiting", server.waiting, labels),
        Gauge("num_requests_swapped", server.swapped, labels),
        Gauge("npu_cache_usage_perc", server.usage, labels),
        Gauge("cpu_cache_usage_perc", 0.9, labels),
        Gauge("npu_prefix_cache_hit_rate", server.hit_rate, labels),
        Counter("num_preemptions_total", server.preempted_per_s, labels),
        Counter("prompt_tokens_total", rate * server.input_tokens, labels),
        Counter("generation_tokens_total", rate * server.output_tokens, labels),
        Histogram("request_prompt_tokens", LENGTH_BOUNDS, (server.input_tokens,), rate, labels),
        Histogram("request_generation_tokens", LENGTH_BOUNDS, (server.output_tokens,), rate, labels),
    ]
    for name, bounds, cycle in (
        ("time_to_first_token_seconds", TTFT_BOUNDS_S, server.ttft_s),
        ("time_per_output_token_seconds", TOKEN_BOUNDS_S, server.tpot_s),
        ("e2e_request_latency_seconds", E2E_BOUNDS_S, server.e2e_s),
    ):
        rows.append(Histogram(name, bounds, cycle or (0.0,), rate if cycle else 0.0, labels))
    return Page({"pod": server.pod, **target}, rows)
