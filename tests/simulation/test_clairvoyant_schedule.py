from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from autoscaler.core.policy import LatencyObjective, Objectives, Role
from autoscaler.simulation.clairvoyant.bound import clairvoyant_cost
from autoscaler.simulation.clairvoyant.demand import SlotLoad
from autoscaler.simulation.clairvoyant.descent import (
    Progress,
    descend,
    first_schedule,
    planned,
    settle,
    verified_schedule,
)
from autoscaler.simulation.clairvoyant.levels import Stay
from autoscaler.simulation.clairvoyant.moves import Change, Outlook, changes
from autoscaler.simulation.clairvoyant.replay import Problem, holds, replay, replay_around
from autoscaler.simulation.clairvoyant.schedule import Schedule, Stretch
from autoscaler.simulation.config import PoolConfig, ServiceConfig, SimulationError
from autoscaler.simulation.static import run_static
from autoscaler.simulation.traces import Trace, followed_by, poisson, with_idle_tail
from tests.support.core import ENGINE, snapshot

PREFILL, DECODE = Role.PREFILL, Role.DECODE
LEAD_S = {PREFILL: 30.0, DECODE: 30.0}


def stretch(start_s: float, end_s: float, role: Role = PREFILL) -> Stretch:
    return Stretch(start_s, end_s, role)


SCHEDULE = Schedule((stretch(0, 300), stretch(100, 200), stretch(0, 300, DECODE)), LEAD_S)


def problem(ttft_s: float = 2.0, attainment_ratio: float = 0.99) -> Problem:
    """Three times the load for two of six minutes; a second prefill replica pays then, a third at times."""
    objectives = Objectives(LatencyObjective(0.95, ttft_s), LatencyObjective(0.95, 0.05), attainment_ratio)
    pool = PoolConfig(ENGINE, gpus_per_replica=4.0, startup_time_s=20.0)
    config = ServiceConfig("chat", {PREFILL: pool, DECODE: pool}, objectives)
    one = Trace.of(0, 2000, 60)
    calm, busy = (poisson(rate_per_s, 120.0, one, seed=seed) for rate_per_s, seed in ((3.0, 1), (11.0, 2)))
    return Problem(config, followed_by(followed_by(calm, busy), calm), seeds=(1, 2), warm_s=30.0, settle_s=30.0)


def test_a_replica_is_ordered_one_lead_before_it_serves() -> None:
    counts = [SCHEDULE.replicas(PREFILL, at_s) for at_s in (0.0, 69.9, 70.0, 199.9, 200.0, 300.0)]

    assert counts == [1, 1, 2, 2, 1, 0]


def test_a_controller_orders_early_rather_than_late() -> None:
    control = SCHEDULE.controller(interval_s=15.0)

    assert control(snapshot(), {}, 45.0) == {PREFILL: 1, DECODE: 1}
    assert control(snapshot(), {}, 60.0) == {PREFILL: 2, DECODE: 1}


def test_the_fewest_replicas_of_a_span_count_those_that_serve() -> None:
    assert SCHEDULE.fewest(PREFILL, 90.0, 150.0) == 1
    assert SCHEDULE.fewest(PREFILL, 100.0, 150.0) == 2
    assert SCHEDULE.fewest(PREFILL, 150.0, 250.0) == 1
    assert SCHEDULE.swap(stretch(0, 300), stretch(0, 150)).fewest(PREFILL, 100.0, 260.0) == 0


def test_a_cut_tells_the_same_on_its_own_clock() -> None:
    part = SCHEDULE.cut(60.0, 150.0)

    for at_s in range(0, 90, 5):
        assert part.replicas(PREFILL, at_s) == SCHEDULE.replicas(PREFILL, 60.0 + at_s)


def test_stays_become_stretches() -> None:
    made = Schedule.of({PREFILL: [Stay(1, 0, 3), Stay(2, 1, 2)], DECODE: [Stay(1, 0, 3)]}, 10.0, LEAD_S)

    assert set(made.stretches) == {stretch(0, 30), stretch(10, 20), stretch(0, 30, DECODE)}


def test_a_replay_of_a_constant_schedule_is_a_static_fleet() -> None:
    posed = problem()
    constant = Schedule((*[stretch(0, 900)] * 3, Stretch(0, 900, DECODE)), dict.fromkeys(posed.config.pools, 24.0))

    replayed = replay(posed, constant, seed=1)
    static = run_static(posed.config, posed.trace, {PREFILL: 3, DECODE: 1}, seed=1)

    assert replayed.attainment_ratio == static.attainment_ratio
    assert replayed.actions == ()


def test_a_replay_of_a_part_tells_what_the_whole_would() -> None:
    posed = problem()
    schedule = planned(posed, dict.fromkeys(posed.config.pools, 1.0))
    longest = max(
        (s for s in schedule.stretches if s.role is PREFILL and s.start_s > 60), key=lambda s: s.end_s - s.start_s
    )
    changed = schedule.swap(longest, None)
    whole = replay(posed, changed, posed.seeds[0]).requests.in_time

    rows, in_time = replay_around(posed, changed, longest.start_s, longest.end_s)

    assert in_time.mean() == pytest.approx(whole[rows].mean(), abs=0.05)
    assert whole[rows].mean() < 0.95


