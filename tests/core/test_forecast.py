"""Demand ahead: what each shape of history makes it say, and how often it is exceeded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core import forecast
from autoscaler.core.errors import BINS, FLOOR, at_share
from autoscaler.core.forecast import Forecast, Track
from tests.core.forecasts import DAY_S, HORIZON_S, MIDNIGHT_S, TICK_S, excess, noise, outlooks, wandering


def test_a_level_goes_on() -> None:
    _, said = outlooks([5.0] * 200)

    assert said[-1].demand == pytest.approx(5.0)
    assert all(outlook.upper >= outlook.demand for outlook in said)
    assert said[-1].horizon_s == HORIZON_S


def test_the_margin_on_a_calm_level_shrinks_as_it_proves_calm() -> None:
    _, said = outlooks([5.0] * 4000)

    assert said[-1].upper - 5.0 < 0.5 * (said[0].upper - 5.0)


def test_a_first_value_that_was_too_low_is_soon_forgotten() -> None:
    beginning = [0.5, *[2.0] * 20]

    memory, said = outlooks(beginning)

    assert memory.slow == pytest.approx(fmean(beginning))
    assert said[-1].upper < 1.5 * 2.0


@pytest.mark.parametrize(
    ("average", "constant_s"), [("fastest", 20.0), ("fast", 60.0), ("middle", 300.0), ("slow", 900.0)]
)
def test_averages_as_old_as_their_time_constant_are_exponential(average: str, constant_s: float) -> None:
    memory, _ = outlooks([2.0] * 80)

    after, _ = forecast.observe(memory, 3.0, MIDNIGHT_S + 80 * TICK_S, HORIZON_S, 0.05)

    assert getattr(after, average) == pytest.approx(3.0 - math.exp(-TICK_S / constant_s))


def test_a_memory_that_does_not_say_when_it_began_is_old() -> None:
    memory, _ = outlooks([2.0] * 4)

    after, _ = forecast.observe(replace(memory, began_s=None), 3.0, MIDNIGHT_S + 4 * TICK_S, HORIZON_S, 0.05)

    assert after.slow == pytest.approx(3.0 - math.exp(-TICK_S / 900.0))


def test_a_ramp_is_followed_up() -> None:
    demands = [2.0 + 0.01 * index for index in range(800)]

    _, said = outlooks(demands)

    assert said[-1].demand == pytest.approx(demands[-1] + 0.01 * HORIZON_S / TICK_S, rel=0.05)
    assert said[-1].upper > demands[-1]


def test_a_ramp_is_followed_down_and_not_below_zero() -> None:
    demands = [max(10.0 - 0.02 * index, 0.0) for index in range(520)]

    _, said = outlooks(demands)

    assert said[400].demand < demands[400]
    assert all(outlook.demand >= 0.0 and outlook.upper >= 0.0 for outlook in said)


def test_no_demand_at_all_asks_for_next_to_nothing() -> None:
    _, said = outlooks([0.0] * 200)

    assert said[-1].demand == 0.0
    assert said[-1].upper < 0.5


def test_a_forecaster_that_errs_loses_its_vote() -> None:
    """Load that swings back every time makes a fool of whoever extends the trend."""
    demands = [6.0 + 3.0 * math.sin(2 * math.pi * index / 80) for index in range(3000)]

    memory, said = outlooks(demands, horizon_s=600.0)

    costs = dict(zip(forecast.FORECASTERS, (track.cost for track in memory.tracks), strict=True))
    speaking = {outlook.forecaster for outlook in said[-400:]}
    dearest = max((name for name, cost in costs.items() if cost is not None), key=lambda name: costs[name] or 0.0)
    assert dearest not in speaking
    assert "trend" not in speaking


def lowest_bound(memory: Forecast, predictions: Sequence[float], share: float) -> float:
    said = zip(memory.tracks, predictions, strict=True)
    return min(at_share(track.errors, value, share) for track, value in said if value >= 0)


def test_until_costs_are_known_the_lowest_bound_speaks() -> None:
    """Nobody has proven anything in the first hour; what a forecaster would have cost is not asked then."""
    demands = wandering(241)

    young, said = outlooks(demands[:-1], excess_ratio=0.05)
    old, said_later = outlooks(demands, excess_ratio=0.05)

    assert said[-1].upper == pytest.approx(lowest_bound(young, young.pending[-1][1], 0.95))
    assert said_later[-1].upper > 1.02 * lowest_bound(old, old.pending[-1][1], 0.95)


@pytest.mark.parametrize("excess_ratio", [0.02, 0.05, 0.2])
def test_the_upper_bound_is_exceeded_as_often_as_it_may(excess_ratio: float) -> None:
    demands = wandering(4000)

    _, said = outlooks(demands, excess_ratio=excess_ratio)

    assert excess(demands, said, ahead=16, since=1500) == pytest.approx(excess_ratio, rel=0.5)


def test_each_level_is_exceeded_as_often_as_its_place_among_them_says() -> None:
    demands = wandering(4000)

    _, said = outlooks(demands, excess_ratio=0.2)

    told = [outlook for outlook in said if len(outlook.levels) > 1]
    assert all(list(outlook.levels) == sorted(outlook.levels) for outlook in told)
    assert all(outlook.levels[-1] <= outlook.upper for outlook in told)
    middle = [replace(outlook, upper=outlook.levels[len(outlook.levels) // 2]) for outlook in said]
    assert excess(demands, middle, ahead=16, since=1500) == pytest.approx(0.6, rel=0.2)


def test_a_ramp_that_the_bound_does_not_cover_is_all_that_is_expected() -> None:
    _, said = outlooks([5.0] * 240 + [5.0 + step / 4 for step in range(40)])

    assert said[-1].levels == (said[-1].upper,)
    assert said[-1].lifted_by in {"trend", "steep_trend"}
    assert said[200].lifted_by is None


def beyond(demands: Sequence[float]) -> list[tuple[float, float]]:
    """Upper bounds where a trend is beyond them: without knowing how such trends ended, and knowing it."""
    memory, found = Forecast(), []
    for index, demand in enumerate(demands):
        at_s = MIDNIGHT_S + index * TICK_S
        _, naive = forecast.observe(replace(memory, lifts=()), demand, at_s, HORIZON_S, 0.2)
        kept = memory.lifted
        memory, told = forecast.observe(memory, demand, at_s, HORIZON_S, 0.2)
        if memory.lifted and memory.lifted[-1:] != kept[-1:]:
            found.append((naive.upper, told.upper))
    return found


def test_trends_that_never_come_true_lift_the_bound_no_more() -> None:
    """Load that rises for two minutes, as if it would go on, and falls back."""
    swings = [6.0 + 2.0 * math.sin(2 * math.pi * index / 24) for index in range(2400)]

    found = beyond(swings)

    late = found[-len(found) // 4 :]
    assert late
    assert fmean(told for _, told in late) < 1.01 * max(swings) < fmean(naive for naive, _ in late)


def test_trends_that_came_true_lift_the_bound_as_far_as_they_reach() -> None:
    ramps = [3.0 + max(index % 400 - 300, 0) / 25 for index in range(2400)]

    found = beyond(ramps)

    late = found[-len(found) // 4 :]
    assert late
    assert fmean(told for _, told in late) == pytest.approx(fmean(naive for naive, _ in late), rel=0.1)


def test_a_memory_that_knows_nothing_of_trends_beyond_the_bound_takes_them_nearly_at_their_word() -> None:
    level = [5.0] * 240
    ramp = [5.0 + step / 4 for step in range(20)]
    _, fresh = outlooks(level + ramp)
    memory, _ = outlooks(level)

    _, restored = outlooks(ramp, memory=replace(memory, lifts=()), start_s=MIDNIGHT_S + 240 * TICK_S)

    assert restored[-1].upper == pytest.approx(fresh[-1].upper, rel=0.05)
    seen, first = outlooks([20.0], memory=replace(memory, lifts=()), start_s=MIDNIGHT_S + 240 * TICK_S)
    _, trend = seen.lifted[-1]
    assert first[0].lifted_by == "steep_trend"
    assert first[0].upper == pytest.approx(trend, rel=0.05)
    assert first[0].upper < trend


def a_wave(periods: int) -> list[float]:
    """Demand that swings between 1 and 11 every ten minutes."""
    return [6.0 + 5.0 * math.sin(2 * math.pi * index / 40) for index in range(40 * periods)]


def blind(demands: Sequence[float], excess_ratio: float) -> list[tuple[float, float]]:
    """Upper bounds of one who makes no difference between rising and falling demand, and of one who does."""
    memory, found = Forecast(), []
    for index, demand in enumerate(demands):
        at_s = MIDNIGHT_S + index * TICK_S
        alike = replace(memory, tracks=tuple(replace(track, rising=()) for track in memory.tracks))
        _, one = forecast.observe(alike, demand, at_s, 75.0, excess_ratio)
        memory, other = forecast.observe(memory, demand, at_s, 75.0, excess_ratio)
        found.append((one.upper, other.upper))
    return found


def test_what_a_trend_lacks_at_the_foot_of_a_wave_is_not_added_on_its_crest() -> None:
    wave = a_wave(12)

    found = blind(wave, 0.3)

    crests = [bounds for bounds, demand in zip(found, wave, strict=True) if demand > 10.0][-30:]
    assert fmean(told for _, told in crests) < 0.9 * fmean(alike for alike, _ in crests)


def known(rising: float, falling: float, samples: int) -> Track:
    """A record of so many errors in each direction, of these sizes: log ratios."""
    nothing = (0.0,) * BINS
    track = Track(nothing, rising=nothing)
    for _ in range(samples):
        track = track.scored(1.0, 1.25 * math.exp(rising) - FLOOR, 1.0, rises=True)
        track = track.scored(1.0, 1.25 * math.exp(falling) - FLOOR, 1.0, rises=False)
    return track


@pytest.mark.parametrize("rises", [True, False])
def test_a_direction_of_demand_never_asks_for_more_than_both_together(*, rises: bool) -> None:
    track = known(rising=0.1, falling=0.6, samples=100)

    bounds = {each: at_share(track.told_by(rises=each, share=0.7), 4.0, 0.7) for each in (True, False)}

    assert bounds[True] < bounds[False]
    assert bounds[rises] <= at_share(track.errors, 4.0, 0.7)


def test_far_in_the_tail_or_after_a_few_errors_a_direction_knows_too_little() -> None:
    track, young, older = (known(0.1, 0.6, samples=samples) for samples in (100, 24, 26))

    assert track.told_by(rises=True, share=0.76) is track.errors
    assert track.told_by(rises=True, share=0.74) is track.rising
    assert young.told_by(rises=True, share=0.7) is young.errors
    assert older.told_by(rises=True, share=0.7) is older.rising


def test_a_burstier_load_gets_a_wider_margin() -> None:
    calm, bursty = ([5.0 * factor for factor in noise(2000, ratio)] for ratio in (0.05, 0.4))

    assert outlooks(bursty)[1][-1].upper > 1.2 * outlooks(calm)[1][-1].upper


def test_what_old_bursts_add_to_a_bound_hardly_depends_on_the_interval() -> None:
    uppers = []
    for tick_s in (5.0, 60.0):
        bursts = [5.0 * factor for factor in noise(int(2 * 3600 / tick_s), 0.4)]
        calm = [5.0] * int(4 * 3600 / tick_s)
        uppers.append(outlooks(bursts + calm, tick_s=tick_s)[1][-1].upper)

    assert uppers[0] == pytest.approx(uppers[1], rel=0.1)


def test_what_a_quarter_of_an_hour_is_like_is_learned_as_fast_with_few_ticks() -> None:
    a_week_ago = forecast.seed_season(Forecast(), [(MIDNIGHT_S - 7 * DAY_S, 2.0)])
    seasons = []
    for tick_s in (5.0, 60.0):
        memory, _ = outlooks([4.0] * int(600 / tick_s), tick_s=tick_s, memory=a_week_ago)
        seasons.append(max(memory.season))

    assert seasons[0] == pytest.approx(seasons[1], rel=0.05)
    assert 3.5 < seasons[0] < 4.0


def test_a_larger_share_of_excess_means_a_lower_bound() -> None:
    demands = [5.0 * factor for factor in noise(1000, 0.2)]

    assert outlooks(demands, excess_ratio=0.2)[1][-1].upper < outlooks(demands, excess_ratio=0.01)[1][-1].upper


def test_before_anything_is_scored_the_bound_is_wider_the_further_ahead_it_looks() -> None:
    near, far = (outlooks([5.0], horizon_s=horizon_s)[1][0] for horizon_s in (75.0, 600.0))

    assert near.demand < near.upper < far.upper


def test_nothing_expected_is_bounded_by_nothing() -> None:
    _, said = outlooks([0.0] * 240, horizon_s=75.0, excess_ratio=0.4)

    assert {outlook.upper for outlook in said[120:]} == {0.0}


@given(
    st.lists(st.tuples(st.floats(-2 * DAY_S, 2 * DAY_S), st.floats(0.0, 1e6)), min_size=1, max_size=30),
    st.floats(0.0, 3600.0),
)
def test_whatever_the_clock_does_the_numbers_stay_numbers(steps: list[tuple[float, float]], horizon_s: float) -> None:
    memory, now = Forecast(), MIDNIGHT_S
    for elapsed_s, demand in steps:
        now += elapsed_s
        memory, outlook = forecast.observe(memory, demand, now, horizon_s, 0.05)
        assert math.isfinite(outlook.demand)
        assert math.isfinite(outlook.upper)
        assert outlook.demand >= 0.0
        assert outlook.upper >= 0.0
        assert all(due_s >= now for due_s, _ in (*memory.pending, *memory.lifted))


def test_a_forecast_that_is_never_due_does_not_pile_up() -> None:
    memory, _ = outlooks([5.0] * 400)
    once = len(memory.pending)

    memory, _ = outlooks([5.0] * 400, memory=replace(memory, at_s=memory.at_s), start_s=MIDNIGHT_S + 400 * TICK_S)

    assert len(memory.pending) == once <= HORIZON_S / TICK_S + 2
    assert len(memory.lifted) <= once
