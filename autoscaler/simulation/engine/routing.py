"""Where requests go: prefill pool or straight to where they decode, and which replica of a pool."""

from __future__ import annotations

import math

from autoscaler.simulation.engine import queues
from autoscaler.simulation.engine.compiled import compiled, entry
from autoscaler.simulation.engine.interrupt import interrupt
from autoscaler.simulation.engine.observe import ERRORS
from autoscaler.simulation.engine.sizes import blocks_of, cached_tokens
from autoscaler.simulation.engine.world import (
    AT_GATEWAY,
    AWAITING_DECODE,
    AWAITING_PULL,
    DECODE,
    NOBODY,
    PREFILL,
    QUEUED,
    REJECTED,
    World,
)


@compiled
def arrive(world: World, index: int) -> None:
    """Take in a new request; refuse it if it can never fit."""
    request = world.requests[index]
    request.context_tokens = request.input_tokens
    enter(world, index, request.arrival_s)


@compiled
def enter(world: World, index: int, now_s: float) -> None:
    """Send a request to the replica that prefills it, or keep it at the gateway while none is ready."""
    request = world.requests[index]
    role = _entry_role(world, index)
    if role == NOBODY:
        _reject(world, index, now_s)
        return
    slot = pick(world, role)
    if slot == NOBODY:
        request.state = AT_GATEWAY
        request.slot = NOBODY
        queues.append(world.clock[0].gateway, world.requests, index)
        return
    request.entered_s = now_s
    if role == PREFILL:
        request.prefill_slot = slot
        request.local = 0
        request.blocks = blocks_of(request.context_tokens, world.clock[0].block_size)
        _queue_prefill(world, index, slot, now_s)
    else:
        prefill_at(world, index, slot, now_s)


@compiled
def _entry_role(world: World, index: int) -> int:
    """The pool that prefills a request, by the number of tokens that no cache holds; NOBODY if it fits nowhere.

    A request that the prefill pool, or decode behind it, can never hold stays where both phases run in one replica: at
    the head of a queue it would wait for ever, and all others behind it.
    """
    request, clock = world.requests[index], world.clock[0]
    context = blocks_of(request.context_tokens, clock.block_size)
    most = blocks_of(request.input_tokens + request.output_tokens, clock.block_size)
    uncached = request.context_tokens - cached_tokens(request)
    apart = uncached >= clock.disaggregate_from_tokens
    if apart and context <= world.pools[PREFILL].num_blocks and most <= world.pools[DECODE].num_blocks:
        return PREFILL
    return clock.local_role if most <= world.pools[clock.local_role].num_blocks else NOBODY


@compiled
def _reject(world: World, index: int, now_s: float) -> None:
    request = world.requests[index]
    request.state = REJECTED
    request.finish_s = now_s
    request.slot = NOBODY
    world.clock[0].settled += 1
    world.counters[-1, ERRORS] += 1.0


@compiled
def prefill_at(world: World, index: int, slot: int, now_s: float) -> None:
    """Queue a request on a replica that both prefills and decodes it."""
    request = world.requests[index]
    request.local = 1
    request.prefill_slot = slot
    request.decode_arrival_s = now_s
    request.pod_scheduled_s = math.nan
    request.pod_first_token_s = math.nan
    request.blocks = blocks_of(request.context_tokens + 1, world.clock[0].block_size)
    _queue_prefill(world, index, slot, now_s)


@compiled
def _queue_prefill(world: World, index: int, slot: int, now_s: float) -> None:
    request, replica = world.requests[index], world.replicas[slot]
    request.computed_tokens = cached_tokens(request)
    replica.outstanding_tokens += request.context_tokens - request.computed_tokens
    request.state = QUEUED
    _queue(world, index, slot, now_s)


@compiled
def hand_off(world: World, index: int, now_s: float) -> None:
    """Send a prefilled request to a decode replica, or keep it until one is ready."""
    request = world.requests[index]
    slot = pick(world, DECODE)
    if slot == NOBODY:
        request.state = AWAITING_DECODE
        request.slot = NOBODY
        queues.append(world.clock[0].handoff, world.requests, index)
        return
    if request.held_blocks == 0:  # its lease ran out meanwhile
        prefill_at(world, index, slot, now_s)
        return
    request.state = AWAITING_PULL
    request.decode_arrival_s = now_s
    request.pod_scheduled_s = math.nan
    request.pod_first_token_s = math.nan
    request.blocks = blocks_of(request.context_tokens, world.clock[0].block_size)
    _queue(world, index, slot, now_s)


@compiled
def _queue(world: World, index: int, slot: int, now_s: float) -> None:
    request, replica = world.requests[index], world.replicas[slot]
    request.slot = slot
    replica.wanted_blocks += request.blocks
    queues.append(replica.waiting, world.requests, index)
    if replica.waiting.count == 1:
        interrupt(world, slot, now_s)


@entry
def reroute_gateway(world: World, now_s: float) -> None:
    """Try everything that waits at the gateway again: a replica became ready, or the threshold moved."""
    clock = world.clock[0]
    for _ in range(clock.gateway.count):
        enter(world, queues.pop(clock.gateway, world.requests), now_s)
    for _ in range(clock.handoff.count):
        hand_off(world, queues.pop(clock.handoff, world.requests), now_s)


@compiled
def pick(world: World, role: int) -> int:
    """The replica that the router prefers, or NOBODY."""
    if world.clock[0].round_robin:
        return _next_in_turn(world, role)
    best, best_load, best_requests = NOBODY, math.inf, 0
    for slot in range(world.replicas.size):
        replica = world.replicas[slot]
        if not replica.accepting or replica.role != role:
            continue
        requests = replica.batch + replica.waiting.count + replica.transferring + replica.loaded.count
        if role == PREFILL:
            load = replica.outstanding_tokens
        else:
            load = float(replica.used_blocks + replica.wanted_blocks) / replica.num_blocks
        if load < best_load or (load == best_load and requests < best_requests):
            best, best_load, best_requests = slot, load, requests
    return best


@compiled
def _next_in_turn(world: World, role: int) -> int:
    pool, slots = world.pools[role], world.replicas.size
    for ahead in range(1, slots + 1):
        slot = (pool.turn + ahead) % slots
        if world.replicas[slot].accepting and world.replicas[slot].role == role:
            pool.turn = slot
            return slot
    return NOBODY
