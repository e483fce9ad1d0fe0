"""Replaying a schedule in the simulator, whole or around one change."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from autoscaler.core.policy import Role
from autoscaler.simulation.clairvoyant.schedule import Schedule
from autoscaler.simulation.clairvoyant.verdict import attains, misses_allowed
from autoscaler.simulation.config import ServiceConfig
from autoscaler.simulation.results import Results
from autoscaler.simulation.run import run
from autoscaler.simulation.traces import Trace, between

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Problem:
    """A load to be served with the fewest GPU-hours, its future known.

    Attributes:
        config: The service; replica counts of its pools are set from the schedule, ready at the start.
        trace: The load.
        seeds: Of startup times; a schedule must hold with each.
        interval_s: Time between decisions.
        warm_s: How long before a change its replay is true, so that queues and batches are as they would be.
        settle_s: How long after a change requests may still feel it.
        lead_ratio: Startup times of lead; above 1 because startup times vary.
    """

    config: ServiceConfig
    trace: Trace
    seeds: tuple[int, ...] = (1,)
    interval_s: float = 15.0
    warm_s: float = 180.0
    settle_s: float = 120.0
    lead_ratio: float = 1.2

    @property
    def misses_allowed(self) -> int:
        """Requests that may miss an objective."""
        return misses_allowed(self.trace, self.config.objectives.attainment_ratio)

    def lead_s(self) -> dict[Role, float]:
        """How long before its stretch a replica is ordered, per role."""
        return {role: self.lead_ratio * pool.startup_time_s for role, pool in self.config.pools.items()}


def replay(problem: Problem, schedule: Schedule, seed: int) -> Results:
    """Play the whole load under a schedule."""
    return run(
        schedule.controller(problem.interval_s),
        schedule.begun(problem.config),
        problem.trace,
        seed=seed,
        interval_s=problem.interval_s,
    )


def holds(problem: Problem, schedule: Schedule) -> bool:
    """Whether a schedule attains the objectives with every seed."""
    return all(
        attains(
            schedule.begun(problem.config),
            problem.trace,
            schedule.controller(problem.interval_s),
            attainment_ratio=problem.config.objectives.attainment_ratio,
            seed=seed,
            interval_s=problem.interval_s,
        )
        for seed in problem.seeds
    )


def replay_around(problem: Problem, schedule: Schedule, start_s: float, end_s: float) -> tuple[slice, Bools]:
    """Play only what a change of the schedule in [start, end) can reach.

    Returns:
        Which requests of the trace arrived from `start_s` until the change has settled, and whether each was in time.
    """
    # Replicas under way when the part begins are ready too early: let them have been needed before the warm-up.
    warm_from_s = max(start_s - problem.warm_s - max(problem.lead_s().values()), 0.0)
    until_s = min(end_s + problem.settle_s, problem.trace.duration_s)
    part = between(problem.trace, warm_from_s, until_s)
    local = replace(problem, trace=part)
    results = replay(local, schedule.cut(warm_from_s, until_s), problem.seeds[0])
    arrival_s = problem.trace.arrival_s
    whole = slice(int(np.searchsorted(arrival_s, warm_from_s)), int(np.searchsorted(arrival_s, until_s)))
    first = int(np.searchsorted(arrival_s, start_s))
    in_time = np.zeros(whole.stop - whole.start, dtype=np.bool_)
    in_time[: results.requests.in_time.size] = results.requests.in_time
    return slice(first, whole.stop), in_time[first - whole.start :]
