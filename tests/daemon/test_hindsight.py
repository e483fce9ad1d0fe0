from __future__ import annotations

import pytest

from autoscaler.core.decision import Evidence
from autoscaler.daemon.hindsight import Hindsight

INTERVAL_S = 15.0


def evidence(demand: float | None, forecast: float | None, horizon_s: float = 60.0) -> Evidence:
    looked_s = None if forecast is None else horizon_s
    return Evidence(60.0, "prior", 0.5, demand=demand, forecast=forecast, horizon_s=looked_s)


def decided(seen: Hindsight, known: Evidence, *times_s: float, interval_s: float = INTERVAL_S) -> Hindsight:
    """What is known after the same decision at each of these times."""
    for at_s in times_s:
        seen = seen.after(known, at_s, interval_s)
    return seen


def test_a_forecast_is_judged_when_its_time_comes() -> None:
    early = decided(decided(Hindsight(), evidence(4.0, 10.0), 0.0), evidence(5.0, 11.0), 30.0)
    assert early.error_ratio is None

    late = decided(early, evidence(8.0, 12.0), 60.0)
    assert late.due == 10.0
    assert late.error_ratio == pytest.approx(-0.2)


def test_the_latest_forecast_that_is_due_counts() -> None:
    seen = decided(decided(Hindsight(), evidence(4.0, 1.0), 0.0), evidence(4.0, 2.0), 15.0)

    seen = decided(seen, evidence(4.0, 9.0), 90.0)

    assert seen.due == 2.0
    assert seen.error_ratio == pytest.approx(0.5)


def test_a_tick_that_is_late_is_compared_all_the_same() -> None:
    seen = decided(decided(Hindsight(), evidence(4.0, 4.0), 0.0), evidence(4.0, 4.0), 89.0)

    assert seen.due == 4.0


def test_once_nothing_is_forecast_any_more_nothing_is_due_when_the_last_has_come() -> None:
    seen = decided(Hindsight(), evidence(4.0, 4.0), *(15.0 * tick for tick in range(9)))
    seen = decided(seen, evidence(9.0, None), *(15.0 * tick for tick in range(9, 13)))
    assert seen.due == 4.0

    seen = decided(seen, evidence(9.0, None), *(15.0 * tick for tick in range(13, 16)))

    assert seen.due is None
    assert seen.error_ratio is None


def test_a_forecast_is_not_compared_with_what_came_long_after_its_time() -> None:
    seen = decided(decided(Hindsight(), evidence(4.0, 4.0), 0.0), evidence(9.0, 9.0), 600.0)

    assert seen.error_ratio is None


def test_a_service_that_is_looked_at_seldom_has_its_forecasts_compared() -> None:
    times_s = (0.0, 600.0, 1200.0)

    seen = decided(Hindsight(), evidence(4.0, 4.0), *times_s, interval_s=600.0)

    assert seen.due == 4.0


def test_a_service_that_is_looked_at_each_second_has_its_forecasts_compared() -> None:
    seen = decided(Hindsight(), evidence(4.0, 4.0, 600.0), *map(float, range(700)), interval_s=1.0)

    assert seen.due == 4.0


def test_what_was_said_last_of_an_instant_counts_once_the_forecast_looks_less_far() -> None:
    far = decided(Hindsight(), evidence(4.0, 4.0, 600.0), *(15.0 * tick for tick in range(80)))

    near = decided(far, evidence(8.0, 8.0, 60.0), *(1200.0 + 15.0 * tick for tick in range(5)))

    assert near.due == 8.0


def test_errors_below_a_replica_stay_small() -> None:
    seen = decided(Hindsight(), evidence(0.0, 0.1), 0.0, 60.0)

    assert seen.error_ratio == pytest.approx(-0.1)


def test_without_a_demand_there_is_no_error() -> None:
    seen = decided(decided(Hindsight(), evidence(4.0, 4.0), 0.0), evidence(None, None), 60.0)

    assert seen.error_ratio is None


def test_what_waits_does_not_grow_without_end() -> None:
    seen = decided(Hindsight(), evidence(1.0, 1.0, 1e6), *(15.0 * tick for tick in range(2000)))

    assert len(seen.pending) < 1000
