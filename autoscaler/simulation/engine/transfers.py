"""KV transfers: the decode side pulls; a setup time, then bytes over two shared links.

Each replica has one link. A transfer gets the smaller of its sender's and its receiver's equal share.
"""

from __future__ import annotations

import math

from autoscaler.simulation.engine import queues
from autoscaler.simulation.engine.agenda import plan
from autoscaler.simulation.engine.compiled import compiled
from autoscaler.simulation.engine.interrupt import interrupt, note_if_drained, wake
from autoscaler.simulation.engine.observe import H_TRANSFER_BYTES, H_TRANSFER_S, observe
from autoscaler.simulation.engine.world import LOADED, TRANSFERRING, Transfer, World


@compiled
def start(world: World, index: int, target: int, now_s: float) -> None:
    """Let the replica `target`, which has blocks for it, pull a request's KV."""
    request, clock = world.requests[index], world.clock[0]
    request.state = TRANSFERRING
    request.transfer_start_s = now_s
    world.replicas[target].transferring += 1
    transfer = world.transfers[clock.transfers]
    clock.transfers += 1
    transfer.request = index
    transfer.source = request.prefill_slot
    transfer.target = target
    transfer.start_s = now_s + clock.transfer_setup_s
    transfer.finish_s = math.inf
    transfer.bytes = request.context_tokens * world.pools[world.replicas[transfer.source].role].kv_bytes_per_token
    transfer.bytes_per_s = 0.0
    transfer.flowing = 0
    # An event of its own: what it completes must find the scheduler that starts this one at rest.
    plan(world.agenda, world.agenda.next_s.size - 1, now_s)


@compiled
def refresh(world: World, now_s: float) -> None:
    """Complete and start what is due, share the links anew, and plan the next transfer event."""
    transfers, clock = world.transfers, world.clock[0]
    k = 0
    while k < clock.transfers:
        if transfers[k].flowing and transfers[k].finish_s <= now_s:
            _complete(world, k, now_s)
        else:
            k += 1
    for k in range(clock.transfers):
        if not transfers[k].flowing and transfers[k].start_s <= now_s:
            transfers[k].flowing = 1
            world.replicas[transfers[k].source].flows += 1
            world.replicas[transfers[k].target].flows += 1
    next_s = math.inf
    for k in range(clock.transfers):
        next_s = min(next_s, _pace(world, k, now_s))
    plan(world.agenda, world.agenda.next_s.size - 1, next_s)


@compiled
def drop(world: World, index: int, now_s: float) -> None:
    """Give up the transfer of a request."""
    transfers = world.transfers
    k = 0
    while transfers[k].request != index:
        k += 1
    _unlink(world, k)
    refresh(world, now_s)


@compiled
def release(world: World, index: int, now_s: float) -> None:
    """Free the blocks that the prefill replica kept for a request."""
    request = world.requests[index]
    replica = world.replicas[request.prefill_slot]
    replica.used_blocks -= request.held_blocks
    replica.held -= 1
    request.held_blocks = 0
    if replica.waiting.count > 0:
        wake(world, request.prefill_slot, now_s)
    note_if_drained(world, request.prefill_slot, now_s)


@compiled
def _pace(world: World, k: int, now_s: float) -> float:
    """Give a transfer its present share; return when it next needs attention."""
    transfer = world.transfers[k]
    if not transfer.flowing:
        return transfer.start_s
    source, target = world.replicas[transfer.source], world.replicas[transfer.target]
    share = min(
        world.pools[source.role].link_bytes_per_s / source.flows,
        world.pools[target.role].link_bytes_per_s / target.flows,
    )
    if transfer.bytes_per_s == 0.0:
        transfer.finish_s = now_s + transfer.bytes / share
    elif share != transfer.bytes_per_s:
        transfer.finish_s = now_s + (transfer.finish_s - now_s) * (transfer.bytes_per_s / share)
    transfer.bytes_per_s = share
    return transfer.finish_s


@compiled
def _complete(world: World, k: int, now_s: float) -> None:
    transfer = world.transfers[k]
    index, target = transfer.request, transfer.target
    observe(world.counters[target], H_TRANSFER_S, now_s - transfer.start_s)
    observe(world.counters[target], H_TRANSFER_BYTES, transfer.bytes)
    _unlink(world, k)
    request, replica = world.requests[index], world.replicas[target]
    request.state = LOADED
    request.transfer_end_s = now_s
    replica.transferring -= 1
    queues.append(replica.loaded, world.requests, index)
    release(world, index, now_s)
    interrupt(world, target, now_s)


@compiled
def _unlink(world: World, k: int) -> None:
    transfers, clock = world.transfers, world.clock[0]
    if transfers[k].flowing:
        world.replicas[transfers[k].source].flows -= 1
        world.replicas[transfers[k].target].flows -= 1
    clock.transfers -= 1
    _move(transfers[clock.transfers], transfers[k])


@compiled
def _move(source: Transfer, target: Transfer) -> None:
    target.start_s = source.start_s
    target.finish_s = source.finish_s
    target.bytes_per_s = source.bytes_per_s
    target.bytes = source.bytes
    target.request = source.request
    target.source = source.source
    target.target = source.target
    target.flowing = source.flowing
