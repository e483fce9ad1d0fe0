"""Counting: into the row of a pod, or of the gateway, where vLLM would count."""

from __future__ import annotations

import math

from autoscaler.simulation.counters import COUNTERS, HISTOGRAMS, LAYOUT
from autoscaler.simulation.engine import queues
from autoscaler.simulation.engine.compiled import compiled
from autoscaler.simulation.engine.pace import boundary_s, step_s
from autoscaler.simulation.engine.world import NOBODY, World

PROMPT = COUNTERS.index("prompt_tokens_total")
PROMPT_COMPUTED = COUNTERS.index("prompt_tokens_local_compute")
PROMPT_CACHED = COUNTERS.index("prompt_tokens_local_cache_hit")
PROMPT_PULLED = COUNTERS.index("prompt_tokens_external_kv_transfer")
GENERATED = COUNTERS.index("generation_tokens_total")
STOPPED = COUNTERS.index("request_success_stop")
CUT_AT_LENGTH = COUNTERS.index("request_success_length")
ABORTED = COUNTERS.index("request_success_abort")
ERRORS = COUNTERS.index("request_success_error")
PREEMPTIONS = COUNTERS.index("preemptions_total")
CACHE_QUERIES = COUNTERS.index("prefix_cache_queries_total")
CACHE_HITS = COUNTERS.index("prefix_cache_hits_total")
KV_EXPIRED = COUNTERS.index("nixl_num_kv_expired_reqs_total")

H_TTFT = HISTOGRAMS.index("time_to_first_token_seconds")
H_ITL = HISTOGRAMS.index("inter_token_latency_seconds")
H_TPOT = HISTOGRAMS.index("request_time_per_output_token_seconds")
H_E2E = HISTOGRAMS.index("e2e_request_latency_seconds")
H_QUEUE = HISTOGRAMS.index("request_queue_time_seconds")
H_PREFILL = HISTOGRAMS.index("request_prefill_time_seconds")
H_DECODE = HISTOGRAMS.index("request_decode_time_seconds")
H_INFERENCE = HISTOGRAMS.index("request_inference_time_seconds")
H_PROMPT = HISTOGRAMS.index("request_prompt_tokens")
H_OUTPUT = HISTOGRAMS.index("request_generation_tokens")
H_TRANSFER_S = HISTOGRAMS.index("nixl_xfer_time_seconds")
H_TRANSFER_BYTES = HISTOGRAMS.index("nixl_bytes_transferred")

_STARTS = LAYOUT.starts
_LENGTHS = LAYOUT.lengths
_BOUNDS = LAYOUT.bounds


@compiled
def bucket_of(histogram: int, value: float) -> int:
    """Index of the first bucket whose bound is not below the value; the last one is +Inf."""
    bounds, length = _BOUNDS[histogram], _LENGTHS[histogram]
    bucket = 0
    while bucket < length and bounds[bucket] < value:
        bucket += 1
    return bucket


@compiled
def observe(world: World, row: int, histogram: int, value: float) -> None:
    """Observe one value."""
    counters, start = world.counters[row], _STARTS[histogram]
    counters[start + bucket_of(histogram, value)] += 1.0
    counters[start + _LENGTHS[histogram] + 1] += value


@compiled
def count(world: World, row: int, counter: int, by: float) -> None:
    """Add to a plain counter."""
    world.counters[row, counter] += by


@compiled
def count_steps(world: World, slot: int, until: int) -> None:
    """Count the run's decode steps up to its `until`-th, and first tokens when the first of them is done."""
    replica = world.replicas[slot]
    first = replica.counted_steps
    if until <= first:
        return
    replica.counted_steps = until
    if replica.batch == 0:
        return
    world.counters[slot, GENERATED] += float(replica.batch * (until - first))
    newcomers = 0
    if first == 0:
        newcomers = replica.fresh.count
        _first_tokens(world, slot, boundary_s(replica, 1))
    _gaps(world, slot, first, until, newcomers)


