"""Pods with counters made up for tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from autoscaler.core.policy import Role
from autoscaler.simulation.counters import HISTOGRAMS, LAYOUT, PodCounters, ReplicaPhase


def pod(name: str = "prefill-0", role: Role = Role.PREFILL, *, seed: int = 0, **changes: object) -> PodCounters:
    """A ready pod with random counts that differ by seed; `changes` replace fields."""
    rng = np.random.default_rng(seed)
    row = rng.integers(0, 1000, LAYOUT.width).astype(np.float64)
    tokens = dict(
        zip(("local_compute", "local_cache_hit", "external_kv_transfer"), rng.integers(0, 10**9, 3), strict=True)
    )
    made = PodCounters(
        role=role,
        name=name,
        phase=ReplicaPhase.READY,
        created_s=30.0,
        ready_s=210.5,
        running=7,
        waiting=5,
        waiting_for_kv=3,
        kv_usage_ratio=float(rng.uniform()),
        num_gpu_blocks=28562,
        block_size=16,
        prompt_tokens_total=float(sum(tokens.values())),
        prompt_tokens_by_source={source: float(count) for source, count in tokens.items()},
        generation_tokens_total=float(rng.integers(0, 10**9)),
        request_success_total={"stop": 3.0, "length": 12.0, "abort": 0.0, "error": 1.0},
        preemptions_total=float(rng.integers(0, 50)),
        prefix_cache_queries_total=float(rng.integers(0, 10**9)),
        prefix_cache_hits_total=float(rng.integers(0, 10**9)),
        nixl_num_kv_expired_reqs_total=2.0,
        histograms={histogram: LAYOUT.histogram(row, histogram) for histogram in HISTOGRAMS},
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the caller names fields of PodCounters
