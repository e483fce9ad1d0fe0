from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autoscaler.core.policy import Role
from autoscaler.simulation.baselines.registry import BASELINES
from benchmarks.contest import claims, jobs, main, search, sources, store, table
from benchmarks.contest.cases import DAY_LOADS, OBJECTIVES, OTHER_SEEDS, SEED, Case
from benchmarks.contest.claims import Verdict
from benchmarks.contest.jobs import Job
from benchmarks.contest.play import Row, policy_of
from benchmarks.contest.store import Kept

DAY = Case("azure-conv-day")


def row(attainment: float, gpu_hours: float, **other: Any) -> Kept:
    told = {
        "attainment": attainment,
        "gpu_hours": gpu_hours,
        "actions": 3,
        "reversals_per_hour": 0.0,
        "worst_5min": 1.0,
        "violation_s": 0.0,
        "last_action_s": 60.0,
    }
    return Kept("key", {**told, **other})


def bound(gpu_hours: float, feasible: float = 1.0) -> Kept:
    told = {"requests": 10, "feasible": feasible, "optimum_gpu_hours": gpu_hours, "lower_gpu_hours": gpu_hours / 2}
    return Kept("key", told)


def verdict(rows: dict[Job, Kept], words: str) -> claims.Verdict:
    return next(each for each in claims.verdicts(rows) if words in each.claim)


def test_every_job_of_the_contest_comes_once_and_the_days_come_first() -> None:
    played = list(jobs.contest())

    assert len(played) == len(set(played))
    assert played[1] == Job(Case("r1-day"), jobs.OURS)


def test_our_policy_is_told_model_objectives_and_startup_time_alone() -> None:
    policy = policy_of(Case("constant", "deepseek-r1", 60.0, "tight"))

    assert policy.objectives == OBJECTIVES["tight"]
    assert policy.roles[Role.DECODE].startup_time_s == 60.0
    assert policy.roles[Role.DECODE].gpus_per_replica == 8
    assert policy.roles[Role.DECODE].proposal == "auto"


def test_the_tuned_rival_is_the_cheapest_that_attains_the_objective_and_the_cheapest_that_attains_what_ours_does() -> (
    None
):
    rows = {
        Job(DAY, jobs.BOUND): bound(100.0),
        Job(DAY, jobs.OURS): row(0.995, 150.0),
        Job(DAY, "hpa-rps"): row(0.5, 110.0),
        Job(DAY, "hpa-rps", "utilization_ratio=0.6", jobs.CAPPED): row(0.991, 160.0),
        Job(DAY, "hpa-rps", "utilization_ratio=0.5", jobs.CAPPED): row(0.999, 180.0),
    }

    (only,) = table.tables(rows)

    assert [line.name for line in only.lines] == ["ours", "hpa-rps", "hpa-rps, tuned", "hpa-rps, tuned to ours"]
    assert only.lines[2].settings == "utilization_ratio=0.6, at most 1.5 x peak"
    assert only.lines[2].times_bound == pytest.approx(1.6)
    assert only.lines[3].settings == "utilization_ratio=0.5, at most 1.5 x peak"


def test_without_one_that_attains_it_the_tuned_rival_is_the_one_that_attains_most() -> None:
    lines = [table.Line("a", "", row(share, 10.0 * share).row, 1.0, 1.0) for share in (0.2, 0.9, 0.5)]

    assert table.tuned(lines, 0.99).row["attainment"] == 0.9


def test_a_rival_that_is_cheaper_and_attains_as_much_breaks_the_claim_and_is_named() -> None:
    rows = {
        Job(DAY, jobs.BOUND): bound(100.0),
        Job(DAY, jobs.OURS): row(0.995, 150.0),
        Job(DAY, "keda"): row(0.996, 149.0),
    }

    beaten = verdict(rows, "both cheaper and better")

    assert beaten.held is False
    assert "keda (defaults), 99.60% for 149" in beaten.number


@pytest.mark.parametrize(("worst", "held"), [(0.9901, True), (0.9899, False)])
def test_a_day_keeps_its_promise_only_if_it_does_with_every_seed(worst: float, held: bool) -> None:
    rows: dict[Job, Kept] = {}
    for load in DAY_LOADS:
        for seed, share in ((SEED, 0.995), (OTHER_SEEDS[0], worst)):
            case = Case(load, seed=seed)
            rows |= {Job(case, jobs.BOUND): bound(100.0), Job(case, jobs.OURS): row(share, 150.0)}

    kept = verdict(rows, "Attainment at least 99 %")

    assert kept.held is held
    assert f"{DAY.load} 99.50%, {worst:.2%} to 99.50% over 2 seeds" in kept.number


