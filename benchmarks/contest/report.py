"""The report: how it was measured, every claim's verdict, a table per case, and where we lose."""

from __future__ import annotations

import json
import platform
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from autoscaler.simulation.baselines.registry import BASELINES, Baseline
from benchmarks.contest import cases, claims, jobs, search, store, table
from benchmarks.contest.cases import CALIBRATIONS, LOADS, OBJECTIVES, Case
from benchmarks.contest.jobs import Job, Search
from benchmarks.contest.play import MOST_REPLICAS
from benchmarks.contest.table import CaseTable, Line, Rows

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmark.md"
LOSSES = Path(__file__).parent / "losses.md"
HOME = Path(__file__).parents[1] / "nvidia" / "results" / "home.json"

_MARKS = {True: "held", False: "**not held**", None: "not measured"}
_COLUMNS = (
    "",
    "attainment",
    "of feasible",
    "GPU-h",
    "x bound",
    "actions",
    "reversals/h",
    "worst 5 min",
    "missing its share",
)

_ABOUT_SEEDS = """\
Ours, Llama 70B: attained, for so many GPU-hours. A seed moves the superposed copies of a day by up to two minutes and
draws startup times: the bursts of one are not those of another. All else in this document is of seed 1."""


def render(rows: Rows, plan: Sequence[Job | Search]) -> str:
    """The whole document, from the rows alone."""
    found = table.tables(rows)
    parts = [
        _head(rows, plan),
        "## Claims\n\n" + _verdicts(rows),
        "## Where we lose\n\n" + _losses(found),
        "## Days, normal objectives, 240 s\n\n" + "\n\n".join(map(_case, _central(found, cases.DAY_LOADS))),
        "## Shorter loads, normal objectives, 240 s\n\n" + "\n\n".join(map(_case, _central(found, _shorter()))),
        "## The same days with other seeds\n\n" + _other_seeds(found),
        "## The switch\n\n" + "\n\n".join(_case(each) for each in found if each.line(jobs.SWITCHED[0]) is not None),
        "## All cases\n\n" + _summary(found),
        "## Dynamo's planner itself, in our simulator\n\n" + _home(),
    ]
    return "\n\n".join(parts) + "\n"


def _head(rows: Rows, plan: Sequence[Job | Search]) -> str:
    measured = {job: kept.row for job, kept in rows.items()}
    wanted = list(dict.fromkeys(job for entry in plan for job in search.jobs_of(entry, measured)))
    done = [job for job in wanted if job in rows]
    stale = sum(rows[job].key != store.key_of(job) for job in done)
    loads = "\n".join(f"| `{name}` | {load.about} |" for name, load in LOADS.items() if not name.startswith("smoke"))
    rivals = "\n".join(
        f"| {each.name} | {each.describe} | {each.version} | {_ladder(each)} |" for each in BASELINES.values()
    )
    took_h = sum(rows[job].row["took_s"] for job in done) / 3600.0
    goals = "; ".join(
        f"{name} {each.ttft.target_s:g} s / {each.tpot.target_s * 1e3:g} ms" for name, each in OBJECTIVES.items()
    )
    models = "; ".join(
        f"`{name}`: {each.model} on {each.gpu.upper()}, {each.tensor_parallel} GPUs a replica"
        for name, each in CALIBRATIONS.items()
    )
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba"))
    return f"""# The contest

Our default policy against everybody's control laws on the same requests, in the simulator of [Fidelity](fidelity.md).
`make benchmark` plays what is missing, goes on where it was interrupted, plays again what the code has changed under,
and writes this file; rows are in `benchmarks/contest/results`. {len(done)} of {len(wanted)} runs are played, {stale} of
them by an earlier version of the code that they depend on; they took {took_h:.1f} hours of one core.
Python {platform.python_version()}, {packages}; seed {cases.SEED} for everything random, and others under
*The same days with other seeds*.

## How it is measured

- A request counts as attained if TTFT and its mean TPOT are both inside the targets; failed, rejected and unfinished
  ones are misses. GPU-hours run from a replica's scheduling to its removal, starting and draining included.
- Everybody starts with the peak of the first ten minutes in the estimate below, decides every 15 s, sees metrics
  scraped every 5 s with 1 s of delay, may hold {MOST_REPLICAS} replicas a role, and gets the same startup times
  (lognormal, sigma 0.15).
- **Ours** is told model, objectives and startup time; all else is the default, the same in every case.
- **Rivals** are sized from the true mean lengths of the very load to come: hpa-rps divides by what a replica does at
  those lengths, Dynamo's formula has a profile without error. *Tuned* is chosen after the fact, with at most 1.5 times
  the replicas that the peak needs: settings form a ladder from sparing to generous, bisection finds the first rung that
  attains enough, and in the cases of the claims HPA, KEDA, Dynamo and, on days, llm-d's two laws are tried there and
  one rung below with each of their variants, below also with at least half of the peak's replicas.
- **Enough** is the objective's 99 %, or what ours attains if that is less; and once more what ours attains if that is
  more (*tuned to ours*). Attainments compare as they are shown, to 0.01 %. Where no setting attains enough, the one
  that attains most is shown; against a rival that cannot attain what ours does the saving is without limit.
- **of feasible** leaves out requests that no fleet can serve in time, those that would miss TTFT alone on idle
  replicas: prefill, KV transfer and one decode step take longer. Claims judge the attainment of all requests.
- **static-peak** is the peak of the estimate below, which gives every 10 s slot the slack of TTFT: enough for each
  alone, and up to a replica short of sustained load at loose objectives. **static-best** is the cheapest constant fleet
  that attains 99 % (of what **ample**, twice static-peak, attains, if that is less than 99 %). **verified** is a
  schedule made with the load known and proven by replay.
- **x bound** divides by the estimated cost of the best schedule that knows the load and may miss 1 %; its first
  replicas are ready, as everybody's are. It is an estimate, and replays of real queues can undercut it; *lower* in the
  tables is one that nothing undercuts.
- A reversal is a change of a pool against its last one within ten minutes. *Missing its share* sums the minutes whose
  arrivals attained less than 99 %.

Objectives (TTFT / TPOT): {goals}. Of a 70B model's bare decode step of 15 ms they leave little, ample, and no matter;
at 50 ms serving apart and together cost about the same. Startup times: 60, 240 and 600 s. {models}.

| load | what it is |
| --- | --- |
{loads}

Shared traces and their licences: the traces' own README. A multiple superposes shifted copies; time is never
compressed.

| rival | law | version | tuned over |
| --- | --- | --- | --- |
{rivals}"""


