"""What the contest claims, each line computed from the rows: held or not, and the number."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from benchmarks.contest import jobs
from benchmarks.contest.cases import CALIBRATIONS, DAY_LOADS, OBJECTIVES, OTHER_SEEDS, Case
from benchmarks.contest.search import reaches
from benchmarks.contest.table import CaseTable, Line, Rows, cheapest, tables

AWAY = Path(__file__).parents[1] / "nvidia" / "results" / "away.json"
_SETTLED_S = 1800.0
_SAVED_RATIO = 0.2
_TIMES_BOUND = 1.5
_MOST_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim and how it fared.

    Attributes:
        claim: What should hold.
        held: Whether it does; None while rows are missing.
        number: What was measured.
    """

    claim: str
    held: bool | None
    number: str


def verdicts(rows: Rows, away: Path = AWAY) -> list[Verdict]:
    """All claims; those of the away match from its own results."""
    found = tables(rows)
    by_case = {table.case: table for table in found}
    days = [by_case[Case(load)] for load in DAY_LOADS if Case(load) in by_case]
    played = [table for table in days if table.ours is not None]
    everywhere = [table for table in found if table.ours is not None]
    saving = "At the attainment we reach, at least 20 % fewer GPU-hours than {}: median of days"
    kept = "The same against the cheapest run of {} that attains 99 %, on days where ours does"
    return [
        _attainment(played, by_case),
        _beaten("No baseline, even tuned in hindsight, is both cheaper and better: days", played),
        _beaten("The same on every case played", everywhere),
        _saving(saving.format("the best tuned HPA or KEDA"), played, jobs.HPA_OR_KEDA),
        _saving(kept.format("HPA or KEDA"), played, jobs.HPA_OR_KEDA, as_ours=False),
        _saving(saving.format("Dynamo's classic formula, tuned"), played, (jobs.DYNAMO,)),
        _saving(kept.format("Dynamo's formula"), played, (jobs.DYNAMO,), as_ours=False),
        _distance(played),
        _reversals(rows),
        _constant(by_case),
        _crossing(by_case),
        _not_crossing(by_case),
        *_away(away),
    ]


def _each(cases: Sequence[CaseTable], number: Callable[[Line], str]) -> str:
    return "; ".join(f"{table.case.load} {number(table.ours)}" for table in cases if table.ours is not None)


def _attainment(days: Sequence[CaseTable], by_case: Mapping[Case, CaseTable]) -> Verdict:
    shares = {table: [table.ours.row["attainment"]] for table in days if table.ours is not None}
    for table, seen in shares.items():
        again = (by_case.get(replace(table.case, seed=seed)) for seed in OTHER_SEEDS)
        seen += [other.ours.row["attainment"] for other in again if other is not None and other.ours is not None]
    return Verdict(
        "Attainment at least 99 % on every day-long trace at normal objectives and 240 s, whatever the seed",
        _all(list(shares.values()), lambda seen: min(seen) >= OBJECTIVES["normal"].attainment_ratio, len(DAY_LOADS)),
        "; ".join(f"{table.case.load} {_attained(table)}{_by_seed(seen)}" for table, seen in shares.items()),
    )


def _by_seed(shares: Sequence[float]) -> str:
    return f", {min(shares):.2%} to {max(shares):.2%} over {len(shares)} seeds" if len(shares) > 1 else ""


def _attained(table: CaseTable) -> str:
    ours, ample = table.ours, table.line(jobs.AMPLE)
    if ours is None:
        return "not played"
    share = f"{ours.row['attainment']:.2%}"
    if reaches(ours.row["attainment"], OBJECTIVES[table.case.objectives].attainment_ratio):
        return share
    most = f"; twice static-peak attains {ample.row['attainment']:.2%}" if ample is not None else ""
    return f"{share} ({ours.of_feasible:.2%} of the requests that an idle replica could serve in time{most})"


def beaters(table: CaseTable) -> list[Line]:
    """Runs of rivals, tuned or not, that cost less than ours and attain at least as much."""
    ours = table.ours
    if ours is None:
        return []
    return [
        line
        for line in table.tries
        if line.row["gpu_hours"] < ours.row["gpu_hours"] and reaches(line.row["attainment"], ours.row["attainment"])
    ]


