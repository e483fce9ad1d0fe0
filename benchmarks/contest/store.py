"""Rows on disk: one JSON line per job, one file per load, newest last."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoscaler.simulation.baselines.registry import BASELINES
from benchmarks.contest import cases, jobs, sources
from benchmarks.contest.cases import CALIBRATIONS, LOADS, OBJECTIVES, Case
from benchmarks.contest.jobs import Job
from benchmarks.contest.play import PLAYS, Row, baseline, policy_of

RESULTS = Path(__file__).parent / "results"

# Data, of which a row depends on one entry only; that entry is in the key by value.
_TABLES = {
    (cases.__name__, "LOADS"),
    (cases.__name__, "CALIBRATIONS"),
    (cases.__name__, "OBJECTIVES"),
    (BASELINES["hpa"].__module__, "BASELINES"),
    (policy_of.__module__, policy_of.__name__),
}
# What decides in our runs, which a rival's row says nothing of.
_OURS = {
    ("autoscaler.core.decide", "decide"),
    ("autoscaler.core.policy", "ServicePolicy"),
    ("autoscaler.core.state", "State"),
}


@dataclass(frozen=True, slots=True)
class Kept:
    """A row, and the key of what it was measured with."""

    key: str
    row: Row


@functools.cache
def key_of(job: Job) -> str:
    """Changes whenever the job, its load or the code behind it does."""
    case = job.case
    about = [job.plain(), LOADS[case.load].about, repr(OBJECTIVES[case.objectives]), _calibration(case)]
    if job.contender in jobs.OUR_OWN:
        about.append(_policy(case))
    code = sources.digest(*code_of(job))
    return hashlib.sha256(json.dumps([about, code], sort_keys=True).encode()).hexdigest()[:16]


def code_of(job: Job) -> tuple[tuple[sources.Name, ...], frozenset[sources.Name]]:
    """The names that a row depends on, and those it does not: a rival's says nothing of how we decide."""
    roots = [_name(PLAYS.get(job.contender, baseline)), *_maker(job.case)]
    if job.contender in jobs.OUR_OWN:
        return tuple(roots), frozenset(_TABLES)
    if job.contender in BASELINES:
        roots.append(_name(BASELINES[job.contender].build))
    return tuple(roots), frozenset(_TABLES | _OURS)


def _calibration(case: Case) -> str:
    calibration = CALIBRATIONS[case.calibration]
    return f"{calibration!r} {calibration.engine!r}"


@functools.cache
def _policy(case: Case) -> str:
    return repr(policy_of(Case("", case.calibration, case.startup_s, case.objectives)))


def _maker(case: Case) -> list[sources.Name]:
    """What makes the load, if it has a name."""
    make = LOADS[case.load].make
    outer = make.__qualname__.split(".")[0]
    return [(make.__module__, outer)] if outer.isidentifier() else []


def _name(function: Any) -> sources.Name:
    return function.__module__, function.__qualname__


def fresh(job: Job, rows: Mapping[Job, Kept]) -> bool:
    """Whether a job's row is there and was measured by the present code."""
    return job in rows and rows[job].key == key_of(job)


def read(folder: Path = RESULTS) -> Mapping[Job, Kept]:
    """The newest row of every job."""
    rows: dict[Job, Kept] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            rows[Job.of(record["job"])] = Kept(record["key"], record["row"])
    return rows


def append(job: Job, kept: Kept, folder: Path = RESULTS) -> None:
    """Add a row."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{job.case.load}.jsonl").open("a") as file:
        file.write(_line(job, kept))


def compact(folder: Path = RESULTS) -> None:
    """Drop rows that were measured again, and put the others in a steady order."""
    lines: dict[str, list[str]] = {}
    for job, kept in read(folder).items():
        lines.setdefault(job.case.load, []).append(_line(job, kept))
    for load, of_load in lines.items():
        (folder / f"{load}.jsonl").write_text("".join(sorted(of_load)))


def _line(job: Job, kept: Kept) -> str:
    record: dict[str, Any] = {"job": job.plain(), "key": kept.key, "row": kept.row}
    return json.dumps(record, separators=(",", ":")) + "\n"
