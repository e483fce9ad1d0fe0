"""How fast the simulator is: a day of 270,000 requests under a controller that decides every 15 s.

Run as `python benchmarks/simulator_speed.py`; a first run also compiles, which is timed apart.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from autoscaler.core.capacity import DecodeStep, EngineModel, PrefillTime
from autoscaler.core.policy import LatencyObjective, Objectives, Role
from autoscaler.core.signals import Scope
from autoscaler.core.snapshot import Snapshot
from autoscaler.simulation.config import PoolConfig, ServiceConfig
from autoscaler.simulation.run import Memory, run
from autoscaler.simulation.traces import Trace

DAY_S = 86_400.0
REQUESTS = 270_000

# Llama-3.1-70B on four H100, as measured kernels add up.
ENGINE = EngineModel(
    PrefillTime(a_ms=10.9, b_ms_per_token=0.0567, c_ms_per_token2=0.69e-6),
    DecodeStep(d0_ms=15.2, d1_ms_per_sequence=0.0321, d2_ms_per_kv_token=26.6e-6),
    kv_capacity_tokens=457_000,
)


def day() -> Trace:
    """A day with a diurnal swing; prompts around 1,400 and answers around 210 tokens."""
    rng = np.random.default_rng(7)
    phase = np.sort(rng.uniform(0.0, 1.0, REQUESTS))
    arrival_s = DAY_S * (phase - 0.08 * np.sin(2 * np.pi * phase))
    return Trace.of(
        np.sort(arrival_s),
        np.clip(rng.lognormal(6.9, 0.8, REQUESTS), 16, 16_000).astype(int),
        np.clip(rng.lognormal(4.7, 1.1, REQUESTS), 1, 4_000).astype(int),
        duration_s=DAY_S,
    )


def follow_load(snapshot: Snapshot, memory: Memory, now_s: float) -> Mapping[Role, int]:
    """Size prefill to offered tokens and decode to KV use; a stand-in as busy as a real controller's sizing."""
    del memory, now_s
    offered = snapshot.usable(Scope.PREFILL, "offered_tokens_per_s") or 0.0
    kv_ratio = snapshot.usable(Scope.DECODE, "kv_utilization_mean") or 0.0
    decode = snapshot.pools[Role.DECODE].current
    return {
        Role.PREFILL: max(round(offered / 9_000 + 0.5), 1),
        Role.DECODE: max(decode + (kv_ratio > 0.5) - (kv_ratio < 0.1 and decode > 1), 1),
    }


def main() -> None:
    """Print the speed."""
    objectives = Objectives(LatencyObjective(0.95, 2.0), LatencyObjective(0.95, 0.05), 0.99)
    pool = PoolConfig(ENGINE, replicas=2, gpus_per_replica=4)
    config = ServiceConfig("speed", {Role.PREFILL: pool, Role.DECODE: pool}, objectives)

    begun_s = time.perf_counter()
    run(follow_load, config, Trace.of([0.0, 1.0], 1000, 10), tail_s=30.0)
    print(f"first run, with compilation or from its cache: {time.perf_counter() - begun_s:.1f} s")

    trace = day()
    for seed in range(3):
        begun_s = time.perf_counter()
        results = run(follow_load, config, trace, seed=seed)
        took_s = time.perf_counter() - begun_s
        print(
            f"{results.arrived} requests, {results.duration_s / 15:.0f} decisions, {len(results.actions)} actions: "
            f"{took_s:.2f} s, {results.arrived / took_s:,.0f} requests/s; "
            f"attainment {results.attainment_ratio:.4f}, {results.gpu_hours:.0f} GPU-hours"
        )


if __name__ == "__main__":
    main()
