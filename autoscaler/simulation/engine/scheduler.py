"""A replica's scheduler between two steps, as vLLM's: finish, grow or preempt, join, admit, plan the next run.

Decoding sequences come first and take one token each of the pass's budget; prefill chunks share the rest in order of
arrival. A run is one pass with chunks, or as many plain decode steps as nothing can change.
"""

from __future__ import annotations

import math

from autoscaler.simulation.engine import batch, queues, transfers
from autoscaler.simulation.engine.agenda import plan
from autoscaler.simulation.engine.compiled import compiled
from autoscaler.simulation.engine.interrupt import note_if_drained
from autoscaler.simulation.engine.lease import hold
from autoscaler.simulation.engine.observe import (
    CACHE_HITS,
    CACHE_QUERIES,
    GENERATED,
    PREEMPTIONS,
    count_steps,
    finished_decode,
    finished_prefill,
    first_token,
)
from autoscaler.simulation.engine.pace import boundary_s, mixed_s, step_piece
from autoscaler.simulation.engine.routing import hand_off
from autoscaler.simulation.engine.sizes import blocks_of
from autoscaler.simulation.engine.world import DECODING, FINISHED, LOADED, NOBODY, PREFILL, PREFILLING, QUEUED, World


@compiled
def boundary(world: World, slot: int, now_s: float) -> None:
    """Do what a replica does between two steps."""
    replica = world.replicas[slot]
    if replica.running:
        _commit(world, slot, now_s)
    preempted = _grow(world, slot)
    while replica.loaded.count > 0:
        _join(world, slot, queues.pop(replica.loaded, world.requests), now_s)
    if not preempted:
        _admit(world, slot, now_s)
    _start_run(world, slot, now_s)


