"""The decode batch of a replica: a heap ordered by the step at which a sequence finishes."""

from __future__ import annotations

from autoscaler.simulation.engine.compiled import compiled
from autoscaler.simulation.engine.world import Ints, Request, Table, World


@compiled
def push(world: World, slot: int, index: int) -> None:
    """Add a request to the batch."""
    replica = world.replicas[slot]
    place = replica.batch
    replica.batch += 1
    world.batches[slot, place] = index
    _sift_up(world.batches[slot], world.requests, place)


@compiled
def take(world: World, slot: int, place: int) -> int:
    """Remove the request at a place of the heap; place 0 is the one that finishes first."""
    replica = world.replicas[slot]
    heap = world.batches[slot]
    index = int(heap[place])
    replica.batch -= 1
    last = replica.batch
    if place != last:
        heap[place] = heap[last]
        _sift_up(heap, world.requests, place)
        _sift_down(heap, world.requests, place, last)
    return index


@compiled
def latest(world: World, slot: int) -> int:
    """Place of the request that joined last."""
    heap, requests = world.batches[slot], world.requests
    found = 0
    for place in range(1, world.replicas[slot].batch):
        if requests[heap[place]].join_order > requests[heap[found]].join_order:
            found = place
    return found


@compiled
def _sift_up(heap: Ints, requests: Table[Request], place: int) -> None:
    index = int(heap[place])
    key = requests[index].finish_step
    while place > 0:
        parent = (place - 1) // 2
        if requests[heap[parent]].finish_step <= key:
            break
        heap[place] = heap[parent]
        place = parent
    heap[place] = index


@compiled
def _sift_down(heap: Ints, requests: Table[Request], place: int, size: int) -> None:
    index = int(heap[place])
    key = requests[index].finish_step
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and requests[heap[child + 1]].finish_step < requests[heap[child]].finish_step:
            child += 1
        if requests[heap[child]].finish_step >= key:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = index