def test_of_many_cases_that_break_a_claim_those_with_the_widest_gaps_are_named() -> None:
    rows: dict[Job, Kept] = {}
    for index, load in enumerate(DAY_LOADS):
        case = Case(load)
        rows |= {Job(case, jobs.BOUND): bound(100.0), Job(case, jobs.OURS): row(0.995, 150.0)}
        rows[Job(case, "keda")] = row(0.996, 149.0 - index)

    told = verdict(rows, "both cheaper and better").number

    assert [load in told for load in DAY_LOADS] == [False, False, True, True, True]
    assert told.index(DAY_LOADS[4]) < told.index(DAY_LOADS[3])
    assert "the widest gaps of 5 in 5 cases" in told


def days_won_from(name: str, theirs: Kept, ours: Kept) -> dict[Job, Kept]:
    """All days alike, a rival tuned on each: whatever it tried came to the same."""
    rows: dict[Job, Kept] = {}
    for load in DAY_LOADS:
        case = Case(load)
        rows |= {Job(case, jobs.BOUND): bound(100.0), Job(case, jobs.OURS): ours}
        entry = jobs.Search(case, name, thorough=True)
        while missing := [job for job in search.jobs_of(entry, plain(rows)) if job not in rows]:
            rows |= dict.fromkeys(missing, theirs)
    return rows


def plain(rows: dict[Job, Kept]) -> dict[Job, Row]:
    return {job: kept.row for job, kept in rows.items()}


def test_a_saving_is_against_the_cheapest_that_attains_what_we_do() -> None:
    rows = days_won_from("dynamo", theirs=row(0.995, 100.0), ours=row(0.995, 75.0))
    rows[Job(DAY, "dynamo", bounds=jobs.CAPPED)] = row(0.994, 10.0)

    saving = verdict(rows, "At the attainment we reach, at least 20 % fewer GPU-hours than Dynamo")

    assert saving.held is True
    assert "median +25%" in saving.number


def test_against_rivals_that_cannot_attain_what_we_do_the_saving_is_without_limit_and_at_99_percent_it_is_not() -> None:
    rows = days_won_from("dynamo", theirs=row(0.991, 100.0), ours=row(0.995, 120.0))

    as_ours = verdict(rows, "At the attainment we reach, at least 20 % fewer GPU-hours than Dynamo")
    at_goal = verdict(rows, "Dynamo's formula that attains 99 %")

    assert (as_ours.held, at_goal.held) == (True, False)
    assert "none attains 99.50%" in as_ours.number
    assert "median -20%" in at_goal.number


def test_a_saving_is_not_judged_before_the_rivals_are_tuned_on_every_day() -> None:
    rows = days_won_from("dynamo", theirs=row(0.995, 100.0), ours=row(0.995, 75.0))
    del rows[next(job for job in rows if job.contender == "dynamo")]

    assert verdict(rows, "At the attainment we reach, at least 20 % fewer GPU-hours than Dynamo").held is None
    assert verdict(rows, "best tuned HPA or KEDA").held is None


def test_requests_that_no_fleet_could_serve_in_time_are_told_apart() -> None:
    rows = {Job(DAY, jobs.BOUND): bound(100.0, feasible=0.99), Job(DAY, jobs.OURS): row(0.9801, 150.0)}

    (only,) = table.tables(rows)

    assert only.lines[0].of_feasible == pytest.approx(0.99)
    assert "98.01% (99.00% of the requests" in verdict(rows, "Attainment at least 99 %").number


def test_an_action_after_settling_breaks_the_claim_of_calm() -> None:
    constant = Case("constant")
    rows = {Job(constant, jobs.BOUND): bound(10.0), Job(constant, jobs.OURS): row(1.0, 12.0, last_action_s=1860.0)}

    assert verdict(rows, "Constant load").held is False


def test_a_switch_that_costs_more_than_leaving_it_alone_breaks_the_claim_even_if_it_attains_more() -> None:
    day = Case("mixed-day", objectives="tight")
    rows = {
        Job(day, jobs.BOUND): bound(100.0),
        Job(day, "switch-auto"): row(0.994, 300.0, switched=2),
        Job(day, "switch-on"): row(0.98, 200.0, switched=0),
        Job(day, "switch-off"): row(0.994, 400.0, switched=0),
    }

    assert verdict(rows, "crosses the break-even").held is False

    rows[Job(day, "switch-auto")] = row(0.994, 199.0, switched=2)
    assert verdict(rows, "crosses the break-even").held is True


