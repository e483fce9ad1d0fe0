"""Tuning a rival in hindsight without playing every setting.

Its ladder goes from sparing to generous settings, so bisection finds the first rung that attains what is asked for;
noise aside, no other rung is cheaper and does. What a ladder does not order is tried around that rung: its
variants, and a lower bound of half the peak.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from autoscaler.simulation.baselines.registry import BASELINES
from benchmarks.contest.cases import OBJECTIVES
from benchmarks.contest.jobs import CAPPED, FLOORED, OURS, Job, Search
from benchmarks.contest.play import Row

_SHOWN_DIGITS = 4


def reaches(attainment: float, goal: float) -> bool:
    """Whether an attainment is as good as another, to the hundredth of a per cent that tables show."""
    return round(attainment, _SHOWN_DIGITS) >= round(goal, _SHOWN_DIGITS)


def jobs_of(entry: Job | Search, rows: Mapping[Job, Row]) -> Iterator[Job]:
    """The runs that an entry asks for, as far as the rows tell; what comes after a missing one may not be known."""
    if isinstance(entry, Job):
        yield entry
        return
    for goal in goals(entry, rows):
        yield from _climb(entry, goal, rows)


def goals(search: Search, rows: Mapping[Job, Row]) -> tuple[float, ...]:
    """What a rival is tuned to attain: the objective, and what ours does."""
    objective = OBJECTIVES[search.case.objectives].attainment_ratio
    ours = rows.get(Job(search.case, OURS))
    if ours is None:
        return (objective,)
    attained: float = ours["attainment"]
    return (objective, attained) if search.thorough else (min(objective, attained),)


def _climb(search: Search, goal: float, rows: Mapping[Job, Row]) -> Iterator[Job]:
    baseline = BASELINES[search.contender]
    low, high = 0, len(baseline.ladder)
    while low < high:
        middle = (low + high) // 2
        job = Job(search.case, search.contender, baseline.label(baseline.ladder[middle]), CAPPED)
        yield job
        if job not in rows:
            return
        if reaches(rows[job]["attainment"], goal):
            high = middle
        else:
            low = middle + 1
    if search.thorough:
        yield from _around(search, low)


def _around(search: Search, rung: int) -> Iterator[Job]:
    """A lower bound where it could help, below the rung that attains enough, and variants on both sides."""
    baseline = BASELINES[search.contender]
    below = max(rung - 1, 0)
    yield Job(search.case, search.contender, baseline.label(baseline.ladder[below]), FLOORED)
    for settings in baseline.ladder[below : rung + 1]:
        for varied in baseline.varied(settings):
            yield Job(search.case, search.contender, baseline.label(varied), CAPPED)
