"""A verified schedule: enough replicas at first, then fewer and fewer while the replay keeps its objectives.

What comes out has been replayed, so its cost bounds the optimum from above.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from autoscaler.core.policy import Role
from autoscaler.simulation.clairvoyant.demand import SLOT_S, slot_loads
from autoscaler.simulation.clairvoyant.levels import optimal_stays
from autoscaler.simulation.clairvoyant.replay import Bools, Problem, holds, replay, replay_around
from autoscaler.simulation.clairvoyant.schedule import Schedule, Stretch
from autoscaler.simulation.clairvoyant.work import work_of
from autoscaler.simulation.config import SimulationError

# Above 1 because queues carry work past its slot, and a share of the requests may be late.
_UTILIZATION_RATIOS = (0.2, 1.8)

# Requests that a saved GPU-second may cost, in units of all that may be lost over all GPU-seconds: free savings first,
# then ever dearer ones, so that a bad bargain does not use up what is allowed.
_PRICES = (0.0, 0.5, 2.0, 8.0)

_SHORTEST_TRIM_S = 30.0


@dataclass(frozen=True, slots=True)
class Change:
    """A stretch that was shortened, or left out."""

    before: Stretch
    after: Stretch | None

    @property
    def span_s(self) -> tuple[float, float]:
        """When a replica is missing."""
        if self.after is None:
            return self.before.start_s, self.before.end_s
        if self.after.start_s > self.before.start_s:
            return self.before.start_s, self.after.start_s
        return self.after.end_s, self.before.end_s


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a descent has come; hand it back to go on.

    Attributes:
        schedule: What holds so far, as far as replays of parts tell.
        accepted: Changes made, in order.
        tried: Changes refused at the present price.
        price: Index of the present price.
    """

    schedule: Schedule
    accepted: tuple[Change, ...] = ()
    tried: frozenset[Change] = frozenset()
    price: int = 0

    @property
    def finished(self) -> bool:
        """Whether no change is left to try."""
        return self.price >= len(_PRICES)


def first_schedule(problem: Problem, *, steps: int = 4) -> Schedule:
    """Follow the slot demand one startup ahead, at the highest utilisation that holds in replay, per role.

    Args:
        problem: Load and service.
        steps: Bisections of the utilisation, for both roles together and then for each alone.

    Raises:
        SimulationError: Not even a nearly idle fleet attains the objectives.
    """
    lowest, highest = _UTILIZATION_RATIOS
    held = dict.fromkeys(problem.config.pools, lowest)
    if not holds(problem, planned(problem, held)):
        raise SimulationError(
            f"{problem.config.name}: replicas that are idle {1 - lowest:.0%} of the time still miss the objectives; "
            "is one request alone too slow, or the lead shorter than a startup?"
        )
    for roles in (tuple(held), *((role,) for role in held)):
        enough, too_few = held[roles[0]], highest
        for _ in range(steps):
            middle = (enough + too_few) / 2
            if holds(problem, planned(problem, {**held, **dict.fromkeys(roles, middle)})):
                enough = middle
            else:
                too_few = middle
        held.update(dict.fromkeys(roles, enough))
    return planned(problem, held)


def planned(problem: Problem, utilization_ratio: Mapping[Role, float]) -> Schedule:
    """The optimal schedule for the slot demand at a utilisation per role."""
    loads = slot_loads(work_of(problem.config, problem.trace))
    stays = {
        role: optimal_stays(load.replicas(utilization_ratio[role]), SLOT_S, problem.config.pools[role].startup_time_s)
        for role, load in loads.items()
    }
    return Schedule.of(stays, SLOT_S, problem.lead_s())


def descend(problem: Problem, progress: Progress, *, replays: int) -> Progress:
    """Leave out or shorten stretches, the largest saving first, while the objectives hold.

    Each try replays only its surroundings, so that the sum of many is approximate: `settle` makes sure of it.

    Args:
        problem: Load and service.
        progress: Where to go on; `Progress(schedule)` at first.
        replays: Changes to try.
    """
    in_time = replay(problem, progress.schedule, problem.seeds[0]).requests.in_time.copy()
    for _ in range(replays):
        change = _next_change(problem, progress)
        while change is None and not progress.finished:
            progress = replace(progress, price=progress.price + 1, tried=frozenset())
            change = None if progress.finished else _next_change(problem, progress)
        if change is None:
            break
        progress = _try(problem, progress, change, in_time)
    return progress


def settle(problem: Problem, progress: Progress) -> Progress:
    """Take back as many of the last changes as it needs for the whole replay to hold with every seed."""
    if holds(problem, progress.schedule):
        return progress
    good, bad = 0, len(progress.accepted)
    while bad - good > 1:
        middle = (good + bad) // 2
        if holds(problem, _after(progress, middle)):
            good = middle
        else:
            bad = middle
    return Progress(_after(progress, good), progress.accepted[:good], frozenset(), progress.price)


def _after(progress: Progress, changes: int) -> Schedule:
    """The schedule as it was after so many of the accepted changes."""
    schedule = progress.schedule
    for change in reversed(progress.accepted[changes:]):
        stretches = schedule.stretches if change.after is None else schedule.swap(change.after, None).stretches
        schedule = replace(schedule, stretches=(*stretches, change.before))
    return schedule


def _next_change(problem: Problem, progress: Progress) -> Change | None:
    untried = (
        change
        for stretch in progress.schedule.stretches
        for change in _changes(stretch)
        if change not in progress.tried
    )
    return max(untried, key=lambda change: (_saved_gpu_s(problem, change), change.before), default=None)


def _changes(stretch: Stretch) -> Iterator[Change]:
    yield Change(stretch, None)
    trim_s = (stretch.end_s - stretch.start_s) / 2
    while trim_s >= _SHORTEST_TRIM_S:
        yield Change(stretch, replace(stretch, start_s=stretch.start_s + trim_s))
        yield Change(stretch, replace(stretch, end_s=stretch.end_s - trim_s))
        trim_s /= 2


def _saved_gpu_s(problem: Problem, change: Change) -> float:
    start_s, end_s = change.span_s
    pool = problem.config.pools[change.before.role]
    return pool.gpus_per_replica * (end_s - start_s + (pool.startup_time_s if change.after is None else 0.0))


def _try(problem: Problem, progress: Progress, change: Change, in_time: Bools) -> Progress:
    attempt = progress.schedule.swap(change.before, change.after)
    if attempt.fewest(change.before.role, *change.span_s) < 1:
        return replace(progress, tried=progress.tried | {change})
    rows, fresh = replay_around(problem, attempt, *change.span_s)
    lost = int(in_time[rows].sum()) - int(fresh.sum())
    missed = int((~in_time).sum()) + lost
    saved_gpu_s = _saved_gpu_s(problem, change)
    held_gpu_s = sum(_saved_gpu_s(problem, Change(stretch, None)) for stretch in progress.schedule.stretches)
    worth = _PRICES[progress.price] * problem.misses_allowed * saved_gpu_s / held_gpu_s
    if lost > worth or missed > problem.misses_allowed:
        return replace(progress, tried=progress.tried | {change})
    in_time[rows] = fresh
    return replace(progress, schedule=attempt, accepted=(*progress.accepted, change))
