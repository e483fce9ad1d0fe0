"""Metrics pages of Triton with its TensorRT-LLM backend for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.support.series_kit import Counter, Gauge, Histogram, Page, Row

LENGTH_BOUNDS = (10, 50, 100, 500, 1000)


@dataclass(frozen=True, slots=True)
class Server:
    """A context or generation server.

    Attributes:
        requests_per_s: Requests that it answers.
        input_tokens, output_tokens: Lengths, in a cycle.
        waiting, context, scheduled: Gauges.
        usage: Share of KV blocks in use.
        transfer_ms: Time of a KV transfer; None on a server that fetches none.
        request_us: Time of a request at its quantile of 0.99; None on a server that is not told to summarise.
    """

    pod: str
    requests_per_s: float
    input_tokens: Sequence[float] = (800.0, 1600.0)
    output_tokens: Sequence[float] = (1.0,)
    waiting: float | Callable[[float], float] = 0.0
    context: float = 0.0
    scheduled: float = 0.0
    usage: float = 0.0
    transfer_ms: float | None = None
    request_us: float | None = None


def page(server: Server, model: str, target: Mapping[str, str]) -> Page:
    """The page of a pod; `target` are the labels that the scrape adds beside the pod's name."""
    labels, rate = {"model": model, "version": "1"}, server.requests_per_s
    requests = {"waiting": server.waiting, "context": server.context, "scheduled": server.scheduled, "max": 512.0}
    blocks = {"fraction": server.usage, "max": 1000.0, "used": 1000.0 * server.usage, "tokens_per": 64.0}
    rows: list[Row] = [
        *(
            Gauge("nv_trt_llm_request_metrics", value, {**labels, "request_type": key})
            for key, value in requests.items()
        ),
        *(
            Gauge("nv_trt_llm_kv_cache_block_metrics", value, {**labels, "kv_cache_block_type": key})
            for key, value in blocks.items()
        ),
    ]
    for side, lengths in (("input", server.input_tokens), ("output", server.output_tokens)):
        of_side = {**labels, "response_metric_type": f"total_{side}_tokens"}
        rows.append(Histogram(f"nv_llm_{side}_token_len", LENGTH_BOUNDS, lengths, rate, of_side, whole_as_int=True))
    if server.transfer_ms is not None:
        name = "nv_trt_llm_disaggregated_serving_metrics"
        rows += [
            Counter(name, rate * server.transfer_ms, {**labels, "disaggregated_serving_type": "kv_cache_transfer_ms"}),
            Counter(name, rate, {**labels, "disaggregated_serving_type": "request_count"}),
        ]
    if server.request_us is not None:
        for quantile, share in (("0.5", 0.3), ("0.9", 0.7), ("0.95", 0.8), ("0.99", 1.0), ("0.999", 1.0)):
            of_quantile = {**labels, "quantile": quantile}
            rows.append(Gauge("nv_inference_request_summary_us", share * server.request_us, of_quantile))
    return Page({"pod": server.pod, **target}, rows)
