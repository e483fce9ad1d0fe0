"""Queues of requests: linked lists through `Request.next`; a request is in one queue at a time."""

from __future__ import annotations

from autoscaler.simulation.engine.compiled import compiled
from autoscaler.simulation.engine.world import NOBODY, Queue, Request, Table


@compiled
def append(queue: Queue, requests: Table[Request], index: int) -> None:
    """Put a request at the end."""
    requests[index].next = NOBODY
    if queue.count == 0:
        queue.head = index
    else:
        requests[queue.tail].next = index
    queue.tail = index
    queue.count += 1


@compiled
def prepend(queue: Queue, requests: Table[Request], index: int) -> None:
    """Put a request at the front."""
    requests[index].next = queue.head if queue.count > 0 else NOBODY
    if queue.count == 0:
        queue.tail = index
    queue.head = index
    queue.count += 1


@compiled
def pop(queue: Queue, requests: Table[Request]) -> int:
    """Take the first request of a queue that is not empty."""
    index = queue.head
    queue.head = requests[index].next
    queue.count -= 1
    if queue.count == 0:
        queue.tail = NOBODY
    return index


@compiled
def remove(queue: Queue, requests: Table[Request], index: int) -> None:
    """Take out one request, wherever in the queue it is."""
    if queue.head == index:
        pop(queue, requests)
        return
    before = queue.head
    while requests[before].next != index:
        before = requests[before].next
    requests[before].next = requests[index].next
    if queue.tail == index:
        queue.tail = before
    queue.count -= 1


@compiled
def clear(queue: Queue) -> None:
    """Forget everything in the queue."""
    queue.head = NOBODY
    queue.tail = NOBODY
    queue.count = 0
