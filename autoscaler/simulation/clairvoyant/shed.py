"""Using the share of requests that an objective lets miss: give up the stays that few requests need."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autoscaler.core.policy import Role
from autoscaler.simulation.clairvoyant.demand import SlotLoad
from autoscaler.simulation.clairvoyant.levels import Stay


@dataclass(slots=True, eq=False)
class _Node:
    """A stay in the tree of stays: its parent is the stay of the level below that contains it."""

    role: Role
    stay: Stay
    parent: _Node | None
    requests: float
    price: float  # requests per GPU-second
    children: int = 0
    kept: bool = True


def shed(
    stays: Mapping[Role, Sequence[Stay]],
    loads: Mapping[Role, SlotLoad],
    gpus: Mapping[Role, float],
    *,
    requests: float,
    startup_s: float,
) -> Mapping[Role, list[Stay]]:
    """Leave out stays, those first that serve the fewest requests for their GPU time, while not too many are lost.

    A stay can go when none lies above it any more; the lowest level remains. A request that needs an extra replica in
    two slots, or of both roles, counts as two.

    Args:
        stays: An optimal schedule per role.
        loads: The load that it serves.
        gpus: GPUs per replica.
        requests: How many may be lost.
        startup_s: Replica time that a start costs.
    """
    nodes = [node for role in stays for node in _tree(role, stays[role], loads[role], gpus[role], startup_s)]
    heap = [(node.price, number) for number, node in enumerate(nodes) if not node.children]
    heapq.heapify(heap)
    numbers = {id(node): number for number, node in enumerate(nodes)}
    left = requests
    while heap:
        _, number = heapq.heappop(heap)
        node = nodes[number]
        if node.parent is None or node.requests > left:
            continue
        left -= node.requests
        node.kept = False
        node.parent.children -= 1
        if not node.parent.children:
            heapq.heappush(heap, (node.parent.price, numbers[id(node.parent)]))
    return {role: [node.stay for node in nodes if node.kept and node.role is role] for role in stays}


def _tree(role: Role, stays: Sequence[Stay], load: SlotLoad, gpus: float, startup_s: float) -> list[_Node]:
    nodes: list[_Node] = []
    below: list[_Node] = []  # of the level below, by slot
    level: list[_Node] = []
    for stay in stays:
        if level and stay.level != level[0].stay.level:
            below, level = level, []
        parent = next((node for node in below if node.stay.start <= stay.start and stay.end <= node.stay.end), None)
        if parent is not None:
            parent.children += 1
        requests = _requests_above(load, stay)
        node = _Node(role, stay, parent, requests, requests / (gpus * stay.replica_s(load.slot_s, startup_s)))
        nodes.append(node)
        level.append(node)
    return nodes


def _requests_above(load: SlotLoad, stay: Stay) -> float:
    """Requests that the levels below this one would leave unserved, those that levels above serve not counted."""
    busy, requests = load.busy[stay.start : stay.end], load.requests[stay.start : stay.end]
    own = np.clip(busy - (stay.level - 1), 0.0, 1.0)
    return float((requests * own / np.maximum(busy, 1.0)).sum())
