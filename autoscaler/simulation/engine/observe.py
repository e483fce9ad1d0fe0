"""Counting: into the row of a pod, or of the gateway, where vLLM would count."""

from __future__ import annotations

import math

from autoscaler.simulation.counters import COUNTERS, HISTOGRAMS, LAYOUT, Floats
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
def observe(row: Floats, histogram: int, value: float) -> None:
    """Observe one value, in a pod's or the gateway's row."""
    start = _STARTS[histogram]
    row[start + bucket_of(histogram, value)] += 1.0
    row[start + _LENGTHS[histogram] + 1] += value


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
    request, row = world.requests[index], world.counters[slot]
    if not math.isnan(request.pod_first_token_s):
        return
    request.pod_first_token_s = at_s
    observe(row, H_TTFT, at_s - request.decode_arrival_s)
    row[PROMPT] += request.input_tokens
    if request.local:
        cached = min(request.cached_tokens, request.input_tokens)
        row[PROMPT_CACHED] += cached
        row[PROMPT_COMPUTED] += request.input_tokens - cached
    else:
        row[PROMPT_PULLED] += request.input_tokens
    if math.isnan(request.first_token_s):
        request.first_token_s = at_s
        observe(world.counters[-1], H_TTFT, at_s - request.arrival_s)


@compiled
def finished_decode(world: World, slot: int, index: int) -> None:
    """Observe what vLLM observes when a request ends on the replica that decoded it, and what the gateway sees."""
    request, row, gateway = world.requests[index], world.counters[slot], world.counters[-1]
    first_s, finish_s = request.pod_first_token_s, request.finish_s
    scheduled_s = request.pod_scheduled_s
    gaps = request.output_tokens - 1
    observe(row, H_E2E, finish_s - request.decode_arrival_s)
    observe(row, H_QUEUE, scheduled_s - request.decode_arrival_s)
    observe(row, H_PREFILL, first_s - scheduled_s)
    observe(row, H_DECODE, finish_s - first_s)
    observe(row, H_INFERENCE, finish_s - scheduled_s)
    observe(row, H_TPOT, (finish_s - first_s) / gaps if gaps > 0 else 0.0)
    observe(row, H_PROMPT, request.input_tokens)
    observe(row, H_OUTPUT, request.output_tokens)
    row[STOPPED] += 1.0
    observe(gateway, H_E2E, finish_s - request.arrival_s)
    if gaps > 0:
        observe(gateway, H_TPOT, (finish_s - request.first_token_s) / gaps)
    observe(gateway, H_PROMPT, request.input_tokens)
    observe(gateway, H_OUTPUT, request.output_tokens)
    gateway[GENERATED] += request.output_tokens
    gateway[PROMPT] += request.input_tokens
    gateway[STOPPED] += 1.0


@compiled
def finished_prefill(world: World, slot: int, index: int, now_s: float) -> None:
    """Observe what vLLM observes when a prefill replica has answered with its one token."""
    request, row = world.requests[index], world.counters[slot]
    compute_s = now_s - request.prefill_start_s
    observe(row, H_TTFT, now_s - request.entered_s)
    observe(row, H_E2E, now_s - request.entered_s)
    observe(row, H_QUEUE, request.prefill_start_s - request.entered_s)
    observe(row, H_PREFILL, compute_s)
    observe(row, H_DECODE, 0.0)
    observe(row, H_INFERENCE, compute_s)
    observe(row, H_TPOT, 0.0)
    observe(row, H_PROMPT, request.context_tokens)
    observe(row, H_OUTPUT, 1.0)
    cached = min(request.cached_tokens, request.context_tokens)
    row[PROMPT] += request.context_tokens
    row[PROMPT_CACHED] += cached
    row[PROMPT_COMPUTED] += request.context_tokens - cached
    row[GENERATED] += 1.0
    row[CUT_AT_LENGTH] += 1.0