def _beaten(claim: str, cases: Sequence[CaseTable]) -> Verdict:
    tried = [table for table in cases if table.tries]
    found = {table: beaters(table) for table in tried}
    worst = {table: min(lines, key=lambda line: line.row["gpu_hours"]) for table, lines in found.items() if lines}
    shown = [
        f"{_name(table.case)}: {line.name} ({line.settings or 'defaults'}), {line.row['attainment']:.2%} for "
        f"{line.row['gpu_hours']:.0f} GPU-hours, ours {_cost(table)}"
        for table, line in sorted(worst.items(), key=_ratio)
    ]
    none = f"none of {sum(len(table.tries) for table in tried)} runs in {len(tried)} cases"
    if len(shown) > _MOST_SHOWN:
        rest = f"the widest gaps of {len(shown)} in {len(tried)} cases, which are all below under *Where we lose*"
        shown = [*shown[:_MOST_SHOWN], rest]
    return Verdict(claim, _all([not lines for lines in found.values()], bool), "; ".join(shown) or none)


def _ratio(beaten: tuple[CaseTable, Line]) -> float:
    """GPU-hours of a rival over ours."""
    table, line = beaten
    return float(line.row["gpu_hours"] / table.ours.row["gpu_hours"]) if table.ours is not None else math.inf


def _saving(claim: str, days: Sequence[CaseTable], names: Sequence[str], *, as_ours: bool = True) -> Verdict:
    """Against the cheapest run that attains enough; where there is none, the saving is without limit."""
    savings, shown, open_ = [], [], []
    for table in days:
        goal = OBJECTIVES[table.case.objectives].attainment_ratio
        if table.ours is None or not (as_ours or reaches(table.ours.row["attainment"], goal)):
            continue
        if not table.searched.issuperset(names):
            open_.append(table.case.load)
            continue
        tries = [line for line in table.tries if line.name in names]
        saving, text = _saved(table.ours, tries, table.ours.row["attainment"] if as_ours else goal)
        savings.append(saving)
        shown.append(f"{table.case.load} {text}")
    if not savings:
        return Verdict(claim, None, "not played")
    shown += [f"{load} not all played" for load in open_]
    median = statistics.median_low(savings)
    name = "median" if len(savings) % 2 else "lower median"
    middle = f"{name} {median:+.0%}" if median < math.inf else f"{name}: none of theirs attains it"
    complete = not open_ and len(days) == len(DAY_LOADS)
    return Verdict(claim, median >= _SAVED_RATIO if complete else None, f"{middle}: {'; '.join(shown)}")


def _saved(ours: Line, tries: Sequence[Line], goal: float) -> tuple[float, str]:
    """How much less ours costs, and against whom; infinity if none of the runs attains the goal."""
    best = cheapest(tries, goal)
    if best is None:
        most = max(tries, key=lambda line: line.row["attainment"])
        return math.inf, f"none attains {goal:.2%} (at most {most.row['attainment']:.2%}, {most.name})"
    saved = 1.0 - ours.row["gpu_hours"] / best.row["gpu_hours"]
    return saved, (
        f"{saved:+.0%} against {best.name} ({best.settings or 'defaults'}), {best.row['attainment']:.2%} for "
        f"{best.row['gpu_hours']:.0f}"
    )


def _distance(days: Sequence[CaseTable]) -> Verdict:
    claim = "GPU-hours at most 1.5 x the clairvoyant estimate: median of days"
    distances = [table.ours.times_bound for table in days if table.ours is not None]
    if not distances:
        return Verdict(claim, None, "not played")
    median = statistics.median(distances)
    shown = _each(days, lambda line: f"{line.times_bound:.2f}")
    proven = [f"{table.case.load} {line.times_bound:.2f}" for table in days if (line := table.line(jobs.VERIFIED))]
    anchored = f". Schedules proven by replay: {'; '.join(proven)}" if proven else ""
    return Verdict(claim, median <= _TIMES_BOUND, f"{median:.2f}: {shown}{anchored}")


def _reversals(rows: Rows) -> Verdict:
    rates = {job.case: kept.row["reversals_per_hour"] for job, kept in rows.items() if job.contender == jobs.OURS}
    above = [f"{_name(case)} {rate:.1f}" for case, rate in rates.items() if rate > 2.0]
    most = f"at most {max(rates.values()):.2f} in {len(rates)} cases" if rates else "not played"
    return Verdict(
        "Reversals at most 2 an hour, on every case",
        _all(list(rates.values()), lambda rate: rate <= 2.0),
        "; ".join(above) or most,
    )


def _constant(by_case: Mapping[Case, CaseTable]) -> Verdict:
    claim = "Constant load: no action after the first 30 min"
    table = by_case.get(Case("constant"))
    if table is None or table.ours is None:
        return Verdict(claim, None, "not played")
    last_s = table.ours.row["last_action_s"] or 0.0
    return Verdict(
        claim, last_s <= _SETTLED_S, f"{table.ours.row['actions']} actions, the last after {last_s / 60:.0f} min"
    )


