"""The metrics page of AIBrix's gateway plugin for tests: latencies as counters per range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.support.series_kit import Counter, Gauge, Page, Row

RANGES_MS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
BOUNDS_S = tuple(bound / 1000 for bound in RANGES_MS[1:])


@dataclass(frozen=True, slots=True)
class Gateway:
    """What passes through the gateway."""

    requests_per_s: float = 6.0
    ttft_s: Sequence[float] = (0.3, 0.8, 1.5)
    tpot_s: Sequence[float] = (0.03, 0.04, 0.07)
    input_tokens: float = 1100.0
    output_tokens: float = 240.0
    with_usage: float = 0.5
    """Share of the requests that report their usage: lengths and latencies are counted for these alone."""
    times_first_token: bool = True
    """Whether it is one that times the first token; older ones take the last for it, and tell no TPOT."""


def page(gateway: Gateway, model: str, engine_namespace: str) -> Page:
    """The page as a ServiceMonitor without honorLabels leaves it."""
    target = {"namespace": "aibrix-system", "pod": "gateway-plugins-0", "job": "aibrix-gateway-plugins"}
    labels = {
        "namespace": engine_namespace,
        "pod": "llama-decode-0",
        "model": model,
        "engine_type": "vllm",
        "roleset": "llama-roleset-x",
        "role": "decode",
        "role_replica_index": "0",
        "gateway_pod": "gateway-plugins-0",
    }
    rate = gateway.requests_per_s * gateway.with_usage
    rows: list[Row] = [
        Counter("gateway_request_total", gateway.requests_per_s, labels),
        Counter("gateway_request_total", 70.0, {**labels, "model": "another"}),
        Counter("gateway_input_tokens_total", rate * gateway.input_tokens, labels),
        Counter("gateway_output_tokens_total", rate * gateway.output_tokens, labels),
        Counter("gateway_requests_with_usage_total", rate, {**labels, "has_usage": "true"}),
        Gauge("gateway_prefill_outstanding_requests", 12.0, labels),
        *_ranges("gateway_ttft_bucket_total", gateway.ttft_s, rate, labels),
    ]
    if gateway.times_first_token:
        rows += _ranges("gateway_tpot_bucket_total", gateway.tpot_s, rate, labels)
    return Page(target, rows)


def _ranges(name: str, cycle: Sequence[float], per_s: float, labels: dict[str, str]) -> list[Row]:
    """A counter for each range that saw something, as label values come into being."""
    found: list[Row] = []
    for low, high in zip(RANGES_MS, (*RANGES_MS[1:], None), strict=True):
        within = [value for value in cycle if low < value * 1000 and (high is None or value * 1000 <= high)]
        if within:
            bucket = f"{low}ms+" if high is None else f"{low}-{high}ms"
            found.append(Counter(name, per_s * len(within) / len(cycle), {**labels, "bucket": bucket}))
    return found
