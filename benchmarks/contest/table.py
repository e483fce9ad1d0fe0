"""Rows of one case, the rivals tuned in hindsight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.contest import jobs
from benchmarks.contest.cases import OBJECTIVES, Case
from benchmarks.contest.jobs import Job, Search
from benchmarks.contest.play import Row
from benchmarks.contest.search import jobs_of, reaches
from benchmarks.contest.store import Kept

Rows = Mapping[Job, Kept]

TUNED, TUNED_AS_OURS = ", tuned", ", tuned to ours"
PEERS = (*jobs.STATICS, jobs.BOUND, jobs.VERIFIED, *jobs.SWITCHED, jobs.OURS)


@dataclass(frozen=True, slots=True)
class Line:
    """One contender on one case.

    Attributes:
        name: As shown.
        settings: What was chosen in hindsight, if anything.
        row: Its numbers.
        times_bound: GPU-hours over the clairvoyant estimate.
        of_feasible: Share of those requests in time that any fleet could serve in time.
    """

    name: str
    settings: str
    row: Row
    times_bound: float
    of_feasible: float


@dataclass(frozen=True, slots=True, eq=False)
class CaseTable:
    """What all contenders came to on one case.

    Attributes:
        case: The case.
        bound: What it would cost if the load were known.
        lines: Contenders, ours first. A rival that was tried with several settings appears at its defaults and tuned:
            for the objective, or what ours attains if that is less; and, if ours attains more, for that.
        tries: Every run of a rival.
        searched: Rivals whose tuning is finished.
    """

    case: Case
    bound: Row
    lines: tuple[Line, ...]
    tries: tuple[Line, ...]
    searched: frozenset[str]

    def line(self, name: str) -> Line | None:
        """A contender's line, if it has played."""
        return next((line for line in self.lines if line.name == name), None)

    @property
    def ours(self) -> Line | None:
        """Our line, if we have played."""
        return self.line(jobs.OURS)


def tables(rows: Rows) -> list[CaseTable]:
    """One table per case that has a bound, in order of first mention."""
    cases = dict.fromkeys(job.case for job in rows if job.contender == jobs.BOUND)
    return [_table(case, {job: kept.row for job, kept in rows.items() if job.case == case}) for case in cases]


def _table(case: Case, rows: Mapping[Job, Row]) -> CaseTable:
    bound = rows[Job(case, jobs.BOUND)]
    played = {job: _line(job, row, bound) for job, row in rows.items() if job.contender != jobs.BOUND}
    peers = [played[job] for name in PEERS if (job := Job(case, name)) in played]
    peers.sort(key=lambda line: line.name != jobs.OURS)
    rivals = sorted({job.contender for job in played} - set(PEERS))
    ours = next((line for line in peers if line.name == jobs.OURS), None)
    goal = OBJECTIVES[case.objectives].attainment_ratio
    as_ours = ours.row["attainment"] if ours is not None else goal
    lines = [line for name in rivals for line in _rival(name, case, played, goal, as_ours)]
    tries = tuple(line for job, line in played.items() if job.contender in rivals)
    searched = frozenset(name for name in rivals if _finished(Search(case, name, thorough=True), rows))
    return CaseTable(case, bound, (*peers, *lines), tries, searched)


def _finished(search: Search, rows: Mapping[Job, Row]) -> bool:
    return all(job in rows for job in jobs_of(search, rows))


def _line(job: Job, row: Row, bound: Row) -> Line:
    feasible = bound.get("feasible", 1.0)
    of_feasible = row["attainment"] / feasible if feasible else 0.0
    return Line(job.contender, _chosen(job), row, row["gpu_hours"] / bound["optimum_gpu_hours"], of_feasible)


def _rival(name: str, case: Case, played: Mapping[Job, Line], goal: float, as_ours: float) -> list[Line]:
    """A rival at its published defaults and, where more was tried, with what was best after the fact."""
    default = played.get(Job(case, name))
    tries = [line for job, line in played.items() if job.contender == name]
    lines = [default] if default is not None else []
    if len(tries) > len(lines):
        best = tuned(tries, min(goal, as_ours))
        lines.append(replace(best, name=name + TUNED))
        other = cheapest(tries, as_ours)
        if other is not None and other is not best:
            lines.append(replace(other, name=name + TUNED_AS_OURS))
    return lines


def tuned(tries: Sequence[Line], goal: float) -> Line:
    """The cheapest of those that attain enough, else the one that attains most."""
    return cheapest(tries, goal) or max(tries, key=lambda line: line.row["attainment"])


def cheapest(tries: Sequence[Line], goal: float) -> Line | None:
    """The cheapest of those that attain enough; None if none does."""
    able = [line for line in tries if reaches(line.row["attainment"], goal)]
    return min(able, key=lambda line: (line.row["gpu_hours"], -line.row["attainment"]), default=None)


def _chosen(job: Job) -> str:
    words = {jobs.DEFAULTS: "", jobs.CAPPED: "at most 1.5 x peak", jobs.FLOORED: "0.5 to 1.5 x peak"}[job.bounds]
    return ", ".join(word for word in (job.settings, words) if word)
