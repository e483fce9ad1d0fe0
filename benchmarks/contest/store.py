"""Rows on disk: one JSON line per job, one file per load, newest last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoscaler.simulation.baselines.registry import BASELINES
from benchmarks.contest import cases, jobs, sources
from benchmarks.contest.jobs import Job
from benchmarks.contest.play import Row, policy_of

RESULTS = Path(__file__).parent / "results"

_SIMULATOR = (
    "autoscaler.simulation.service",
    "autoscaler.simulation.traces",
    "autoscaler.simulation.clairvoyant.bound",
)
# What our decisions alone need says nothing of a rival's row. Policies are plain data; what they hold is in the key.
_OURS_ALONE = ("autoscaler.core.decide", "autoscaler.core.state", "autoscaler.core.policy")


@dataclass(frozen=True, slots=True)
class Kept:
    """A row, and the key of what it was measured with."""

    key: str
    row: Row


def key_of(job: Job) -> str:
    """Changes whenever the job, its load or the code behind it does."""
    about = [job.plain(), cases.LOADS[job.case.load].about, repr(cases.OBJECTIVES[job.case.objectives])]
    if job.contender == jobs.OURS or job.contender in jobs.SWITCHED:
        code = sources.digest(("autoscaler.simulation.run",))
        about.append(repr(policy_of(job.case)))
    else:
        entries = (BASELINES[job.contender].build.__module__,) if job.contender in BASELINES else ()
        code = sources.digest((*_SIMULATOR, *entries), _OURS_ALONE)
    return hashlib.sha256(json.dumps([about, code], sort_keys=True).encode()).hexdigest()[:16]


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
