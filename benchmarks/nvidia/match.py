"""The rules of both matches: loads, startup times, the fleet to start with, who plays, and what counts."""

from __future__ import annotations

import functools
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

from autoscaler.simulation.traces import Trace, between
from benchmarks.nvidia import contenders, kept, loads, ours, scene, tables
from benchmarks.nvidia.outcome import Outcome, quantile
from benchmarks.nvidia.scene import Job

LOADS = ("dynamo-sine", "azure2023-conv-x4", "servegen-r1-x3", "azure2024-code-x4")
STARTUP_TIMES_S = (60.0, 120.0)
Row = Mapping[str, Any]

_HEAD_S = 120.0
_REVERSAL_S = 600.0
_MOST_WORKERS = 20
_COUNTS = range(1, _MOST_WORKERS + 1)

STATIC, OURS = "static in hindsight", "ours"

Play = Callable[[Job, str], Outcome]
"""Runs one contender by name; `contenders.STATIC` keeps the job's fleet."""


def run(name: str, play: Play, *, repeats: int = 1, own_repeats: int = 1) -> None:
    """Play every round; keep the scores as results/NAME.json and render the tables.

    Args:
        name: Of the match.
        play: Runs one contender.
        repeats: Runs of each finalist among the planner's settings.
        own_repeats: Runs of our policy.
    """
    rows: list[Row] = []
    for load in LOADS:
        for startup_time_s in STARTUP_TIMES_S:
            rows += play_round(load, startup_time_s, play, repeats, own_repeats)
            kept.write(name, rows)
            tables.main()


def play_round(load: str, startup_time_s: float, play: Play, repeats: int, own_repeats: int) -> list[Row]:
    """All contenders on one load at one startup time, the finalists and ours several times."""
    trace = loads.load(load)
    job = start(load, trace, startup_time_s)
    prefill, decode = smallest_fleet(load, trace)
    still = replace(job, prefill=prefill, decode=decode)
    rows = [score(still, contenders.STATIC, play(still, contenders.STATIC))]
    rows += [score(job, name, play(job, name)) for name in (contenders.OURS, *contenders.PLANNERS)]
    for name, times in {contenders.OURS: own_repeats, **dict.fromkeys(contenders.finalists(rows[2:]), repeats)}.items():
        again = (replace(job, repeat=repeat) for repeat in range(1, times))
        rows += [score(other, name, play(other, name)) for other in again]
    return rows


def start(load: str, trace: Trace, startup_time_s: float) -> Job:
    """The fleet that everybody starts with: the smallest that serves the first two minutes."""
    prefill, decode = smallest_fleet(load, between(trace, 0.0, _HEAD_S))
    return Job(load, prefill, decode, routing="by_load", startup_time_s=startup_time_s)


def smallest_fleet(load: str, trace: Trace) -> tuple[int, int]:
    """The static fleet with the fewest workers that keeps the objectives, in our simulator and in hindsight.

    Some prompts take longer than the objective on an idle worker; what a very large fleet attains is all there is.
    """

    def attains(prefill: int, *, decode: int) -> float:
        job = Job(load, prefill, decode, routing="by_load")
        return ours.replay(job, trace).attainment(scene.OBJECTIVES)

    goal = scene.OBJECTIVES.attainment_ratio * attains(_MOST_WORKERS, decode=_MOST_WORKERS)
    fleets: list[tuple[int, int]] = []
    for decode in _COUNTS:
        attained = functools.partial(attains, decode=decode)
        enough = bisect_left(_COUNTS, goal, key=attained)
        if enough < len(_COUNTS):
            fleets.append((_COUNTS[enough], decode))
        if len(fleets) > 1 and sum(fleets[-1]) >= sum(fleets[-2]):
            break
    return min(fleets, key=sum)


def score(job: Job, name: str, outcome: Outcome) -> Row:
    """What counts of a run."""
    attained = outcome.attainment(scene.OBJECTIVES)
    return {
        "job": asdict(job),
        "contender": name,
        "attainment": attained,
        "gpu_hours": outcome.gpu_hours,
        "attained_per_gpu_hour": attained * outcome.ttft_s.size / outcome.gpu_hours,
        "changes": len(outcome.changes),
        "reversals": reversals(outcome.changes),
        "ttft_p95_s": quantile(outcome.ttft_s, 0.95),
        "tpot_p95_s": quantile(outcome.tpot_s, 0.95),
        "preemptions": outcome.preemptions,
    }


def reversals(changes: Sequence[tuple[float, str, int, int]]) -> int:
    """Changes of a pool against the direction of its last change, within 10 min of it."""
    turned = 0
    for role in {change[1] for change in changes}:
        mine = [change for change in changes if change[1] == role]
        for (last_s, _, *last), (at_s, _, *now) in pairwise(mine):
            turned += (last[1] > last[0]) != (now[1] > now[0]) and at_s - last_s <= _REVERSAL_S
    return turned