def test_the_first_schedule_holds_with_every_seed_and_undercuts_a_static_fleet() -> None:
    posed = problem()
    posed = replace(posed, trace=with_idle_tail(posed.trace, 30.0))  # the last answers end before the schedule does

    schedule = first_schedule(posed)

    assert holds(posed, schedule)
    static = next(
        results
        for prefill in range(1, 8)
        if (results := run_static(posed.config, posed.trace, {PREFILL: prefill, DECODE: 1})).attainment_ratio >= 0.99
    )
    assert replay(posed, schedule, 1).gpu_hours < static.gpu_hours


def test_descent_saves_and_goes_on_where_it_stopped() -> None:
    posed = problem(attainment_ratio=0.97)
    start = Progress(planned(posed, dict.fromkeys(posed.config.pools, 0.4)))
    before = replay(posed, start.schedule, 1).gpu_hours

    once = settle(posed, descend(posed, descend(posed, start, replays=6), replays=6))

    assert holds(posed, once.schedule)
    assert replay(posed, once.schedule, 1).gpu_hours < before
    assert len(once.accepted) > 0


def test_a_descent_ends_when_nothing_is_left_to_try() -> None:
    posed = replace(problem(), trace=poisson(3.0, 60.0, Trace.of(0, 2000, 20), seed=1))
    alone = Schedule((stretch(0, 60), Stretch(0, 60, DECODE)), LEAD_S)

    ended = descend(posed, Progress(alone), replays=100)

    assert ended.finished
    assert ended.schedule.fewest(PREFILL, 0.0, 60.0) == 1
    assert ended.schedule.fewest(DECODE, 0.0, 60.0) == 1


def test_changes_that_do_not_hold_together_are_taken_back() -> None:
    posed = problem()
    good = planned(posed, dict.fromkeys(posed.config.pools, 0.4))
    changes, schedule = [], good
    for each in [s for s in good.stretches if s.role is PREFILL and s.start_s > 0]:
        changes.append(Change(each, None))
        schedule = schedule.swap(each, None)

    settled = settle(posed, Progress(schedule, tuple(changes)))

    assert holds(posed, settled.schedule)
    assert len(settled.accepted) < len(changes)
    assert len(settled.schedule.stretches) == len(good.stretches) - len(settled.accepted)


def test_a_shortened_stretch_is_given_back_whole() -> None:
    posed = problem()
    good = planned(posed, dict.fromkeys(posed.config.pools, 0.4))
    peak = max((s for s in good.stretches if s.role is PREFILL), key=lambda s: s.end_s - s.start_s)
    shorter = replace(peak, end_s=peak.start_s + 10.0)

    settled = settle(posed, Progress(good.swap(peak, shorter), (Change(peak, shorter),)))

    assert peak in settled.schedule.stretches
    assert shorter not in settled.schedule.stretches


def test_a_verified_schedule_attains_with_every_seed_and_costs_their_mean() -> None:
    posed = problem()

    found = verified_schedule(posed, replays=5)

    assert [results.attainment_ratio >= 0.99 for results in found.results] == [True, True]
    assert found.gpu_hours == pytest.approx(sum(results.gpu_hours for results in found.results) / 2)
    assert clairvoyant_cost(posed.config, posed.trace, (0.0,)).bound_gpu_hours < found.gpu_hours


def test_an_objective_out_of_reach_is_told() -> None:
    with pytest.raises(SimulationError, match="still miss the objectives"):
        first_schedule(problem(ttft_s=0.05))


def test_changes_of_a_stretch_leave_it_out_or_halve_it_from_either_end() -> None:
    spans = [change.span_s for change in changes(stretch(0, 240))]

    assert spans == [(0, 240), (0, 120), (120, 240), (0, 60), (180, 240)]


def test_a_stretch_left_out_saves_its_start_too() -> None:
    config = problem().config

    assert Change(stretch(0, 120), None).saved_gpu_s(config) == 4.0 * (120 + 20)
    assert Change(stretch(0, 120), stretch(0, 60)).saved_gpu_s(config) == 4.0 * 60


def test_the_outlook_counts_what_a_missing_replica_would_have_served() -> None:
    # Two replicas serve from 100 s to 200 s, one before and after.
    busy = np.full(30, 1.5)
    loads = {role: SlotLoad(10.0, busy, np.full(30, 60.0)) for role in (PREFILL, DECODE)}
    outlook = Outlook(loads, SCHEDULE)

    assert outlook.lost(Change(stretch(100, 200), None)) == pytest.approx(10 * 60 * 0.5 / 1.5)
    assert outlook.lost(Change(stretch(100, 200), stretch(100, 150))) == pytest.approx(5 * 60 * 0.5 / 1.5)
    assert outlook.lost(Change(stretch(0, 300), None)) > 1e9
