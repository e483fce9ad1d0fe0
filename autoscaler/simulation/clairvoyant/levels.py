"""The cheapest way to follow a profile of required replicas when each start costs time.

Replica r is needed where the profile is at least r. Each level is its own problem: over a gap of g seconds it is
cheaper to keep the replica if g is less than what a start costs, so an optimal schedule costs
`integral of D + sum over levels of (C + sum over gaps of min(g, C))` (dynamic right-sizing, Lin et al. 2011).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autoscaler.simulation.clairvoyant.demand import Ints


@dataclass(frozen=True, slots=True)
class Stay:
    """One replica kept over slots [start, end).

    Attributes:
        level: The profile is at least this where the replica is needed; counted from 1.
        start: First slot.
        end: Slot after the last.
    """

    level: int
    start: int
    end: int

    def replica_s(self, slot_s: float, startup_s: float) -> float:
        """What it costs, its start included."""
        return (self.end - self.start) * slot_s + startup_s


def optimal_stays(profile: Ints, slot_s: float, startup_s: float) -> list[Stay]:
    """The stays of an optimal schedule in order of level and time; those of a level lie inside those of the one below.

    Args:
        profile: Replicas required per slot.
        slot_s: Length of a slot.
        startup_s: Replica time that a start costs.
    """
    stays = []
    for level in range(1, int(profile.max(initial=0)) + 1):
        needed = np.flatnonzero(profile >= level)
        breaks = np.flatnonzero((np.diff(needed) - 1) * slot_s > startup_s)
        starts = needed[np.concatenate(([0], breaks + 1))]
        ends = needed[np.concatenate((breaks, [needed.size - 1]))] + 1
        stays += [Stay(level, start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    return stays


def optimal_replica_s(profile: Ints, slot_s: float, startup_s: float) -> float:
    """Replica-seconds of an optimal schedule; every replica is started once at least."""
    return sum(stay.replica_s(slot_s, startup_s) for stay in optimal_stays(profile, slot_s, startup_s))
