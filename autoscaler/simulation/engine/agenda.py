"""The next event of every replica, as a tournament: the earliest is read in one step, a change costs log2(slots)."""

from __future__ import annotations

from autoscaler.simulation.engine.compiled import compiled
from autoscaler.simulation.engine.world import Agenda


@compiled
def plan(agenda: Agenda, leaf: int, at_s: float) -> None:
    """Let the leaf's next event be at `at_s`. Of events at one time the lowest leaf comes first."""
    next_s, tree = agenda.next_s, agenda.tree
    next_s[leaf] = at_s
    node = (leaf + next_s.size) // 2
    while node >= 1:
        left, right = tree[2 * node], tree[2 * node + 1]
        tree[node] = right if next_s[right] < next_s[left] else left
        node //= 2
