"""What each forecaster says, and what is kept of what it said."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest

from autoscaler.core import forecast
from autoscaler.core.errors import FLOOR, prior
from autoscaler.core.forecast import FORECASTERS, Forecast, Track
from tests.core.forecasts import HORIZON_S, MIDNIGHT_S, TICK_S, outlooks

TRENDS = ("trend", "steep_trend", "damped_trend")


def said_by(memory: Forecast) -> dict[str, float]:
    """What each forecaster said last."""
    return dict(zip(FORECASTERS, memory.pending[-1][1], strict=True))


@cache
def ramp() -> tuple[Forecast, float]:
    """What is remembered of hours of demand that grows by a replica in 25 minutes, and the last of it."""
    demands = [2.0 + step / 100 for step in range(800)]
    return outlooks(demands)[0], demands[-1]


@pytest.mark.parametrize(
    ("forecaster", "ahead_s"),
    [
        ("level", -60.0),
        ("slow_level", -900.0),
        ("trend", HORIZON_S),
        ("steep_trend", HORIZON_S),
        ("damped_trend", (HORIZON_S - 300.0) / 2),
    ],
)
def test_on_a_steady_ramp_levels_lag_trends_are_right_and_the_damped_one_goes_half_the_way(
    forecaster: str, ahead_s: float
) -> None:
    memory, demand = ramp()

    assert (said_by(memory)[forecaster] - demand) * 100 * TICK_S == pytest.approx(ahead_s, abs=10.0)


def test_no_trend_goes_on_below_nothing() -> None:
    memory, _ = outlooks([10.0] * 300 + [0.0] * 10, horizon_s=1800.0)

    assert {said_by(memory)[name] for name in TRENDS} == {0.0}


def test_before_anything_is_scored_demand_is_as_likely_to_be_above_what_is_expected_as_below() -> None:
    _, said = outlooks([5.0], excess_ratio=0.0)

    levels = said[0].levels
    for low, high in zip(levels, reversed(levels), strict=True):
        assert (low + FLOOR) * (high + FLOOR) == pytest.approx((5.0 + FLOOR) ** 2)
    assert levels[0] < 0.8 * 5.0


def test_who_asks_twice_at_the_same_time_gets_the_same_answer_and_nothing_is_learned_twice() -> None:
    memory, said = outlooks([5.0, 6.0, 4.0] * 20)

    again, outlook = forecast.observe(memory, 4.0, MIDNIGHT_S + 59 * TICK_S, HORIZON_S, 0.05)

    assert again == memory
    assert outlook == said[-1]


def test_a_clock_that_is_set_back_moves_no_average() -> None:
    memory, _ = outlooks([2.0] * 40)

    after, _ = forecast.observe(memory, 9.0, MIDNIGHT_S + 30 * TICK_S, HORIZON_S, 0.05)

    assert (after.fastest, after.fast, after.middle, after.slow) == (2.0, 2.0, 2.0, 2.0)
    assert after.at_s == memory.at_s


def test_predictions_are_kept_a_thirty_second_of_the_horizon_apart() -> None:
    memory, _ = outlooks([5.0] * 400, tick_s=1.0)

    due_s = [at_s for at_s, _ in memory.pending]
    assert {later - sooner for sooner, later in pairwise(due_s)} == {8.0}
    assert HORIZON_S - 8.0 <= due_s[-1] - due_s[0] <= HORIZON_S


def test_an_error_weighs_as_much_as_the_load_that_it_is_of() -> None:
    memory, _ = outlooks([2.0] * 120)
    at_s = MIDNIGHT_S + 120 * TICK_S

    usual, busy = (forecast.observe(memory, demand, at_s, HORIZON_S, 0.05)[0] for demand in (2.0, 8.0))

    faded = sum(usual.tracks[0].errors) - 1.0
    share = (8.0 + FLOOR) / (busy.slow + FLOOR)
    assert busy.slow < 2.2
    assert sum(busy.tracks[0].errors) - faded == pytest.approx(share, rel=0.001)


@pytest.mark.parametrize("elapsed_s", [TICK_S, 60.0])
def test_what_a_bound_has_cost_counts_for_an_hour(elapsed_s: float) -> None:
    memory, said = outlooks([2.0] * 300)
    now = MIDNIGHT_S + 299 * TICK_S + elapsed_s
    speaker = FORECASTERS.index(said[-1].forecaster)
    dear = tuple(replace(track, cost=100.0) for track in memory.tracks)

    after, outlook = forecast.observe(replace(memory, tracks=dear), 2.0, now, HORIZON_S, 0.05)

    costs = [track.cost for track in after.tracks]
    assert costs[FORECASTERS.index("weekly")] == 100.0
    assert outlook.forecaster == FORECASTERS[speaker]
    assert costs[speaker] == pytest.approx(100.0 - (100.0 - outlook.upper) * elapsed_s / 3600.0, rel=0.01)


def test_errors_from_before_directions_were_told_apart_count_half_for_each() -> None:
    track = Track(prior(HORIZON_S)).scored(4.0, 4.0, 1.0, rises=False)

    assert sum(track.rising) == pytest.approx(25.0, rel=0.001)
    assert sum(track.errors) == pytest.approx(51.0, rel=0.001)


def test_a_trend_beyond_the_bound_is_judged_when_its_time_has_come_and_not_before() -> None:
    level, ramp_up = [5.0] * 240, [5.0 + step / 4 for step in range(20)]

    early, _ = outlooks(level + ramp_up[:12])
    late, _ = outlooks(level + ramp_up)

    assert len(early.lifted) > 4
    assert early.lifts == prior(HORIZON_S)
    judged = [due_s for due_s, _ in early.lifted if due_s <= MIDNIGHT_S + 259 * TICK_S]
    assert len(judged) > 1
    assert late.lifted[: len(early.lifted) - len(judged)] == early.lifted[len(judged) :]
    assert len(judged) < sum(late.lifts) - sum(early.lifts) < 2 * len(judged)


def test_a_memory_that_has_seen_nothing_is_in_order() -> None:
    forecast.check_forecast(Forecast())
