"""Our simulator on a job."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from autoscaler.core.capacity import DecodeStep, EngineModel, PrefillTime
from autoscaler.core.policy import Role
from autoscaler.simulation.config import PoolConfig, Routing, ServiceConfig, TransferConfig
from autoscaler.simulation.results import Results
from autoscaler.simulation.service import Service
from autoscaler.simulation.traces import Trace
from benchmarks.nvidia import scene
from benchmarks.nvidia.outcome import Outcome, request_order

# The mocker has no setup time of a transfer, no lease on held KV, and lets a removed worker finish.
_FOREVER_S = 1e9
_TAIL_S = 3600.0
_STEP_S = 30.0


@dataclass(frozen=True, slots=True)
class Load:
    """How busy a static fleet was.

    Attributes:
        prefill_ratio: Prefill time of all requests, one at a time, over the pool's time until the last arrival.
        decode_ratio: KV blocks in use on decode workers, mean until the last arrival.
        decode_peak_ratio: The fullest decode worker, sampled every 30 s.
    """

    prefill_ratio: float
    decode_ratio: float
    decode_peak_ratio: float


def service_config(job: scene.Job) -> ServiceConfig:
    """The job's service, with nothing in it that NVIDIA's simulator does not have."""
    engine = EngineModel(
        PrefillTime(0.0, 0.0, 0.0),  # the tables speak
        DecodeStep(0.0, 0.0, 0.0),
        kv_capacity_tokens=scene.NUM_BLOCKS * scene.BLOCK_SIZE,
        max_sequences=scene.MAX_SEQUENCES,
        kv_bytes_per_token=scene.KV_BYTES_PER_TOKEN,
        max_batched_tokens=scene.MAX_BATCHED_TOKENS,
    )
    tables = scene.timing_tables()

    def pool(replicas: int) -> PoolConfig:
        return PoolConfig(
            engine,
            replicas,
            startup_time_s=job.startup_time_s,
            startup_sigma=0.0,
            link_bytes_per_s=scene.LINK_BYTES_PER_S,
            tables=tables,
        )

    return ServiceConfig(
        job.load,
        {Role.PREFILL: pool(job.prefill), Role.DECODE: pool(job.decode)},
        scene.OBJECTIVES,
        prefix_hit_ratio=0.0,
        block_size=scene.BLOCK_SIZE,
        routing=Routing.ROUND_ROBIN if job.routing == "round_robin" else Routing.LEAST_LOADED,
        drain_grace_s=_FOREVER_S,
        transfer=TransferConfig(setup_s=0.0, lease_s=_FOREVER_S),
    )


def replay(job: scene.Job, trace: Trace) -> Outcome:
    """Play a load on a static fleet until every request is settled."""
    begun_s = time.perf_counter()
    service = Service(service_config(job), trace)
    service.advance_to(trace.duration_s)
    while not service.settled and service.now_s < trace.duration_s + _TAIL_S:
        service.advance_to(service.now_s + _STEP_S)
    took_s = time.perf_counter() - begun_s
    return outcome(service.finish(), trace, took_s)


def busy(job: scene.Job, trace: Trace) -> Load:
    """How busy a static fleet is under a load."""
    service = Service(service_config(job), trace)
    usage: list[list[float]] = []
    while service.now_s < trace.duration_s:
        service.advance_to(min(service.now_s + _STEP_S, trace.duration_s))
        usage.append([pod.kv_usage_ratio for pod in service.pods() if pod.role is Role.DECODE])
    offered_s = float(prefill_s(trace).sum())
    return Load(offered_s / (job.prefill * trace.duration_s), float(np.mean(usage)), float(np.max(usage)))


def prefill_s(trace: Trace) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Prefill time of each request alone on a worker, in chunks of one pass."""
    tables = scene.timing_tables()
    passes, rest = np.divmod(trace.input_tokens, scene.MAX_BATCHED_TOKENS)
    full_ms, rest_ms = np.interp(
        [np.full(rest.size, scene.MAX_BATCHED_TOKENS), rest], tables.prefill_tokens, tables.prefill_ms
    )
    total_s: np.ndarray[tuple[int], np.dtype[np.float64]] = (passes * full_ms + np.where(rest > 0, rest_ms, 0.0)) / 1e3
    return total_s


def outcome(results: Results, trace: Trace, took_s: float) -> Outcome:
    """Results in the common form."""
    requests = results.requests
    order = request_order(trace.arrival_s, trace.input_tokens, trace.output_tokens)
    return Outcome(
        requests.ttft_s[order],
        requests.tpot_s[order],
        requests.finished[order],
        int(requests.preemptions.sum()),
        results.gpu_hours,
        tuple((action.at_s, action.role.value, action.before, action.after) for action in results.actions),
        results.duration_s,
        took_s,
    )
