"""What one simulated pod has counted, with the names, buckets and meaning of vLLM's metrics.

The engine counts into one flat row of floats per pod (`CounterLayout`), so that adding up pods is adding up rows;
`PodCounters` is such a row with names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from autoscaler.core.policy import Role

Floats = npt.NDArray[np.float64]

TTFT_BOUNDS_S = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
TOKEN_TIME_BOUNDS_S = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0),
)
LATENCY_BOUNDS_S = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0),
    *(60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)
TOKEN_COUNT_BOUNDS = tuple(float(step * 10**power) for power in range(6) for step in (1, 2, 5))
TRANSFER_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 5.0)
TRANSFER_BOUNDS_BYTES = tuple(float(2**power) for power in range(11, 34, 2))

COUNTERS = (
    "prompt_tokens_total",
    "prompt_tokens_local_compute",
    "prompt_tokens_local_cache_hit",
    "prompt_tokens_external_kv_transfer",
    "generation_tokens_total",
    "request_success_stop",
    "request_success_length",
    "request_success_abort",
    "request_success_error",
    "preemptions_total",
    "prefix_cache_queries_total",
    "prefix_cache_hits_total",
    "nixl_num_kv_expired_reqs_total",
)

HISTOGRAM_BOUNDS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "time_to_first_token_seconds": TTFT_BOUNDS_S,
        "inter_token_latency_seconds": TOKEN_TIME_BOUNDS_S,
        "request_time_per_output_token_seconds": TOKEN_TIME_BOUNDS_S,
        "e2e_request_latency_seconds": LATENCY_BOUNDS_S,
        "request_queue_time_seconds": LATENCY_BOUNDS_S,
        "request_prefill_time_seconds": LATENCY_BOUNDS_S,
        "request_decode_time_seconds": LATENCY_BOUNDS_S,
        "request_inference_time_seconds": LATENCY_BOUNDS_S,
        "request_prompt_tokens": TOKEN_COUNT_BOUNDS,
        "request_generation_tokens": TOKEN_COUNT_BOUNDS,
        "nixl_xfer_time_seconds": TRANSFER_BOUNDS_S,
        "nixl_bytes_transferred": TRANSFER_BOUNDS_BYTES,
    }
)

HISTOGRAMS = tuple(HISTOGRAM_BOUNDS)


class CounterLayout:
    """Where each counter and histogram lives in a pod's row.

    A row holds the counters in the order of `COUNTERS`, then per histogram one count per bucket (not cumulative, the
    last one is +Inf) and the sum of the observed values.

    Attributes:
        width: Columns of a row.
        starts: First column of each histogram, in the order of `HISTOGRAMS`.
        lengths: Finite bounds of each histogram.
        bounds: Finite bounds, one padded row per histogram.
    """

    def __init__(self) -> None:
        self.lengths = np.array([len(bounds) for bounds in HISTOGRAM_BOUNDS.values()], dtype=np.int64)
        self.starts = len(COUNTERS) + np.concatenate(([0], np.cumsum(self.lengths + 2)))[:-1].astype(np.int64)
        self.width = int(self.starts[-1] + self.lengths[-1] + 2)
        self.bounds = np.full((len(HISTOGRAM_BOUNDS), int(self.lengths.max())), np.inf)
        for row, bounds in zip(self.bounds, HISTOGRAM_BOUNDS.values(), strict=True):
            row[: len(bounds)] = bounds

    def columns(self, name: str) -> slice:
        """Columns of a histogram: its buckets, +Inf, and last the sum.

        Raises:
            ValueError: There is no histogram of that name.
        """
        index = HISTOGRAMS.index(name)
        return slice(int(self.starts[index]), int(self.starts[index] + self.lengths[index] + 2))

    def histogram(self, row: Floats, name: str) -> Histogram:
        """Read one histogram out of a row (or a difference of rows).

        Raises:
            ValueError: There is no histogram of that name.
        """
        values = row[self.columns(name)]
        return Histogram(HISTOGRAM_BOUNDS[name], tuple(values[:-1].cumsum().tolist()), float(values[-1]))


@dataclass(frozen=True, slots=True)
class Histogram:
    """A Prometheus histogram.

    Attributes:
        bounds: Upper bounds of the finite buckets (`le`).
        cumulative_counts: Observations up to each bound, and one more for +Inf.
        sum: Sum of all observed values.
    """

    bounds: Sequence[float]
    cumulative_counts: Sequence[float]
    sum: float

    @property
    def count(self) -> float:
        """All observations."""
        return self.cumulative_counts[-1]


class ReplicaPhase(StrEnum):
    """Where a replica is in its life."""

    UNSCHEDULABLE = "unschedulable"
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class PodCounters:
    """One replica and everything that its `/metrics` page would say.

    Attributes:
        role: Pool that it belongs to.
        name: Unique name; never used again.
        phase: Only `ready` and `draining` replicas serve a metrics page.
        created_s: When it was ordered.
        ready_s: When it became ready; None before.
        running: Requests in execution batches.
        waiting: Requests that wait, those parked for a KV transfer included.
        waiting_for_kv: Those of them whose KV is on its way.
        kv_usage_ratio: Used share of KV blocks; on a prefill pod, blocks held for a pending pull count as used.
        num_gpu_blocks: KV blocks in all.
        block_size: Tokens per block.
        prompt_tokens_total: Prompt tokens of requests that reached their first token here, cached or not.
        prompt_tokens_by_source: The same by `local_compute`, `local_cache_hit` and `external_kv_transfer`.
        generation_tokens_total: Output tokens.
        request_success_total: Finished requests by `stop`, `length`, `abort` and `error`.
        preemptions_total: Requests thrown out of the batch for want of blocks.
        prefix_cache_queries_total: Prompt tokens looked up in the local prefix cache.
        prefix_cache_hits_total: Those found.
        nixl_num_kv_expired_reqs_total: Prefilled requests whose KV was not pulled in time.
        histograms: By vLLM's name without `vllm:`, keys of `HISTOGRAM_BOUNDS`.
    """

    role: Role
    name: str
    phase: ReplicaPhase
    created_s: float
    ready_s: float | None
    running: int
    waiting: int
    waiting_for_kv: int
    kv_usage_ratio: float
    num_gpu_blocks: int
    block_size: int
    prompt_tokens_total: float
    prompt_tokens_by_source: Mapping[str, float]
    generation_tokens_total: float
    request_success_total: Mapping[str, float]
    preemptions_total: float
    prefix_cache_queries_total: float
    prefix_cache_hits_total: float
    nixl_num_kv_expired_reqs_total: float
    histograms: Mapping[str, Histogram]

    @property
    def ready(self) -> bool:
        """Whether the router sends it requests."""
        return self.phase is ReplicaPhase.READY


LAYOUT = CounterLayout()
