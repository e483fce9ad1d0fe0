"""KV of a prefilled request stays on the prefill replica until pulled, at most for one lease."""

from __future__ import annotations

import math

from autoscaler.simulation.engine.compiled import compiled
from autoscaler.simulation.engine.observe import KV_EXPIRED
from autoscaler.simulation.engine.sizes import blocks_of, cached_tokens
from autoscaler.simulation.engine.transfers import release
from autoscaler.simulation.engine.world import AWAITING_DECODE, AWAITING_PULL, NOBODY, QUEUED, World


@compiled
def hold(world: World, index: int, slot: int, now_s: float) -> None:
    """Keep a prefilled request's blocks for decode to pull."""
    request, clock = world.requests[index], world.clock[0]
    request.held_blocks = request.blocks
    world.replicas[slot].held += 1
    if request.leased:  # since an earlier prefill; those held in between run out first
        _unlink(world, index)
    request.leased = 1
    request.next_lease = NOBODY
    if clock.lease_head == NOBODY:
        clock.lease_head = index
        clock.lease_due_s = now_s + clock.lease_s
    else:
        world.requests[clock.lease_tail].next_lease = index
    clock.lease_tail = index


@compiled
def _unlink(world: World, index: int) -> None:
    """Take a request out of the queue of leases; `lease_due_s` may then be early, never late."""
    requests, clock = world.requests, world.clock[0]
    if clock.lease_head == index:
        clock.lease_head = requests[index].next_lease
        return
    before = clock.lease_head
    while requests[before].next_lease != index:
        before = requests[before].next_lease
    requests[before].next_lease = requests[index].next_lease
    if clock.lease_tail == index:
        clock.lease_tail = before


@compiled
def expire(world: World, now_s: float) -> None:
    """End the lease at the head of the queue, and forget those behind it that were pulled in time."""
    requests, clock = world.requests, world.clock[0]
    while clock.lease_head != NOBODY:
        request = requests[clock.lease_head]
        due_s = request.prefill_end_s + clock.lease_s
        waits = request.held_blocks > 0 and request.state in (AWAITING_PULL, AWAITING_DECODE)
        if waits and due_s > now_s:
            clock.lease_due_s = due_s
            return
        if waits:
            _expire(world, clock.lease_head, now_s)
        request.leased = 0
        clock.lease_head = request.next_lease
    clock.lease_due_s = math.inf


@compiled
def _expire(world: World, index: int, now_s: float) -> None:
    """Free the blocks; the decode replica has to compute the prompt itself."""
    request = world.requests[index]
    world.counters[request.prefill_slot, KV_EXPIRED] += 1.0
    release(world, index, now_s)
    if request.state == AWAITING_DECODE:
        return
    replica = world.replicas[request.slot]
    request.state = QUEUED
    request.local = 1
    request.computed_tokens = cached_tokens(request)
    replica.outstanding_tokens += request.context_tokens - request.computed_tokens
    replica.wanted_blocks -= request.blocks
    request.blocks = blocks_of(request.context_tokens + 1, world.clock[0].block_size)
    replica.wanted_blocks += request.blocks