def _ladder(baseline: Baseline[Any]) -> str:
    """What a search may choose."""
    first, last = (baseline.label(rung) or "defaults" for rung in (baseline.ladder[0], baseline.ladder[-1]))
    variants = "; ".join(f"{name}={value}" for change in baseline.variants for name, value in change.items())
    return f"{len(baseline.ladder)} rungs from {first} to {last}{f'; or {variants}' if variants else ''}"


def _verdicts(rows: Rows) -> str:
    lines = [f"| {each.claim} | {_MARKS[each.held]} | {each.number} |" for each in claims.verdicts(rows)]
    return "\n".join(("| claim | | measured |", "| --- | --- | --- |", *lines))


def _losses(found: Sequence[CaseTable]) -> str:
    lines = [
        f"| {_short(each.case)} | {line.name} ({line.settings or 'defaults'}) | {line.row['attainment']:.2%} | "
        f"{line.row['gpu_hours']:.0f} | {ours.row['attainment']:.2%} | {ours.row['gpu_hours']:.0f} |"
        for each in found
        if (ours := each.ours) is not None
        for line in _cheaper(each, ours)
    ]
    head = "| case | who | attains | GPU-h | ours attains | GPU-h |\n| --- | --- | --- | --- | --- | --- |"
    body = "\n".join((head, *lines)) if lines else "Nobody who keeps the objective, fixed fleets included, is cheaper."
    about = "Whoever attains 99 %, or what ours does if that is less, with fewer GPU-hours than ours:"
    return f"{about}\n\n{body}\n\n" + (LOSSES.read_text().strip() if LOSSES.is_file() else "")


def _cheaper(each: CaseTable, ours: Line) -> Iterator[Line]:
    enough = min(ours.row["attainment"], OBJECTIVES[each.case.objectives].attainment_ratio)
    for line in each.lines:
        if line.name in (jobs.VERIFIED, *jobs.OUR_OWN):
            continue
        if search.reaches(line.row["attainment"], enough) and line.row["gpu_hours"] < ours.row["gpu_hours"]:
            yield line


def _case(each: CaseTable) -> str:
    bound = each.bound
    about = (
        f"**{each.case.load}** ({LOADS[each.case.load].about}): {bound['requests']:,} requests; bound "
        f"{bound['optimum_gpu_hours']:.0f}, lower {bound['lower_gpu_hours']:.0f} GPU-hours"
    )
    lines = [_line(line) for line in each.lines]
    return "\n".join((about, "", f"| {' | '.join(_COLUMNS)} |", "| --- " * len(_COLUMNS) + "|", *lines))


