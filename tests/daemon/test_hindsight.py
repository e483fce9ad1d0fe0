from __future__ import annotations

import pytest

from autoscaler.core.decision import Evidence
from autoscaler.daemon.hindsight import Hindsight


def evidence(demand: float | None, forecast: float | None) -> Evidence:
    return Evidence(60.0, "prior", 0.5, demand=demand, forecast=forecast, horizon_s=None if forecast is None else 60.0)


def test_a_forecast_is_judged_when_its_time_comes() -> None:
    early = Hindsight().after(evidence(4.0, 10.0), 0.0).after(evidence(5.0, 11.0), 30.0)
    assert early.error_ratio is None

    late = early.after(evidence(8.0, 12.0), 60.0)
    assert late.due == 10.0
    assert late.error_ratio == pytest.approx(-0.2)


def test_the_latest_forecast_that_is_due_counts() -> None:
    seen = Hindsight().after(evidence(4.0, 1.0), 0.0).after(evidence(4.0, 2.0), 15.0).after(evidence(4.0, 9.0), 600.0)

    assert seen.due == 2.0
    assert seen.error_ratio == pytest.approx(0.5)


def test_errors_below_a_replica_stay_small() -> None:
    seen = Hindsight().after(evidence(0.0, 0.1), 0.0).after(evidence(0.0, 0.1), 60.0)

    assert seen.error_ratio == pytest.approx(-0.1)


def test_without_a_demand_there_is_no_error() -> None:
    seen = Hindsight().after(evidence(4.0, 4.0), 0.0).after(evidence(None, None), 60.0)

    assert seen.error_ratio is None


def test_what_waits_does_not_grow_without_end() -> None:
    seen = Hindsight()
    for tick in range(2000):
        seen = seen.after(Evidence(1e6, "prior", 0.5, demand=1.0, forecast=1.0, horizon_s=1e6), float(tick))

    assert len(seen.pending) < 1000
