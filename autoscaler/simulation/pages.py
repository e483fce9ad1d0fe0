"""A pod's counters with names, as its metrics page would show them."""

from __future__ import annotations

import math

import numpy as np

from autoscaler.simulation.counters import COUNTERS, HISTOGRAMS, LAYOUT, PodCounters
from autoscaler.simulation.engine.loop import count_pod, used_blocks
from autoscaler.simulation.engine.world import NOBODY, World
from autoscaler.simulation.fleet import Replica

_SOURCES = ("local_compute", "local_cache_hit", "external_kv_transfer")
_FINISH_REASONS = ("stop", "length", "abort", "error")


def pod_counters(world: World, replica: Replica, now_s: float) -> PodCounters:
    """What a replica has counted by `now_s`; zeros for one that does not serve yet."""
    running = waiting = waiting_for_kv = blocks = used = 0
    row = np.zeros(LAYOUT.width)
    if replica.slot != NOBODY:
        count_pod(world, replica.slot, now_s)
        engine, row = world.replicas[replica.slot], world.counters[replica.slot]
        waiting_for_kv = engine.transferring + engine.loaded.count
        running, waiting = engine.batch + engine.prefilling.count, engine.waiting.count + waiting_for_kv
        blocks, used = engine.num_blocks, used_blocks(world, replica.slot)
    value = dict(zip(COUNTERS, row[: len(COUNTERS)].tolist(), strict=True))
    return PodCounters(
        role=replica.role,
        name=replica.name,
        phase=replica.phase,
        created_s=replica.created_s,
        ready_s=replica.ready_s if math.isfinite(replica.ready_s) else None,
        running=int(running),
        waiting=int(waiting),
        waiting_for_kv=int(waiting_for_kv),
        kv_usage_ratio=used / blocks if blocks else 0.0,
        num_gpu_blocks=int(blocks),
        block_size=int(world.clock[0].block_size),
        prompt_tokens_total=value["prompt_tokens_total"],
        prompt_tokens_by_source={source: value[f"prompt_tokens_{source}"] for source in _SOURCES},
        generation_tokens_total=value["generation_tokens_total"],
        request_success_total={reason: value[f"request_success_{reason}"] for reason in _FINISH_REASONS},
        preemptions_total=value["preemptions_total"],
        prefix_cache_queries_total=value["prefix_cache_queries_total"],
        prefix_cache_hits_total=value["prefix_cache_hits_total"],
        nixl_num_kv_expired_reqs_total=value["nixl_num_kv_expired_reqs_total"],
        histograms={name: LAYOUT.histogram(row, name) for name in HISTOGRAMS},
    )