@compiled
def grown_blocks(world: World, slot: int, steps: int) -> int:
    """Blocks that the batch takes during the run's steps 1 to `steps` (its step 0 has them already)."""
    replica, size = world.replicas[slot], world.clock[0].block_size
    grown = (steps // size) * replica.batch
    for ahead in range(1, steps % size + 1):
        grown += world.phases[slot, (replica.step + ahead) % size]
    return grown


@compiled
def _steps_until_full(world: World, slot: int, most: int) -> int:
    """How many steps, at most `most`, the free blocks last for."""
    replica, size = world.replicas[slot], world.clock[0].block_size
    free = replica.num_blocks - replica.used_blocks
    if replica.batch * ((most + size - 1) // size) <= free:
        return most
    cycles = free // replica.batch
    free -= cycles * replica.batch
    steps = cycles * size
    while steps < most - 1:
        need = world.phases[slot, (replica.step + steps + 1) % size]
        if need > free:
            break
        free -= need
        steps += 1
    return min(steps + 1, most)


@compiled
def _commit(world: World, slot: int, now_s: float) -> None:
    """Close the run that ends now: steps, finished sequences, computed chunks."""
    replica, requests = world.replicas[slot], world.requests
    count_steps(world, slot, replica.run_steps)
    replica.used_blocks += grown_blocks(world, slot, replica.run_steps - 1)
    replica.kv_tokens += float(replica.batch * replica.run_steps)
    replica.step += replica.run_steps
    replica.running = 0
    replica.run_steps = 0
    replica.counted_steps = 0
    while replica.batch > 0 and requests[world.batches[slot, 0]].finish_step <= replica.step:
        index = batch.take(world, slot, 0)
        _leave(world, slot, index)
        _finish(world, slot, index, now_s)
    replica.pass_tokens = 0
    while replica.prefilling.count > 0 and requests[replica.prefilling.head].chunk_tokens > 0:
        request = requests[replica.prefilling.head]
        request.computed_tokens += request.chunk_tokens
        replica.outstanding_tokens -= request.chunk_tokens
        request.chunk_tokens = 0
        if request.computed_tokens < request.context_tokens:
            break
        _prefilled(world, slot, queues.pop(replica.prefilling, requests), now_s)


@compiled
def _prefilled(world: World, slot: int, index: int, now_s: float) -> None:
    request, replica = world.requests[index], world.replicas[slot]
    if replica.role == PREFILL or math.isnan(request.pod_first_token_s):
        request.prefill_end_s = now_s
    if replica.role == PREFILL:
        finished_prefill(world, slot, index, now_s)
        hold(world, index, slot, now_s)
        hand_off(world, index, now_s)
        return
    world.counters[slot, GENERATED] += 1.0
    first_token(world, slot, index, now_s)
    request.generated_tokens += 1
    if request.generated_tokens < request.output_tokens:
        request.state = LOADED
        queues.append(replica.loaded, world.requests, index)
        return
    replica.used_blocks -= request.blocks
    _finish(world, slot, index, now_s)


@compiled
def _finish(world: World, slot: int, index: int, now_s: float) -> None:
    request = world.requests[index]
    request.generated_tokens = request.output_tokens
    request.state = FINISHED
    request.finish_s = now_s
    request.slot = NOBODY
    world.clock[0].settled += 1
    finished_decode(world, slot, index)


@compiled
def _join(world: World, slot: int, index: int, now_s: float) -> None:
    """Enter the batch; the blocks for the first step are allocated already.

    A request prefilled here has had a token with its prefill; one that was pulled gets it with this first step.
    """
    request, replica, size = world.requests[index], world.replicas[slot], world.clock[0].block_size
    context = request.context_tokens + request.local
    if not request.local:
        request.pod_scheduled_s = now_s
        queues.append(replica.fresh, world.requests, index)
    request.state = DECODING
    request.joined_step = replica.step
    request.joined_context = context
    request.join_order = replica.joins
    request.finish_step = replica.step + request.output_tokens - request.generated_tokens
    replica.joins += 1
    replica.kv_tokens += float(context)
    world.phases[slot, (replica.step + 1 - context) % size] += 1
    batch.push(world, slot, index)


@compiled
def _leave(world: World, slot: int, index: int) -> None:
    """Give back a sequence's blocks, before those for the coming step are taken."""
    request, replica, size = world.requests[index], world.replicas[slot], world.clock[0].block_size
    context = request.joined_context + replica.step - request.joined_step
    replica.used_blocks -= blocks_of(context - 1, size)
    replica.kv_tokens -= float(context)
    world.phases[slot, (request.joined_step + 1 - request.joined_context) % size] -= 1


@compiled
def _grow(world: World, slot: int) -> bool:
    """Take the blocks of the coming step; throw out the last arrived while there are too few."""
    replica, size = world.replicas[slot], world.clock[0].block_size
    preempted = False
    while replica.batch > 0:
        need = world.phases[slot, replica.step % size]
        if replica.used_blocks + need <= replica.num_blocks:
            replica.used_blocks += need
            break
        _preempt(world, slot, batch.take(world, slot, batch.latest(world, slot)))
        preempted = True
    return preempted and replica.batch + replica.prefilling.count + replica.transferring > 0


@compiled
def _preempt(world: World, slot: int, index: int) -> None:
    """Recompute later: prompt and output so far become the context, first in the queue."""
    request, replica = world.requests[index], world.replicas[slot]
    _leave(world, slot, index)
    request.generated_tokens += replica.step - request.joined_step
    request.context_tokens = request.input_tokens + request.generated_tokens
    request.computed_tokens = 0
    request.blocks = blocks_of(request.context_tokens + 1, world.clock[0].block_size)
    request.local = 1
    request.state = QUEUED
    request.preemptions += 1
    replica.outstanding_tokens += request.context_tokens
    replica.wanted_blocks += request.blocks
    queues.prepend(replica.waiting, world.requests, index)
    world.counters[slot, PREEMPTIONS] += 1.0


@compiled
def _admit(world: World, slot: int, now_s: float) -> None:
    """Admit waiting requests in order while there are blocks, sequence slots and, for prefill, pass tokens."""
    replica, requests = world.replicas[slot], world.requests
    if replica.waiting.count == 0:
        return
    budget = replica.max_batched_tokens - replica.batch - _prefilling_tokens(world, slot)
    while replica.waiting.count > 0:
        request = requests[replica.waiting.head]
        sequences = replica.batch + replica.prefilling.count + replica.transferring
        prefills = request.state == QUEUED
        if (
            sequences >= replica.max_sequences
            or replica.used_blocks + request.blocks > replica.num_blocks
            or (prefills and budget <= 0)
        ):
            return
        index = queues.pop(replica.waiting, requests)
        replica.wanted_blocks -= request.blocks
        replica.used_blocks += request.blocks
        if prefills:
            budget -= request.context_tokens - request.computed_tokens
            _begin_prefill(world, slot, index, now_s)
        else:
            transfers.start(world, index, slot, now_s)


@compiled
def _prefilling_tokens(world: World, slot: int) -> int:
    requests = world.requests
    tokens, index = 0, world.replicas[slot].prefilling.head
    for _ in range(world.replicas[slot].prefilling.count):
        tokens += requests[index].context_tokens - requests[index].computed_tokens
        index = requests[index].next
    return tokens


@compiled
def _begin_prefill(world: World, slot: int, index: int, now_s: float) -> None:
    request, replica = world.requests[index], world.replicas[slot]
    request.state = PREFILLING
    request.chunk_tokens = 0
    recomputes = request.local and not math.isnan(request.pod_scheduled_s)
    if not recomputes:
        request.prefill_start_s = now_s
        request.pod_scheduled_s = now_s
        world.counters[slot, CACHE_QUERIES] += request.context_tokens
        world.counters[slot, CACHE_HITS] += request.computed_tokens
    queues.append(replica.prefilling, world.requests, index)


@compiled
def _start_run(world: World, slot: int, now_s: float) -> None:
    replica = world.replicas[slot]
    pool = world.pools[replica.role]
    replica.anchor_s = now_s
    replica.q1_s = 0.0
    replica.q2_s = 0.0
    if replica.prefilling.count > 0 and replica.batch < replica.max_batched_tokens:
        squares = _cut_chunks(world, slot)
        tokens = float(replica.pass_tokens)
        replica.q0_s = mixed_s(pool, world.tables, replica.batch, replica.kv_tokens, tokens, squares)
        replica.run_steps = 1
    elif replica.batch > 0:
        q0_s, q1_s, q2_s, steps = step_piece(pool, world.tables, replica.batch, replica.kv_tokens)
        replica.q0_s, replica.q1_s, replica.q2_s = q0_s, q1_s, q2_s
        steps = min(steps, world.requests[world.batches[slot, 0]].finish_step - replica.step)
        replica.run_steps = _steps_until_full(world, slot, steps)
    else:
        plan(world.agenda, slot, math.inf)
        note_if_drained(world, slot, now_s)
        return
    replica.running = 1
    plan(world.agenda, slot, boundary_s(replica, replica.run_steps))


@compiled
def _cut_chunks(world: World, slot: int) -> float:
    """Give the coming pass its chunks; return the sum of end^2 - start^2 over them."""
    replica, requests = world.replicas[slot], world.requests
    budget = replica.max_batched_tokens - replica.batch
    squares, index = 0.0, replica.prefilling.head
    for _ in range(replica.prefilling.count):
        request = requests[index]
        request.chunk_tokens = min(request.context_tokens - request.computed_tokens, budget)
        start, end = float(request.computed_tokens), float(request.computed_tokens + request.chunk_tokens)
        squares += end * end - start * start
        budget -= request.chunk_tokens
        replica.pass_tokens += request.chunk_tokens
        index = request.next
    return squares
