"""A verified schedule: enough replicas at first, then fewer and fewer while the replay keeps its objectives.

What comes out has been replayed, so its cost bounds the optimum from above.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from autoscaler.core.policy import Role
from autoscaler.simulation.clairvoyant.demand import SLOT_S, SlotLoad, slot_loads
from autoscaler.simulation.clairvoyant.levels import optimal_stays
from autoscaler.simulation.clairvoyant.moves import Change, Outlook, changes
from autoscaler.simulation.clairvoyant.replay import Bools, Problem, holds, replay, replay_around
from autoscaler.simulation.clairvoyant.schedule import Schedule
from autoscaler.simulation.clairvoyant.work import work_of
from autoscaler.simulation.config import SimulationError
from autoscaler.simulation.results import Results

# Above 1 because queues carry work past its slot, and a share of the requests may be late.
_UTILIZATION_RATIOS = (0.2, 1.8)

# Requests that a saved GPU-second may cost, in units of all that may be lost over all GPU-seconds: good bargains
# first, so that a bad one does not use up what is allowed.
_PRICES = (2.0, 8.0, 32.0)

# Expected losses that are not worth a replay: so many times too dear, and more than a few requests.
_DOUBT_RATIO = 4.0
_DOUBT_REQUESTS = 20.0


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


@dataclass(frozen=True, slots=True)
class Verified:
    """A schedule and what it came to in replay, one result per seed.

    Attributes:
        schedule: The schedule.
        results: Replays of the whole load.
    """

    schedule: Schedule
    results: tuple[Results, ...]

    @property
    def gpu_hours(self) -> float:
        """Mean cost over the seeds; nobody who knows the future need pay more."""
        return sum(result.gpu_hours for result in self.results) / len(self.results)


def verified_schedule(problem: Problem, *, replays: int) -> Verified:
    """The whole search: a first schedule, a descent of so many tries, and the proof.

    Raises:
        SimulationError: The objectives are out of reach.
    """
    progress = settle(problem, descend(problem, Progress(first_schedule(problem)), replays=replays))
    return Verified(progress.schedule, tuple(replay(problem, progress.schedule, seed) for seed in problem.seeds))


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
    """Leave out or shorten stretches while the objectives hold, first what should cost the fewest requests.

    Each try replays only its surroundings, so that the sum of many is approximate: `settle` makes sure of it.

    Args:
        problem: Load and service.
        progress: Where to go on; `Progress(schedule)` at first.
        replays: Changes to try.
    """
    loads = slot_loads(work_of(problem.config, problem.trace))
    in_time = replay(problem, progress.schedule, problem.seeds[0]).requests.in_time.copy()
    for _ in range(replays):
        change = _next_change(problem, progress, loads)
        while change is None and not progress.finished:
            progress = replace(progress, price=progress.price + 1, tried=frozenset())
            change = _next_change(problem, progress, loads)
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


def _after(progress: Progress, accepted: int) -> Schedule:
    """The schedule as it was after so many of the accepted changes."""
    schedule = progress.schedule
    for change in reversed(progress.accepted[accepted:]):
        stretches = schedule.stretches if change.after is None else schedule.swap(change.after, None).stretches
        schedule = replace(schedule, stretches=(*stretches, change.before))
    return schedule


def _next_change(problem: Problem, progress: Progress, loads: Mapping[Role, SlotLoad]) -> Change | None:
    """The untried change with the fewest expected losses for its saving; None if the rest seem hopeless."""
    if progress.finished:
        return None
    outlook = Outlook(loads, progress.schedule)
    worth = _worth_of_a_gpu_s(problem, progress)
    best, best_rank = None, (math.inf, 0.0)
    for stretch in progress.schedule.stretches:
        for change in changes(stretch):
            saved_gpu_s, lost = change.saved_gpu_s(problem.config), outlook.lost(change)
            rank = (lost / saved_gpu_s, -saved_gpu_s)
            hopeless = lost > _DOUBT_RATIO * worth * saved_gpu_s + _DOUBT_REQUESTS
            if rank < best_rank and not hopeless and change not in progress.tried:
                best, best_rank = change, rank
    return best


def _worth_of_a_gpu_s(problem: Problem, progress: Progress) -> float:
    """Requests that a saved GPU-second may cost now."""
    held_gpu_s = sum(Change(stretch, None).saved_gpu_s(problem.config) for stretch in progress.schedule.stretches)
    return _PRICES[progress.price] * problem.misses_allowed / held_gpu_s


def _try(problem: Problem, progress: Progress, change: Change, in_time: Bools) -> Progress:
    refused = replace(progress, tried=progress.tried | {change})
    attempt = progress.schedule.swap(change.before, change.after)
    if attempt.fewest(change.before.role, *change.span_s) < 1:
        return refused
    rows, fresh = replay_around(problem, attempt, *change.span_s)
    lost = int(in_time[rows].sum()) - int(fresh.sum())
    missed = int((~in_time).sum()) + lost
    worth = _worth_of_a_gpu_s(problem, progress) * change.saved_gpu_s(problem.config)
    if lost > worth or missed > problem.misses_allowed:
        return refused
    in_time[rows] = fresh
    return replace(progress, schedule=attempt, accepted=(*progress.accepted, change))
