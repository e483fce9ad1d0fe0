"""Changes that make a schedule cheaper, and what each is expected to cost in requests."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from autoscaler.core.policy import Role
from autoscaler.simulation.clairvoyant.demand import SlotLoad
from autoscaler.simulation.clairvoyant.schedule import Schedule, Stretch
from autoscaler.simulation.config import ServiceConfig
from autoscaler.simulation.traces.trace import Floats

_SHORTEST_TRIM_S = 60.0
_FORBIDDEN = 1e12  # requests; finite, so that sums can be subtracted


@dataclass(frozen=True, slots=True)
class Change:
    """A stretch that is shortened, or left out."""

    before: Stretch
    after: Stretch | None

    @property
    def span_s(self) -> tuple[float, float]:
        """When a replica will be missing."""
        if self.after is None:
            return self.before.start_s, self.before.end_s
        if self.after.start_s > self.before.start_s:
            return self.before.start_s, self.after.start_s
        return self.after.end_s, self.before.end_s

    def saved_gpu_s(self, config: ServiceConfig) -> float:
        """GPU time saved; a stretch left out saves its start too."""
        start_s, end_s = self.span_s
        pool = config.pools[self.before.role]
        return pool.gpus_per_replica * (end_s - start_s + (pool.startup_time_s if self.after is None else 0.0))


def changes(stretch: Stretch) -> Iterator[Change]:
    """Leaving a stretch out, and taking a half, a quarter and so on from either end."""
    yield Change(stretch, None)
    trim_s = (stretch.end_s - stretch.start_s) / 2
    while trim_s >= _SHORTEST_TRIM_S:
        yield Change(stretch, replace(stretch, start_s=stretch.start_s + trim_s))
        yield Change(stretch, replace(stretch, end_s=stretch.end_s - trim_s))
        trim_s /= 2


class Outlook:
    """Requests that a missing replica would cost, slot by slot, if queues carried nothing over.

    Args:
        loads: The load.
        schedule: What would serve it.
    """

    def __init__(self, loads: Mapping[Role, SlotLoad], schedule: Schedule) -> None:
        self._slot_s = {role: load.slot_s for role, load in loads.items()}
        self._lost = {role: _running_sum(load, schedule, role) for role, load in loads.items()}

    def lost(self, change: Change) -> float:
        """Requests that a change is expected to lose; very many if it would leave a role without replicas."""
        role = change.before.role
        slot_s, lost = self._slot_s[role], self._lost[role]
        start_s, end_s = change.span_s
        first, last = int(start_s // slot_s), math.ceil(end_s / slot_s)
        return float(lost[min(last, lost.size - 1)] - lost[min(first, lost.size - 1)])


def _running_sum(load: SlotLoad, schedule: Schedule, role: Role) -> Floats:
    at_s = load.slot_s * (np.arange(load.busy.size, dtype=np.float64) + 0.5)
    others = schedule.serving(role, at_s) - 1
    share = np.clip(load.busy - others, 0.0, 1.0) / np.maximum(load.busy, 1.0)
    lost = np.where(others < 1, _FORBIDDEN, load.requests * share)
    return np.concatenate(([0.0], np.cumsum(lost)))
