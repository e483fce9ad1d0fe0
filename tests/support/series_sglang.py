"""SGLang's metrics pages for tests, in the format of a version, under either spelling of the names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.support.series_kit import Counter, Gauge, Histogram, Page, Row

TTFT_BOUNDS_S = (0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400)
E2E_BOUNDS_S = (*TTFT_BOUNDS_S, 600, 1200, 1800, 2400)
ITL_BOUNDS_S = (0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04, 0.06, 0.08, 0.1, 0.2, 0.4)
QUEUE_BOUNDS_S = (0.0, 0.001, 0.005, 0.01, 0.05, 0.1, 0.2, 0.5, 1, 2, 3, 4, 5, 10, 15, 20, 30)
STAGE_BOUNDS_S = tuple(0.001 * 1.62**index for index in range(30))
PROMPT_BOUNDS = (100, 300, 500, 700, 1000, 1500, 2000, 3000, 4000, 5000)
TRANSFER_BOUNDS_MS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000)

Version = tuple[int, int]
"""Of 0.5.x, as (5, x)."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One data-parallel rank of a pod; a request is counted once, by the pod's tokenizer.

    Attributes:
        queue, running: Gauges of the rank.
        bootstrap, inflight, prealloc, transfer: The queues of disaggregation.
        usage: Share of KV tokens in use.
        prompt_per_s, cached_per_s, output_per_s: Tokens that pass in a second.
        retracted_per_s: Requests taken out of the batch.
        capacity_tokens: KV tokens.
    """

    queue: float | Callable[[float], float] = 0.0
    running: float = 0.0
    bootstrap: float | Callable[[float], float] = 0.0
    inflight: float = 0.0
    prealloc: float = 0.0
    transfer: float = 0.0
    usage: float = 0.0
    prompt_per_s: float = 0.0
    cached_per_s: float = 0.0
    output_per_s: float = 0.0
    retracted_per_s: float = 0.0
    capacity_tokens: float = 100_000.0


@dataclass(frozen=True, slots=True)
class Pod:
    """A serving pod.

    Attributes:
        role: Value of `engine_type`.
        ranks: Its data-parallel ranks.
        requests_per_s: Requests that end.
        input_tokens, output_tokens: Means.
        latencies_s: Cycles by histogram, or by stage where the key is a stage; milliseconds for the transfer,
            tokens for the lengths of prompts.
        copies: Ranks of tensor parallelism that report each number.
    """

    name: str
    role: str
    ranks: Sequence[Engine]
    requests_per_s: float
    input_tokens: float = 1000.0
    cached_tokens: float = 0.0
    output_tokens: float = 1.0
    latencies_s: Mapping[str, Sequence[float]] = field(default_factory=dict)
    copies: int = 2
    started_s: float | None = None


_STREAMING_SINCE: Version = (5, 22)
_BOUNDS: Mapping[str, Sequence[float]] = {
    "time_to_first_token_seconds": TTFT_BOUNDS_S,
    "e2e_request_latency_seconds": E2E_BOUNDS_S,
    "inter_token_latency_seconds": ITL_BOUNDS_S,
    "request_time_per_output_token_seconds": ITL_BOUNDS_S,
    "queue_time_seconds": QUEUE_BOUNDS_S,
    "kv_transfer_latency_ms": TRANSFER_BOUNDS_MS,
    "prompt_tokens_histogram": PROMPT_BOUNDS,
}
_SINCE: Mapping[str, Version] = {
    "request_time_per_output_token_seconds": (5, 22),
    "queue_time_seconds": (5, 3),
    "kv_transfer_latency_ms": (5, 10),
}


def pages(pods: Sequence[Pod], namespace: str, model: str, *, version: Version, prefix: str = "sglang:") -> list[Page]:
    """One page per pod."""
    return [
        Page(
            {"namespace": namespace, "pod": pod.name, "job": f"{namespace}/sglang"},
            [*_scheduler(pod, model, version, prefix), *_tokenizer(pod, model, version, prefix)],
            started_s=pod.started_s,
        )
        for pod in pods
    ]


def _scheduler(pod: Pod, model: str, version: Version, prefix: str) -> Iterator[Row]:
    bootstrap = "num_prefill_bootstrap_queue_reqs" if version >= (5, 12) else "num_prefill_prealloc_queue_reqs"
    for index, rank in enumerate(pod.ranks):
        for copy in range(pod.copies):
            labels = {
                "model_name": model,
                "engine_type": pod.role,
                "tp_rank": str(copy),
                "pp_rank": "0",
                "moe_ep_rank": str(copy),
                "dp_rank": str(index),
            }
            queues = {
                "num_running_reqs": rank.running,
                "num_queue_reqs": rank.queue,
                bootstrap: rank.bootstrap,
                "num_prefill_inflight_queue_reqs": rank.inflight,
                "num_decode_prealloc_queue_reqs": rank.prealloc,
                "num_decode_transfer_queue_reqs": rank.transfer,
            }
            for name, value in queues.items():
                yield Gauge(prefix + name, value, labels)
                # With priority scheduling the parts stand beside the total.
                yield Gauge(prefix + name, 1.0, {**labels, "priority": "1"})
            yield Gauge(prefix + "token_usage", rank.usage, labels)
            yield Gauge(prefix + "utilization", -1.0, labels)
            if version >= (5, 6):
                yield Gauge(prefix + "max_total_num_tokens", rank.capacity_tokens, labels)
            if version >= (5, 7):
                tokens = {
                    "prefill_compute": rank.prompt_per_s - rank.cached_per_s,
                    "prefill_cache": rank.cached_per_s,
                    "decode": rank.output_per_s,
                }
                for mode, per_s in tokens.items():
                    yield Counter(prefix + "realtime_tokens_total", per_s, {**labels, "mode": mode})
                yield Counter(prefix + "num_retracted_requests_total", rank.retracted_per_s, labels)


def _tokenizer(pod: Pod, model: str, version: Version, prefix: str) -> Iterator[Row]:
    labels = {"model_name": model, "engine_type": pod.role}
    totals = {
        "num_requests_total": 1.0,
        "prompt_tokens_total": pod.input_tokens,
        "cached_tokens_total": pod.cached_tokens,
        "generation_tokens_total": pod.output_tokens,
    }
    for name, each in totals.items():
        yield Counter(prefix + name, pod.requests_per_s * each / 2, {**labels, "is_streaming": "True"})
        yield Counter(prefix + name, pod.requests_per_s * each / 2, {**labels, "is_streaming": "False"})
    for name, cycle in pod.latencies_s.items():
        if name not in _BOUNDS:
            if version >= (5, 3):
                stage = {**labels, "stage": name}
                yield Histogram(
                    prefix + "per_stage_req_latency_seconds", STAGE_BOUNDS_S, cycle, pod.requests_per_s, stage
                )
        elif name == "time_to_first_token_seconds" and version >= _STREAMING_SINCE:
            # What is not streamed is first heard of when it has fifty tokens, or ends.
            for streaming, seen_s in {"True": cycle, "False": [10.0 * first_s for first_s in cycle]}.items():
                own = {**labels, "is_streaming": streaming}
                yield Histogram(prefix + name, _BOUNDS[name], seen_s, pod.requests_per_s / 2, own)
        elif version >= _SINCE.get(name, (5, 0)):
            yield Histogram(prefix + name, _BOUNDS[name], cycle, pod.requests_per_s, labels)
        elif name == "kv_transfer_latency_ms":
            yield Gauge(prefix + name, cycle[-1], labels)


PREFILL = Pod(
    name="p-0",
    role="prefill",
    requests_per_s=4.0,
    input_tokens=1200.0,
    cached_tokens=360.0,
    latencies_s={
        "queue_time_seconds": (0.1, 0.2, 0.6),
        "prefill_forward": (0.2, 0.3, 0.4),
        "chunked_prefill": (0.1, 0.15),
        "prefill_bootstrap": (1.5, 2.5),
        "prefill_transfer_kv_cache": (0.03, 0.05),
        "kv_transfer_latency_ms": (20.0, 40.0, 60.0),
        "prompt_tokens_histogram": (4000.0,),
    },
    ranks=(
        Engine(
            queue=lambda at_s: 5.0 + 0.02 * (at_s % 7_000),
            running=2.0,
            bootstrap=lambda at_s: 3.0 + 0.01 * (at_s % 7_000),
            inflight=3.0,
            usage=0.2,
            prompt_per_s=2400.0,
            cached_per_s=720.0,
        ),
        Engine(queue=1.0, running=2.0, inflight=1.0, usage=0.4, prompt_per_s=2400.0, cached_per_s=720.0),
    ),
)
DECODE = Pod(
    name="d-0",
    role="decode",
    requests_per_s=4.0,
    input_tokens=1200.0,
    output_tokens=250.0,
    latencies_s={
        "time_to_first_token_seconds": (0.5, 0.7, 1.6),
        "inter_token_latency_seconds": (0.018, 0.033, 0.07),
        "request_time_per_output_token_seconds": (0.03, 0.05, 0.075),
        "queue_time_seconds": (0.01, 0.03),
        "decode_bootstrap": (0.2, 0.4),
        "decode_transferred": (1.0, 2.0),
        "e2e_request_latency_seconds": (6.0, 9.0, 35.0),
        "prompt_tokens_histogram": (600.0, 1200.0, 1800.0),
    },
    ranks=(
        Engine(
            queue=2.0,
            running=60.0,
            prealloc=7.0,
            transfer=30.0,
            usage=0.55,
            output_per_s=1000.0,
            retracted_per_s=0.2,
            capacity_tokens=400_000.0,
        ),
    ),
)
