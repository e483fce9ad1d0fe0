"""Replicas come and go: open a slot, stop routing to it, lose what it holds, close it."""

from __future__ import annotations

import math

from autoscaler.simulation.counters import Floats
from autoscaler.simulation.engine import queues, transfers
from autoscaler.simulation.engine.agenda import plan
from autoscaler.simulation.engine.compiled import compiled, entry
from autoscaler.simulation.engine.interrupt import interrupt, is_empty, note_if_drained
from autoscaler.simulation.engine.observe import ERRORS, count_steps
from autoscaler.simulation.engine.pace import steps_done
from autoscaler.simulation.engine.routing import enter, reroute_gateway
from autoscaler.simulation.engine.world import (
    AWAITING_DECODE,
    AWAITING_PULL,
    DECODING,
    FAILED,
    FINISHED,
    NOBODY,
    TRANSFERRING,
    Replica,
    World,
)


@entry
def open_slot(world: World, slot: int, role: int, now_s: float) -> None:
    """Let a replica serve."""
    replica, pool = world.replicas[slot], world.pools[role]
    replica.role = role
    replica.in_use = 1
    replica.accepting = 1
    replica.num_blocks = pool.num_blocks
    replica.max_sequences = pool.max_sequences
    replica.max_batched_tokens = pool.max_batched_tokens
    reroute_gateway(world, now_s)


@entry
def stop_routing(world: World, slot: int, now_s: float) -> None:
    """Send a replica no more requests; it finishes what it holds."""
    world.replicas[slot].accepting = 0
    note_if_drained(world, slot, now_s)


@entry
def close_slot(world: World, retired: Floats, slot: int, now_s: float, retry: bool) -> None:
    """Remove a replica and keep its counts in `retired`. What it holds fails, or starts again elsewhere if `retry`."""
    replica = world.replicas[slot]
    replica.accepting = 0
    if replica.running:
        count_steps(world, slot, steps_done(replica, now_s))
    if not is_empty(replica):
        _lose_all(world, slot, now_s, retry)
    for column in range(world.counters.shape[1]):
        retired[replica.role, column] += world.counters[slot, column]
        world.counters[slot, column] = 0.0
    for phase in range(world.phases.shape[1]):
        world.phases[slot, phase] = 0
    _reset(replica)
    plan(world.agenda, slot, math.inf)


@compiled
def _lose_all(world: World, slot: int, now_s: float, retry: bool) -> None:
    requests = world.requests
    for index in range(world.clock[0].next_arrival):
        request = requests[index]
        if request.state >= FINISHED:
            continue
        if request.slot == slot or (request.held_blocks > 0 and request.prefill_slot == slot):
            _detach(world, index, slot, now_s)
            _settle_lost(world, index, now_s, retry)


@compiled
def _detach(world: World, index: int, dying: int, now_s: float) -> None:
    """Take a request out of everything that outlives the dying replica, whose own queues are cleared as a whole."""
    request = world.requests[index]
    if request.state == DECODING:
        replica = world.replicas[dying]
        request.generated_tokens += replica.step + replica.counted_steps - request.joined_step
    if request.state == TRANSFERRING:
        transfers.drop(world, index, now_s)
    if request.state == AWAITING_DECODE:
        queues.remove(world.clock[0].handoff, world.requests, index)
    elif request.slot != dying:
        _leave_decode(world, index, now_s)
    if request.held_blocks > 0 and request.prefill_slot != dying:
        transfers.release(world, index, now_s)
    request.held_blocks = 0


@compiled
def _leave_decode(world: World, index: int, now_s: float) -> None:
    request = world.requests[index]
    decoder = world.replicas[request.slot]
    if request.state == AWAITING_PULL:
        queues.remove(decoder.waiting, world.requests, index)
        decoder.wanted_blocks -= request.blocks
    else:
        decoder.transferring -= 1
        decoder.used_blocks -= request.blocks
    interrupt(world, request.slot, now_s)
    note_if_drained(world, request.slot, now_s)


@compiled
def _settle_lost(world: World, index: int, now_s: float, retry: bool) -> None:
    request = world.requests[index]
    request.slot = NOBODY
    if retry:
        request.retries += 1
        request.context_tokens = request.input_tokens + request.generated_tokens
        enter(world, index, now_s)
        return
    request.state = FAILED
    request.finish_s = now_s
    world.clock[0].settled += 1
    world.counters[-1, ERRORS] += 1.0


@compiled
def _reset(replica: Replica) -> None:
    replica.in_use = 0
    replica.running = 0
    replica.run_steps = 0
    replica.counted_steps = 0
    replica.step = 0
    replica.kv_tokens = 0.0
    replica.outstanding_tokens = 0.0
    replica.used_blocks = 0
    replica.wanted_blocks = 0
    replica.pass_tokens = 0
    replica.batch = 0
    replica.transferring = 0
    replica.held = 0
    replica.flows = 0
    replica.drained_s = math.nan
    queues.clear(replica.waiting)
    queues.clear(replica.prefilling)
    queues.clear(replica.loaded)
    queues.clear(replica.fresh)
