"""The event loop: whatever comes first, arrival, replica, transfer, lease or scrape."""

from __future__ import annotations

import math

from autoscaler.simulation.counters import LAYOUT, Floats
from autoscaler.simulation.engine.compiled import compiled, entry
from autoscaler.simulation.engine.lease import expire
from autoscaler.simulation.engine.observe import count_steps
from autoscaler.simulation.engine.pace import steps_done
from autoscaler.simulation.engine.routing import arrive
from autoscaler.simulation.engine.scheduler import boundary, grown_blocks
from autoscaler.simulation.engine.transfers import refresh
from autoscaler.simulation.engine.world import (
    G_KV_MAX,
    G_KV_SUM,
    G_PODS,
    G_READY,
    G_RUNNING,
    G_WAITING,
    G_WAITING_FOR_KV,
    GATEWAY,
    POOLS,
    SAMPLE_WIDTH,
    Monitor,
    World,
)

_WIDTH = LAYOUT.width


@entry
def advance(world: World, monitor: Monitor, until_s: float) -> bool:
    """Play events up to and including `until_s`, or until a draining replica has become empty; move the clock there.

    Returns:
        Whether a replica became empty, so that there may be more to play.
    """
    clock, requests, transfer_leaf = world.clock[0], world.requests, world.agenda.next_s.size - 1
    if clock.drained:  # by a death or a kill between two calls
        clock.drained = 0
        return True
    while True:
        leaf = int(world.agenda.tree[1])
        engine_s = float(world.agenda.next_s[leaf])
        arrival_s = requests[clock.next_arrival].arrival_s if clock.next_arrival < requests.size else math.inf
        scrape_s = clock.next_scrape * clock.scrape_interval_s
        now_s = min(engine_s, arrival_s, scrape_s, clock.lease_due_s)
        if now_s > until_s:
            clock.now_s = until_s
            return False
        clock.events += 1
        if arrival_s == now_s:
            clock.next_arrival += 1
            arrive(world, clock.next_arrival - 1)
        elif engine_s == now_s:
            if leaf == transfer_leaf:
                refresh(world, now_s)
            else:
                boundary(world, leaf, now_s)
        elif clock.lease_due_s == now_s:
            expire(world, now_s)
        else:
            scrape(world, monitor, now_s)
        if clock.drained:
            clock.drained = 0
            clock.now_s = now_s
            return True


@compiled
def scrape(world: World, monitor: Monitor, now_s: float) -> None:
    """Take one sample of every pool and of the gateway, unless monitoring is down."""
    clock = world.clock[0]
    clock.next_scrape += 1
    if now_s < clock.blind_until_s:
        return
    place = clock.samples % monitor.sample_s.size
    clock.samples += 1
    monitor.sample_s[place] = now_s
    sample = monitor.samples[place]
    for row in range(GATEWAY + 1):
        for column in range(SAMPLE_WIDTH):
            sample[row, column] = monitor.retired[row, column] if row < POOLS and column < _WIDTH else 0.0
    for slot in range(world.replicas.size):
        if world.replicas[slot].in_use:
            _add_pod(world, sample, slot, now_s)
    for column in range(_WIDTH):
        sample[GATEWAY, column] = world.counters[-1, column]
    sample[GATEWAY, G_WAITING] = clock.gateway.count
    sample[GATEWAY, G_WAITING_FOR_KV] = clock.handoff.count


@entry
def count_pod(world: World, slot: int, now_s: float) -> None:
    """Bring the counters of a pod up to the steps it has done by now."""
    replica = world.replicas[slot]
    if replica.running:
        count_steps(world, slot, steps_done(replica, now_s))


@entry
def used_blocks(world: World, slot: int) -> int:
    """Blocks in use in the step under way."""
    replica = world.replicas[slot]
    if not replica.running:
        return replica.used_blocks
    return replica.used_blocks + grown_blocks(world, slot, min(replica.counted_steps, replica.run_steps - 1))


@compiled
def _add_pod(world: World, samples: Floats, slot: int, now_s: float) -> None:
    count_pod(world, slot, now_s)
    replica = world.replicas[slot]
    sample = samples[replica.role]
    for column in range(_WIDTH):
        sample[column] += world.counters[slot, column]
    usage = float(used_blocks(world, slot)) / replica.num_blocks
    sample[G_RUNNING] += replica.batch + replica.prefilling.count
    sample[G_WAITING] += replica.waiting.count + replica.transferring + replica.loaded.count
    sample[G_WAITING_FOR_KV] += replica.transferring + replica.loaded.count
    sample[G_KV_SUM] += usage
    sample[G_KV_MAX] = max(sample[G_KV_MAX], usage)
    sample[G_PODS] += 1.0
    sample[G_READY] += replica.accepting