def _line(line: Line) -> str:
    row = line.row
    name = f"**{line.name}**" if line.name == jobs.OURS else line.name
    fleet = f" {row['fleet'][0]}+{row['fleet'][1]}" if "fleet" in row else ""
    return (
        f"| {name}{fleet}{f' ({line.settings})' if line.settings else ''} | {row['attainment']:.2%} | "
        f"{line.of_feasible:.2%} | {row['gpu_hours']:.0f} | {line.times_bound:.2f} | {row['actions']} | "
        f"{row['reversals_per_hour']:.2f} | "
        f"{row['worst_5min']:.1%} | {row['violation_s'] / 60:.0f} min |"
    )


def _summary(found: Sequence[CaseTable]) -> str:
    head = (
        "case",
        "ours: attains",
        "of feasible",
        "GPU-h",
        "x bound",
        "reversals/h",
        "cheapest rival that attains 99 %, or what ours does if less",
        "GPU-h",
        "cheapest rival that attains what ours does",
        "GPU-h",
        "static-peak attains",
        "GPU-h",
    )
    lines = []
    for each in found:
        ours = each.ours
        if ours is None or each.case.seed != cases.SEED:
            continue
        attained, peak = ours.row["attainment"], each.line(jobs.STATIC_PEAK)
        enough = min(OBJECTIVES[each.case.objectives].attainment_ratio, attained)
        lines.append(
            f"| {_short(each.case)} | {attained:.2%} | {ours.of_feasible:.2%} | {ours.row['gpu_hours']:.0f} | "
            f"{ours.times_bound:.2f} | {ours.row['reversals_per_hour']:.2f} | "
            f"{_rival(each, enough)} | {_rival(each, attained)} | {_outcome(peak)} |"
        )
    return "\n".join((f"| {' | '.join(head)} |", "| --- " * len(head) + "|", *lines))


def _other_seeds(found: Sequence[CaseTable]) -> str:
    """What ours attains, and for how much, where the copies of a day are moved otherwise."""
    seeds = (cases.SEED, *cases.OTHER_SEEDS)
    played = {each.case: ours.row for each in found if (ours := each.ours) is not None}
    head = ("day", *(f"seed {seed}" for seed in seeds))
    lines = [
        f"| {load} | " + " | ".join(_attained_for(played.get(Case(load, seed=seed))) for seed in seeds) + " |"
        for load in cases.DAY_LOADS
    ]
    return "\n".join((_ABOUT_SEEDS, "", f"| {' | '.join(head)} |", "| --- " * len(head) + "|", *lines))


def _attained_for(row: Mapping[str, Any] | None) -> str:
    return f"{row['attainment']:.2%} for {row['gpu_hours']:.0f}" if row is not None else "not played"


def _rival(each: CaseTable, goal: float) -> str:
    best = table.cheapest(each.tries, goal)
    return f"{best.name} | {best.row['gpu_hours']:.0f}" if best is not None else f"none of {len(each.tries)} runs | "


def _outcome(line: Line | None) -> str:
    return f"{line.row['attainment']:.2%} | {line.row['gpu_hours']:.0f}" if line is not None else " | "


def _home() -> str:
    """Rows of the home match: the planner from its wheel, asked over a pipe."""
    if not HOME.is_file():
        return "Not played; see `benchmarks/nvidia`."
    kept: Mapping[str, Any] = json.loads(HOME.read_text())
    rows = [
        f"| {row['job']['load']} | {row['job']['startup_time_s']:.0f} s | {row['contender']} | "
        f"{row['attainment']:.2%} | "
        f"{row['gpu_hours']:.1f} | {row['changes']} | {row['reversals']} |"
        for row in kept["rows"]
    ]
    versions = ", ".join(f"{name} {number}" for name, number in kept["versions"].items())
    head = "| load | startup | | attainment | GPU-h | changes | reversals |\n" + "| --- " * 7 + "|"
    return f"{versions}; how it is asked is in `benchmarks/nvidia`.\n\n" + "\n".join((head, *rows))


def _central(found: Sequence[CaseTable], loads: Collection[str]) -> Iterator[CaseTable]:
    return (each for each in found if each.case.load in loads and each.case == Case(each.case.load))


def _shorter() -> tuple[str, ...]:
    return (*(load for load in cases.SHARED_LOADS if load not in cases.DAY_LOADS), "constant")


def _short(case: Case) -> str:
    return f"{case.load}, {case.calibration}, {case.startup_s:g} s, {case.objectives}"
