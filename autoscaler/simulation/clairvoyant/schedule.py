"""A schedule: when each replica serves, known beforehand; and the controller that follows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from autoscaler.core.policy import Role
from autoscaler.core.snapshot import Snapshot
from autoscaler.simulation.clairvoyant.demand import Ints
from autoscaler.simulation.clairvoyant.levels import Stay
from autoscaler.simulation.config import ServiceConfig
from autoscaler.simulation.run import Controller, Memory
from autoscaler.simulation.traces.trace import Floats


@dataclass(frozen=True, slots=True, order=True)
class Stretch:
    """One replica that should serve over [start, end), in seconds of the trace."""

    start_s: float
    end_s: float
    role: Role


@dataclass(frozen=True, slots=True)
class Schedule:
    """Stretches of all replicas.

    Attributes:
        stretches: In any order.
        lead_s: How long before its stretch a replica is ordered, per role.
    """

    stretches: tuple[Stretch, ...]
    lead_s: Mapping[Role, float]
    _edges_s: Mapping[Role, tuple[Floats, Floats]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Sort orders and ends once, so that asking is cheap."""
        edges_s = {
            role: (
                np.sort([stretch.start_s - lead_s for stretch in self.stretches if stretch.role is role]),
                np.sort([stretch.end_s for stretch in self.stretches if stretch.role is role]),
            )
            for role, lead_s in self.lead_s.items()
        }
        object.__setattr__(self, "_edges_s", edges_s)

    @classmethod
    def of(cls, stays: Mapping[Role, Sequence[Stay]], slot_s: float, lead_s: Mapping[Role, float]) -> Schedule:
        """The schedule of an optimal decomposition into stays."""
        stretches = (
            Stretch(stay.start * slot_s, stay.end * slot_s, role)
            for role, stays_of in stays.items()
            for stay in stays_of
        )
        return cls(tuple(sorted(stretches)), lead_s)

    def replicas(self, role: Role, at_s: float, ahead_s: float = 0.0) -> int:
        """Replicas ordered or serving at `at_s`, those included whose order falls into the next `ahead_s`."""
        ordered_s, ended_s = self._edges_s[role]
        return int(np.searchsorted(ordered_s, at_s + ahead_s, "right") - np.searchsorted(ended_s, at_s, "right"))

    def serving(self, role: Role, at_s: Floats) -> Ints:
        """Replicas that should serve at each of some times."""
        ordered_s, ended_s = self._edges_s[role]
        started_s = ordered_s + self.lead_s[role]
        return np.searchsorted(started_s, at_s, "right") - np.searchsorted(ended_s, at_s, "right")

    def fewest(self, role: Role, start_s: float, end_s: float) -> int:
        """Smallest number of replicas that should serve at any time in [start, end)."""
        ended_s = self._edges_s[role][1]
        inside_s = ended_s[(ended_s > start_s) & (ended_s < end_s)]
        return int(self.serving(role, np.concatenate(([start_s], inside_s))).min())

    def controller(self, interval_s: float) -> Controller:
        """A controller that follows the schedule; deciding every `interval_s` it orders early, never late."""

        def control(snapshot: Snapshot, memory: Memory, now_s: float) -> Mapping[Role, int]:
            del memory
            return {role: self.replicas(role, now_s, interval_s) for role in snapshot.pools}

        return control

    def begun(self, config: ServiceConfig, at_s: float = 0.0) -> ServiceConfig:
        """The service with the replicas that the schedule has at `at_s`, ready."""
        return config.starting_with({role: self.replicas(role, at_s) for role in config.pools})

    def cut(self, start_s: float, end_s: float) -> Schedule:
        """The part of the schedule that matters in [start, end), on a clock that starts at `start_s`."""
        inside = (
            replace(stretch, start_s=stretch.start_s - start_s, end_s=stretch.end_s - start_s)
            for stretch in self.stretches
            if stretch.end_s > start_s and stretch.start_s - self.lead_s[stretch.role] < end_s
        )
        return Schedule(tuple(inside), self.lead_s)

    def swap(self, old: Stretch, new: Stretch | None) -> Schedule:
        """The schedule with a stretch replaced, or left out."""
        at = self.stretches.index(old)
        kept = self.stretches[:at] + (() if new is None else (new,)) + self.stretches[at + 1 :]
        return Schedule(kept, self.lead_s)
