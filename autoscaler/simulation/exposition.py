"""A simulated pod's `/metrics` page, as vLLM serves it: names, types, help, labels and number format.

Metrics and labels of vLLM 0.32 as the engine core registers them (`vllm/v1/metrics/loggers.py`) and as NixlConnector
adds them; only those that the simulation has numbers for. Both roles export all of them, so a prefill pod has its one
output token per request and a time per output token of 0, as in production.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import cast

from prometheus_client.utils import floatToGoString

from autoscaler.core.policy import Role
from autoscaler.simulation.counters import Histogram, PodCounters

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_HISTOGRAM_HELP: Mapping[str, str] = {
    "time_to_first_token_seconds": "Histogram of time to first token in seconds.",
    "inter_token_latency_seconds": "Histogram of inter-token latency in seconds.",
    "request_time_per_output_token_seconds": "Histogram of time_per_output_token_seconds per request.",
    "e2e_request_latency_seconds": "Histogram of e2e request latency in seconds.",
    "request_queue_time_seconds": "Histogram of time spent in WAITING phase for request.",
    "request_prefill_time_seconds": "Histogram of time spent in PREFILL phase for request.",
    "request_decode_time_seconds": "Histogram of time spent in DECODE phase for request.",
    "request_inference_time_seconds": "Histogram of time spent in RUNNING phase for request.",
    "request_prompt_tokens": "Number of prefill tokens processed.",
    "request_generation_tokens": "Number of generation tokens processed.",
    "nixl_xfer_time_seconds": "Histogram of transfer duration for NIXL KV Cache transfers.",
    "nixl_bytes_transferred": "Histogram of bytes transferred per NIXL KV Cache transfers.",
}

# The library leaves it untyped.
_number = cast("Callable[[float], str]", floatToGoString)

Labels = Mapping[str, str]
Series = Iterable[tuple[Labels, float]]


def render_pod(pod: PodCounters, *, model_name: str, created_unix_s: float) -> str:
    """Render the page of one pod.

    Args:
        pod: What it has counted.
        model_name: Value of the label of that name.
        created_unix_s: When its engine started, for the `_created` series.
    """
    page = _Page({"engine": "0", "model_name": model_name}, created_unix_s)
    _scheduler(page, pod)
    _tokens_and_requests(page, pod)
    for name, histogram in pod.histograms.items():
        page.histogram(name, _HISTOGRAM_HELP[name], histogram)
    _nixl_counters(page, pod)
    _cache_config(page, pod)
    return page.text()


def _scheduler(page: _Page, pod: PodCounters) -> None:
    page.gauge("num_requests_running", "Number of requests in model execution batches.", [({}, pod.running)])
    page.gauge("num_requests_waiting", "Number of requests waiting to be processed.", [({}, pod.waiting)])
    page.gauge(
        "num_requests_waiting_by_reason",
        "Number of requests waiting to be processed, by reason.",
        [({"reason": "capacity"}, pod.waiting - pod.waiting_for_kv), ({"reason": "deferred"}, pod.waiting_for_kv)],
    )
    if pod.role is not Role.PREFILL:
        page.gauge(
            "num_requests_kv_fetch_by_stage",
            "Number of requests in an asynchronous KV load, by stage.",
            [
                ({"stage": "waiting_to_start"}, 0),
                ({"stage": "in_progress"}, pod.waiting_for_kv),
                ({"stage": "completed_waiting"}, 0),
            ],
        )
    page.gauge(
        "engine_sleep_state",
        "Engine sleep state; awake = 0 means engine is sleeping; awake = 1 means engine is awake; "
        "weights_offloaded = 1 means sleep level 1; discard_all = 1 means sleep level 2.",
        [({"sleep_state": state}, state == "awake") for state in ("awake", "weights_offloaded", "discard_all")],
    )
    page.gauge("kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", [({}, pod.kv_usage_ratio)])


def _tokens_and_requests(page: _Page, pod: PodCounters) -> None:
    sources = pod.prompt_tokens_by_source
    cached = sum(tokens for source, tokens in sources.items() if source != "local_compute")
    finished = {**pod.request_success_total, "repetition": 0.0}
    page.counter(
        "prefix_cache_queries",
        "Prefix cache queries, in terms of number of queried tokens.",
        [({}, pod.prefix_cache_queries_total)],
    )
    page.counter(
        "prefix_cache_hits",
        "Prefix cache hits, in terms of number of cached tokens.",
        [({}, pod.prefix_cache_hits_total)],
    )
    page.counter("num_preemptions", "Cumulative number of preemption from the engine.", [({}, pod.preemptions_total)])
    page.counter("prompt_tokens", "Number of prefill tokens processed.", [({}, pod.prompt_tokens_total)])
    page.counter(
        "prompt_tokens_by_source",
        "Number of prompt tokens by source.",
        [({"source": source}, tokens) for source, tokens in sources.items()],
    )
    page.counter("prompt_tokens_cached", "Number of cached prompt tokens (local + external).", [({}, cached)])
    page.counter("generation_tokens", "Number of generation tokens processed.", [({}, pod.generation_tokens_total)])
    page.counter(
        "request_success",
        "Count of successfully processed requests.",
        [({"finished_reason": reason}, count) for reason, count in finished.items()],
    )


def _nixl_counters(page: _Page, pod: PodCounters) -> None:
    page.counter("nixl_num_failed_transfers", "Number of failed NIXL KV Cache transfers.", [({}, 0.0)])
    page.counter(
        "nixl_num_kv_expired_reqs",
        "Number of requests that had their KV expire. NOTE: This metric is tracked on the P instance.",
        [({}, pod.nixl_num_kv_expired_reqs_total)],
    )


def _cache_config(page: _Page, pod: PodCounters) -> None:
    labels = {
        "block_size": str(pod.block_size),
        "cache_dtype": "auto",
        "enable_prefix_caching": "True",
        "engine": "0",
        "gpu_memory_utilization": "0.9",
        "num_gpu_blocks": str(pod.num_gpu_blocks),
    }
    page.info("cache_config_info", "Information of the LLMEngine CacheConfig", labels)


class _Page:
    """Lines of the Prometheus text format 0.0.4, laid out as prometheus_client does."""

    def __init__(self, labels: Labels, created_unix_s: float) -> None:
        self._labels = labels
        self._created = _number(created_unix_s)
        self._lines: list[str] = []

    def text(self) -> str:
        """The page, with its final newline."""
        return "\n".join(self._lines) + "\n"

    def gauge(self, name: str, explanation: str, series: Series) -> None:
        """Add a gauge."""
        self._head(name, explanation, "gauge")
        self._lines += [f"vllm:{name}{self._braces(labels)} {_number(value)}" for labels, value in series]

    def info(self, name: str, explanation: str, labels: Labels) -> None:
        """Add a gauge of 1 with labels of its own only."""
        self._head(name, explanation, "gauge")
        self._lines.append(f"vllm:{name}{_braces(labels)} 1.0")

    def counter(self, name: str, explanation: str, series: Series) -> None:
        """Add a counter with its `_total` and `_created` series."""
        labelled = [(self._braces(labels), value) for labels, value in series]
        self._head(f"{name}_total", explanation, "counter")
        self._lines += [f"vllm:{name}_total{braces} {_number(value)}" for braces, value in labelled]
        self._head(f"{name}_created", explanation, "gauge")
        self._lines += [f"vllm:{name}_created{braces} {self._created}" for braces, _ in labelled]

    def histogram(self, name: str, explanation: str, histogram: Histogram) -> None:
        """Add a histogram with its `_created` series."""
        self._head(name, explanation, "histogram")
        bounds = [*map(_number, histogram.bounds), "+Inf"]
        for bound, count in zip(bounds, histogram.cumulative_counts, strict=True):
            self._lines.append(f"vllm:{name}_bucket{self._braces({'le': bound})} {_number(count)}")
        braces = self._braces({})
        self._lines.append(f"vllm:{name}_count{braces} {_number(histogram.count)}")
        self._lines.append(f"vllm:{name}_sum{braces} {_number(histogram.sum)}")
        self._head(f"{name}_created", explanation, "gauge")
        self._lines.append(f"vllm:{name}_created{braces} {self._created}")

    def _head(self, name: str, explanation: str, kind: str) -> None:
        self._lines += (f"# HELP vllm:{name} {explanation}", f"# TYPE vllm:{name} {kind}")

    def _braces(self, labels: Labels) -> str:
        return _braces({**self._labels, **labels})


def _braces(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in sorted(labels.items())) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