@compiled
def _gaps(world: World, slot: int, first: int, until: int, newcomers: int) -> None:
    """Observe the gap between tokens of every sequence that had a token before."""
    replica = world.replicas[slot]
    counters, start = world.counters[slot], _STARTS[H_ITL]
    total_s = boundary_s(replica, until) - boundary_s(replica, first)
    newcomers_s = step_s(replica, first)
    counters[start + _LENGTHS[H_ITL] + 1] += total_s * replica.batch - newcomers_s * newcomers
    low, high = bucket_of(H_ITL, step_s(replica, first)), bucket_of(H_ITL, step_s(replica, until - 1))
    counters[start + low] -= float(newcomers)
    if low == high:
        counters[start + low] += float(replica.batch * (until - first))
        return
    for j in range(first, until):
        counters[start + bucket_of(H_ITL, step_s(replica, j))] += float(replica.batch)


@compiled
def _first_tokens(world: World, slot: int, at_s: float) -> None:
    fresh = world.replicas[slot].fresh
    index = fresh.head
    while index != NOBODY:
        first_token(world, slot, index, at_s)
        index = world.requests[index].next
    queues.clear(fresh)


@compiled
def first_token(world: World, slot: int, index: int, at_s: float) -> None:
    """Record a request's first token on this replica, and for the user if it is the first at all."""
    request = world.requests[index]
    if not math.isnan(request.pod_first_token_s):
        return
    request.pod_first_token_s = at_s
    observe(world, slot, H_TTFT, at_s - request.decode_arrival_s)
    count(world, slot, PROMPT, request.input_tokens)
    if request.local:
        cached = min(request.cached_tokens, request.input_tokens)
        count(world, slot, PROMPT_CACHED, cached)
        count(world, slot, PROMPT_COMPUTED, request.input_tokens - cached)
    else:
        count(world, slot, PROMPT_PULLED, request.input_tokens)
    if math.isnan(request.first_token_s):
        request.first_token_s = at_s
        observe(world, world.replicas.size, H_TTFT, at_s - request.arrival_s)


@compiled
def finished_decode(world: World, slot: int, index: int) -> None:
    """Observe what vLLM observes when a request ends on the replica that decoded it, and what the gateway sees."""
    request, gateway = world.requests[index], world.replicas.size
    first_s, finish_s = request.pod_first_token_s, request.finish_s
    scheduled_s = request.pod_scheduled_s
    gaps = request.output_tokens - 1
    observe(world, slot, H_E2E, finish_s - request.decode_arrival_s)
    observe(world, slot, H_QUEUE, scheduled_s - request.decode_arrival_s)
    observe(world, slot, H_PREFILL, first_s - scheduled_s)
    observe(world, slot, H_DECODE, finish_s - first_s)
    observe(world, slot, H_INFERENCE, finish_s - scheduled_s)
    observe(world, slot, H_TPOT, (finish_s - first_s) / gaps if gaps > 0 else 0.0)
    observe(world, slot, H_PROMPT, request.input_tokens)
    observe(world, slot, H_OUTPUT, request.output_tokens)
    count(world, slot, STOPPED, 1.0)
    observe(world, gateway, H_E2E, finish_s - request.arrival_s)
    if gaps > 0:
        observe(world, gateway, H_TPOT, (finish_s - request.first_token_s) / gaps)
    observe(world, gateway, H_PROMPT, request.input_tokens)
    observe(world, gateway, H_OUTPUT, request.output_tokens)
    count(world, gateway, GENERATED, request.output_tokens)
    count(world, gateway, PROMPT, request.input_tokens)
    count(world, gateway, STOPPED, 1.0)


@compiled
def finished_prefill(world: World, slot: int, index: int, now_s: float) -> None:
    """Observe what vLLM observes when a prefill replica has answered with its one token."""
    request = world.requests[index]
    compute_s = now_s - request.prefill_start_s
    observe(world, slot, H_TTFT, now_s - request.entered_s)
    observe(world, slot, H_E2E, now_s - request.entered_s)
    observe(world, slot, H_QUEUE, request.prefill_start_s - request.entered_s)
    observe(world, slot, H_PREFILL, compute_s)
    observe(world, slot, H_DECODE, 0.0)
    observe(world, slot, H_INFERENCE, compute_s)
    observe(world, slot, H_TPOT, 0.0)
    observe(world, slot, H_PROMPT, request.context_tokens)
    observe(world, slot, H_OUTPUT, 1.0)
    cached = min(request.cached_tokens, request.context_tokens)
    count(world, slot, PROMPT, request.context_tokens)
    count(world, slot, PROMPT_CACHED, cached)
    count(world, slot, PROMPT_COMPUTED, request.context_tokens - cached)
    count(world, slot, GENERATED, 1.0)
    count(world, slot, CUT_AT_LENGTH, 1.0)