def away(tmp_path: Path, **runs: list[tuple[float, float]]) -> Verdict:
    """The verdict on one load of the away match, from (attainment, GPU-hours) of each run."""
    kept = tmp_path / "away.json"
    job = {"load": "sine", "startup_time_s": 60.0}
    rows = [
        {"job": job, "contender": name.replace("_", ", "), "attainment": attainment, "gpu_hours": gpu_hours}
        for name, own in runs.items()
        for attainment, gpu_hours in own
    ]
    kept.write_text(json.dumps({"rows": rows}))
    (verdict,) = (each for each in claims.verdicts({}, kept) if "sine at 60 s" in each.claim)
    return verdict


@pytest.mark.parametrize(("gpu_hours", "held"), [(9.4, True), (9.5, True), (9.6, False)])
def test_an_away_match_is_won_by_more_attainment_for_no_more_gpu_hours(
    tmp_path: Path, gpu_hours: float, held: bool
) -> None:
    assert away(tmp_path, ours=[(0.99, gpu_hours)], planner_sla=[(0.98, 9.5)]).held is held


@pytest.mark.parametrize(("gpu_hours", "held"), [(9.4, True), (9.5, False)])
def test_an_away_match_is_won_by_the_same_attainment_for_fewer_gpu_hours(
    tmp_path: Path, gpu_hours: float, held: bool
) -> None:
    assert away(tmp_path, ours=[(0.98, gpu_hours)], planner_sla=[(0.98, 9.5)]).held is held


def test_an_away_match_is_judged_by_the_mean_of_its_runs(tmp_path: Path) -> None:
    """A setting of theirs whose luck was best once is not their best one, nor is our luckiest run ours."""
    lucky = [(0.99, 7.0), (0.60, 7.0)]

    verdict = away(tmp_path, ours=[(0.99, 8.0), (0.97, 9.0)], planner_sla=[(0.96, 8.2)] * 2, planner_tight=lucky)

    assert verdict.held is False
    assert "98.0% for 8.50 GPU-hours (better in 1 of 2 runs); planner, sla 96.0% for 8.20" in verdict.number


def test_rows_survive_the_disk_and_the_newest_of_a_job_counts(tmp_path: Path) -> None:
    job = Job(DAY, "keda", "queue_threshold=0.5", jobs.FLOORED)
    for gpu_hours in (5.0, 6.0):
        store.append(job, row(0.9, gpu_hours), tmp_path)

    store.compact(tmp_path)

    assert store.read(tmp_path) == {job: row(0.9, 6.0)}
    assert len((tmp_path / "azure-conv-day.jsonl").read_text().splitlines()) == 1


def test_a_rivals_row_does_not_depend_on_how_we_decide_and_ours_does() -> None:
    deciding = {"autoscaler.core.decide", "autoscaler.core.forecast", "autoscaler.core.stages"}

    for name in BASELINES:
        assert not any(module.startswith("autoscaler.config") for module in modules_behind(Job(DAY, name)))
        assert not deciding & modules_behind(Job(DAY, name))
    assert deciding < modules_behind(Job(DAY, jobs.OURS))
    assert deciding < modules_behind(Job(DAY, "switch-auto"))


def modules_behind(job: Job) -> set[str]:
    return {module for module, _ in sources.definitions(*store.code_of(job))}


def test_everybodys_row_depends_on_the_simulator_and_a_rivals_on_its_own_law_alone() -> None:
    engine = "autoscaler.simulation.engine.scheduler"

    assert engine in modules_behind(Job(DAY, jobs.OURS)) & modules_behind(Job(DAY, "hpa"))
    assert "autoscaler.simulation.baselines.dynamo" in modules_behind(Job(DAY, "dynamo"))
    assert "autoscaler.simulation.baselines.dynamo" not in modules_behind(Job(DAY, "hpa"))
    assert store.key_of(Job(DAY, "keda")) != store.key_of(Job(DAY, "hpa"))


def test_the_smoke_contest_plays_everybody_resumes_and_writes_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["--smoke", "--only", "smoke-steps", "--processes", "1", "--results", str(tmp_path)]
    told += ["--document", str(tmp_path / "benchmark.md")]

    main.main(told)
    main.main(told)

    kept = store.read(tmp_path)
    rows = {job: each.row for job, each in kept.items()}
    here = [entry for entry in jobs.smoke() if entry.case.load == "smoke-steps"]
    assert set(kept) == {job for entry in here for job in search.jobs_of(entry, rows)}
    assert f"{len(kept)} rows are up to date" in capsys.readouterr().err
    assert "| claim | | measured |" in (tmp_path / "benchmark.md").read_text()