def _crossing(by_case: Mapping[Case, CaseTable]) -> Verdict:
    claim = "Switch in auto: fewer GPU-hours than always on and always off on a day that crosses the break-even"
    lines = _switched(by_case, "mixed-day")
    if lines is None:
        return Verdict(claim, None, "not played")
    auto, *fixed = (line.row for line in lines)
    goal = min(OBJECTIVES["tight"].attainment_ratio, max(row["attainment"] for row in fixed))
    cheaper = all(auto["gpu_hours"] < row["gpu_hours"] for row in fixed)
    held = cheaper and auto["attainment"] >= goal
    return Verdict(claim, held, _switch_text(lines))


def _not_crossing(by_case: Mapping[Case, CaseTable]) -> Verdict:
    claim = "Switch in auto: changes nothing on a day that does not cross it"
    lines = _switched(by_case, "documents-day")
    if lines is None:
        return Verdict(claim, None, "not played")
    return Verdict(claim, lines[0].row["switched"] == 0, _switch_text(lines))


def _switched(by_case: Mapping[Case, CaseTable], load: str) -> tuple[Line, Line, Line] | None:
    table = by_case.get(Case(load, objectives="tight"))
    lines = [line for name in jobs.SWITCHED if table is not None and (line := table.line(name)) is not None]
    return (lines[0], lines[1], lines[2]) if len(lines) == 3 else None


def _switch_text(lines: Sequence[Line]) -> str:
    return "; ".join(
        f"{line.name.removeprefix('switch-')} {line.row['attainment']:.1%} for {line.row['gpu_hours']:.0f} GPU-hours, "
        f"{line.row['switched']} switches"
        for line in lines
    )


@dataclass(frozen=True, slots=True)
class _Mean:
    """What the repeats of one contender did on the mean: a single run decides nothing where ties break at random."""

    attainment: float
    gpu_hours: float

    @classmethod
    def of(cls, runs: Iterable[Mapping[str, Any]]) -> Self:
        pairs = [(run["attainment"], run["gpu_hours"]) for run in runs]
        return cls(*(statistics.fmean(column) for column in zip(*pairs, strict=True)))

    def beats(self, other: Self) -> bool:
        """More for no more, or the same for less."""
        more = self.attainment > other.attainment and self.gpu_hours <= other.gpu_hours
        return more or (self.attainment >= other.attainment and self.gpu_hours < other.gpu_hours)

    def __str__(self) -> str:
        return f"{self.attainment:.1%} for {self.gpu_hours:.2f} GPU-hours"


def _away(path: Path) -> Iterator[Verdict]:
    """Per load and startup time of the away match, ours against the planner's setting that attains most."""
    claim = "Away, in NVIDIA's simulator: {load} at {startup_s:.0f} s"
    rows: Sequence[Mapping[str, Any]] = json.loads(path.read_text())["rows"] if path.is_file() else ()
    matches = dict.fromkeys((row["job"]["load"], row["job"]["startup_time_s"]) for row in rows)
    for load, startup_s in matches:
        here = [row for row in rows if (row["job"]["load"], row["job"]["startup_time_s"]) == (load, startup_s)]
        runs: dict[str, list[Mapping[str, Any]]] = {}
        for row in here:
            runs.setdefault(row["contender"], []).append(row)
        theirs = {name: _Mean.of(own) for name, own in runs.items() if name.startswith("planner")}
        if "ours" in runs and theirs:
            name, best = max(theirs.items(), key=lambda item: (item[1].attainment, -item[1].gpu_hours))
            mine, alone = _Mean.of(runs["ours"]), [_Mean.of([run]).beats(best) for run in runs["ours"]]
            text = f"ours {mine} (better in {sum(alone)} of {len(alone)} runs); {name} {best}"
            yield Verdict(claim.format(load=load, startup_s=startup_s), mine.beats(best), text)


def _all(values: Sequence[Any], holds: Callable[[Any], bool], wanted: int = 1) -> bool | None:
    """Whether all hold; None while there are fewer than wanted and none fails."""
    if not all(holds(value) for value in values):
        return False
    return True if len(values) >= wanted else None


def _name(case: Case) -> str:
    model = CALIBRATIONS[case.calibration].model
    return f"{case.load}, {model}, {case.startup_s:g} s, {case.objectives}"


def _cost(table: CaseTable) -> str:
    ours = table.ours
    return f"{ours.row['attainment']:.2%} for {ours.row['gpu_hours']:.0f}" if ours is not None else "not played"
