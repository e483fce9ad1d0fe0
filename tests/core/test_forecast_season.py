"""Demand that comes at the same hour each day."""

from __future__ import annotations

import math
from functools import cache
from statistics import fmean

import pytest

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


WEEK_S = 7 * DAY_S
MONDAY_S = 1_699_833_600.0
# Shortly before nine, when the jump is within the horizon.
SOON_NINE_S, SOON_S = 9 * 3600.0 - 300.0, 600.0
DAILY, WEEKLY = forecast.FORECASTERS.index("daily"), forecast.FORECASTERS.index("weekly")


def office_hours(at_s: float) -> float:
    """4 by night, 10 from nine to six, 2 at the weekend."""
    day, hour = int((at_s - MONDAY_S) % WEEK_S // DAY_S), at_s % DAY_S / 3600.0
    if day >= 5:
        return 2.0
    return 10.0 if 9 <= hour < 18 else 4.0


def recorded(days: float, *gap: float) -> Forecast:
    """What a record of so many days up to a Monday's midnight tells of the season; it may have a gap."""
    quarters = (MONDAY_S - step * 900.0 for step in range(1, int(days * 96) + 1))
    kept = [at_s for at_s in quarters if not (gap and gap[0] <= at_s < gap[1])]
    return forecast.seed_season(Forecast(), [(at_s, office_hours(at_s)) for at_s in kept])


def soon_nine_on_monday(memory: Forecast, demand: float) -> tuple[Forecast, Outlook]:
    memory, said = outlooks([demand], memory=memory, start_s=MONDAY_S + SOON_NINE_S, horizon_s=SOON_S, excess_ratio=0.2)
    return memory, said[0]


def test_a_week_tells_of_monday_what_a_day_cannot() -> None:
    memory, _ = soon_nine_on_monday(recorded(14), 4.0)

    values = memory.pending[0][1]
    assert values[DAILY] == pytest.approx(4.0)
    assert values[WEEKLY] == pytest.approx(10.0, rel=0.05)


def test_a_jump_that_came_on_two_mondays_is_expected_on_the_third() -> None:
    _, usual = soon_nine_on_monday(recorded(14), 4.0)
    _, busier = soon_nine_on_monday(recorded(14), 8.0)
    _, quieter = soon_nine_on_monday(recorded(14), 3.0)

    assert {usual.lifted_by, busier.lifted_by, quieter.lifted_by} == {"weekly"}
    assert usual.upper == pytest.approx(10.0, rel=0.05)
    assert busier.upper == 10.0
    assert quieter.upper == pytest.approx(7.5, rel=0.05)


def test_one_monday_is_no_habit() -> None:
    memory, outlook = soon_nine_on_monday(recorded(13), 4.0)

    assert memory.pending[0][1][WEEKLY] > 9.0
    assert outlook.lifted_by is None


@pytest.mark.parametrize("missing_s", [SOON_NINE_S, SOON_NINE_S + SOON_S], ids=["now", "soon"])
def test_a_quarter_of_an_hour_that_nobody_recorded_tells_nothing(missing_s: float) -> None:
    then_s = MONDAY_S - WEEK_S + missing_s

    memory, outlook = soon_nine_on_monday(recorded(8, then_s - 900.0, then_s + 900.0), 4.0)

    assert memory.pending[0][1][WEEKLY] == -1.0
    assert outlook.forecaster != "weekly"
    assert outlook.upper < 8.0


def test_a_quarter_of_an_hour_without_load_is_known() -> None:
    idle = forecast.seed_season(Forecast(), [(MONDAY_S, 0.0)])

    twice = forecast.seed_season(idle, [(MONDAY_S - WEEK_S, 50.0)])

    assert max(twice.season) == 0.0
    assert twice.since_s == MONDAY_S - WEEK_S


def test_a_season_is_taken_up_at_once_and_changed_slowly() -> None:
    fresh, _ = outlooks([6.0] * 2)
    idle, calm = (forecast.seed_season(Forecast(), [(MIDNIGHT_S, demand)]) for demand in (0.0, 10.0))

    after_idle, after_calm = (outlooks([50.0] * 2, memory=known)[0] for known in (idle, calm))

    assert max(fresh.season) == 6.0
    assert max(after_idle.season) == pytest.approx(50.0 / 20)
    assert max(after_calm.season) == pytest.approx(10.0 + 40.0 / 20)
    assert fresh.since_s == after_calm.since_s == MIDNIGHT_S
