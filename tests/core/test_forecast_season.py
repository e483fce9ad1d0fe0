"""Demand that comes at the same hour each day."""

from __future__ import annotations

import math
from functools import cache
from statistics import fmean

from autoscaler.core import forecast
from autoscaler.core.forecast import Forecast, Outlook
from tests.core.forecasts import DAY_S, MIDNIGHT_S, noise, outlooks, wandering


def a_morning_jump(days: int, tick_s: float) -> list[float]:
    """4 by night, 10 from nine to six, a little noise."""
    hours = [(index * tick_s % DAY_S) / 3600.0 for index in range(int(days * DAY_S / tick_s))]
    level = [10.0 if 9 <= hour < 18 else 4.0 for hour in hours]
    return [value * factor for value, factor in zip(level, noise(len(level), 0.05), strict=True)]


@cache
def three_days() -> tuple[list[float], list[Outlook]]:
    """A smooth day and night three times, looked at an hour ahead, once a minute."""
    wave = [6.0 + 4.0 * math.sin(2 * math.pi * index / 1440) for index in range(3 * 1440)]
    demands = [value * factor for value, factor in zip(wave, noise(len(wave), 0.05), strict=True)]
    return demands, outlooks(demands, tick_s=60.0, horizon_s=3600.0)[1]


def test_after_two_days_the_third_is_known() -> None:
    demands, said = three_days()
    third = range(2 * 1440, 3 * 1440 - 60)

    forecast_error = fmean(abs(said[index].demand - demands[index + 60]) for index in third)
    staying_error = fmean(abs(demands[index] - demands[index + 60]) for index in third)

    assert forecast_error < 0.6 * staying_error
    assert "daily" in {said[index].forecaster for index in third}


def test_on_the_first_day_no_season_is_known() -> None:
    _, said = three_days()

    assert all(outlook.forecaster != "daily" for outlook in said[: 1440 - 60])


def test_in_the_first_week_no_week_is_known() -> None:
    _, said = outlooks(wandering(2000))

    assert all(outlook.forecaster != "weekly" for outlook in said)


def test_a_jump_that_comes_every_morning_is_expected_after_five() -> None:
    demands = a_morning_jump(6, tick_s=60.0)
    nine_on_the_sixth_day = 5 * 1440 + 9 * 60

    _, said = outlooks(demands, tick_s=60.0, horizon_s=300.0)

    assert said[nine_on_the_sixth_day - 2].upper > 8.0
    assert said[nine_on_the_sixth_day - 2].lifted_by == "daily"


def test_a_gap_of_yesterday_does_not_raise_what_is_expected_above_what_was_ever_seen() -> None:
    """Nothing for twenty minutes, then all of it again, is no growth without limit."""
    minutes = range(4 * 1440)
    demands = [0.0 if 2 * 1440 + 720 <= minute < 2 * 1440 + 740 else 10.0 for minute in minutes]

    _, said = outlooks(demands, tick_s=60.0, horizon_s=300.0)

    assert max(outlook.upper for outlook in said[3 * 1440 + 700 : 3 * 1440 + 760]) < 15.0


def test_a_recorded_history_gives_the_season_back_after_a_restart() -> None:
    recorded = [(MIDNIGHT_S + index * 900.0, 2.0 + index % 96) for index in range(96)]
    seeded = forecast.seed_season(Forecast(), recorded)
    plain = Forecast()

    _, said = outlooks([50.0] * 40, memory=seeded, start_s=MIDNIGHT_S + DAY_S + 48 * 900.0, horizon_s=3600.0)
    _, unseeded = outlooks([50.0] * 40, memory=plain, start_s=MIDNIGHT_S + DAY_S + 48 * 900.0, horizon_s=3600.0)

    assert "daily" not in {outlook.forecaster for outlook in unseeded}
    assert seeded.season != plain.season
    assert max(outlook.upper for outlook in said) >= max(outlook.demand for outlook in said)
