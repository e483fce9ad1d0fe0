from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from autoscaler.simulation.baselines.registry import BASELINES
from benchmarks.contest import jobs, search
from benchmarks.contest.cases import Case
from benchmarks.contest.jobs import CAPPED, FLOORED, Job, Search
from benchmarks.contest.play import Row

DAY = Case("azure-conv-day")
LADDER = [BASELINES["hpa-rps"].label(settings) for settings in BASELINES["hpa-rps"].ladder]


def tuned(entry: Search, attainment: Callable[[Job], float], ours: float | None = None) -> list[Job]:
    """All runs of a search whose outcomes are given."""
    rows: dict[Job, Row] = {} if ours is None else {Job(DAY, jobs.OURS): {"attainment": ours}}
    while True:
        asked = list(dict.fromkeys(search.jobs_of(entry, rows)))
        missing = [job for job in asked if job not in rows]
        if not missing:
            return asked
        rows.update({job: {"attainment": attainment(job)} for job in missing})


def enough_from(rung: int) -> Callable[[Job], float]:
    return lambda job: 0.999 if job.settings in LADDER and LADDER.index(job.settings) >= rung else 0.5


@given(st.integers(0, len(LADDER)))
def test_the_first_rung_that_attains_enough_is_found_in_a_few_runs(rung: int) -> None:
    asked = tuned(Search(DAY, "hpa-rps"), enough_from(rung))

    assert len(asked) <= 5
    assert rung == len(LADDER) or LADDER[rung] in {job.settings for job in asked}
    assert rung == 0 or LADDER[rung - 1] in {job.settings for job in asked}


def test_a_thorough_search_tries_variants_and_a_lower_bound_around_it() -> None:
    asked = tuned(Search(DAY, "hpa-rps", thorough=True), enough_from(4))

    assert {job.settings for job in asked if job.bounds == FLOORED} == {LADDER[3]}
    for rung in LADDER[3:5]:
        assert Job(DAY, "hpa-rps", f"{rung}, down_window_s=900.0", CAPPED) in asked


def test_a_thorough_search_looks_for_what_ours_attains_too() -> None:
    def attainment(job: Job) -> float:
        return 0.9 + 0.01 * LADDER.index(job.settings) if job.settings in LADDER else 0.0

    asked = tuned(Search(DAY, "hpa-rps", thorough=True), attainment, ours=0.9551)

    played = {attainment(job) for job in asked if job.bounds == CAPPED}
    assert {0.96, 0.95} <= {round(share, 2) for share in played}
    assert 0.99 in {round(share, 2) for share in played}


def test_where_ours_attains_less_than_the_objective_a_rival_need_not_attain_more() -> None:
    goals = search.goals(Search(DAY, "hpa-rps"), {Job(DAY, jobs.OURS): {"attainment": 0.43}})

    assert goals == (0.43,)


def test_attainments_compare_as_tables_show_them() -> None:
    assert search.reaches(0.98996, 0.99)
    assert not search.reaches(0.98994, 0.99)
