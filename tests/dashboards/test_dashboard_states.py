"""Panels in states that a quiet recording has not: services that went, daemons that changed, nobody who leads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.dashboards.panels import load, queries, window_s
from tests.support.prometheus import Prometheus, running_prometheus

NOW_S = 1_700_000_000.0
_HOUR_S = 3600.0
_STEP_S = 60.0
# Metric without the prefix, labels, first and last hour before now, values that take turns.
_Row = tuple[str, str, float, float, tuple[float, ...]]

GONE, HERE = 'namespace="serving",service="gone"', 'namespace="serving",service="chat"'
A, B = 'job="pd",instance="a"', 'job="pd",instance="b"'
LOST = 'namespace="serving",service="lost"'
SLOW = 'namespace="serving",service="slow"'
SHARES = f'budget="h100",{HERE}'


def _ticked(each: float) -> tuple[float, ...]:
    """What grows by that much at each of the ticks of three hours, ten minutes apart."""
    return tuple(each * (minute // 10) for minute in range(180))


ROWS: tuple[_Row, ...] = (
    ("peak_gpus", f"{GONE},{A}", 26.0, 24.0, (100.0,)),
    ("current_gpus", f'{GONE},role="decode",{A}', 26.0, 24.0, (100.0,)),
    ("error_budget_burn_ratio", f'{GONE},objective="ttft",{A}', 2.0, 0.5, (50.0,)),
    ("mode", f'{HERE},mode="enforce",{A}', 3.0, 0.0, (1.0,)),
    ("peak_gpus", f"{HERE},{A}", 3.0, 0.0, (12.0,)),
    ("current_gpus", f'{HERE},role="decode",{A}', 3.0, 0.0, (8.0,)),
    ("forecast_error_ratio", f'{HERE},role="decode",{A}', 3.0, 0.0, (0.5, -0.5)),
    ("error_budget_burn_ratio", f'{HERE},objective="ttft",{A}', 3.0, 0.5, (8.0,)),
    ("error_budget_burn_ratio", f'{HERE},objective="ttft",{B}', 0.5, 0.0, (0.0,)),
    ("reason", f'{HERE},role="decode",reason="at_max",{A}', 3.0, 0.0, (1.0,)),
    ("reason", f'{HERE},role="decode",reason="steady",{B}', 3.0, 0.0, (1.0,)),
    ("leads", f"{HERE},{A}", 3.0, 0.0, (1.0,)),
    ("leads", f'{HERE},job="again",instance="a"', 3.0, 0.0, (1.0,)),
    ("leads", f"{HERE},{B}", 3.0, 0.0, (0.0,)),
    ("condition", f'{HERE},condition="Effective",{A}', 3.0, 0.0, (0.0,)),
    ("condition", f'{HERE},condition="Effective",{B}', 3.0, 0.0, (1.0,)),
    ("interval_seconds", f"{HERE},{A}", 3.0, 0.0, (15.0,)),
    ("last_tick_timestamp_seconds", f"{HERE},{A}", 3.0, 0.0, (NOW_S - 301.0,)),
    ("last_tick_timestamp_seconds", f"{HERE},{B}", 3.0, 0.0, (NOW_S - 16.0,)),
    ("reason", f'{LOST},role="decode",reason="at_max",{A}', 3.0, 0.0, (1.0,)),
    ("leads", f"{LOST},{A}", 3.0, 0.0, (0.0,)),
    ("shared_budget_service_held_gpus", f"{SHARES},{A}", 3.0, 0.0, (10.0,)),
    ("shared_budget_service_wanted_gpus", f"{SHARES},{A}", 3.0, 0.0, (12.0,)),
    ("shared_budget_service_granted_gpus", f"{SHARES},{A}", 3.0, 0.0, (8.0,)),
    ("shared_budget_service_wanted_gpus", f"{SHARES},{B}", 3.0, 0.0, (14.0,)),
    ("shared_budget_service_granted_gpus", f"{SHARES},{B}", 3.0, 0.0, (14.0,)),
    ("shared_budget_service_wanted_gpus", f'budget="h100",{LOST},{A}', 3.0, 0.0, (9.0,)),
    ("interval_seconds", f"{SLOW},{A}", 3.0, 0.0, (600.0,)),
    ("tick_duration_seconds_sum", f"{SLOW},{A}", 3.0, 0.0, _ticked(0.5)),
    ("tick_duration_seconds_count", f"{SLOW},{A}", 3.0, 0.0, _ticked(1.0)),
    ("tick_duration_seconds_bucket", f'{SLOW},le="0.5",{A}', 3.0, 0.0, _ticked(1.0)),
    ("tick_duration_seconds_bucket", f'{SLOW},le="+Inf",{A}', 3.0, 0.0, _ticked(1.0)),
    ("dependency_duration_seconds_sum", f'{SLOW},dependency="signals",{A}', 3.0, 0.0, _ticked(0.2)),
    ("errors_total", f'{SLOW},dependency="signals",{A}', 3.0, 0.0, _ticked(1.0)),
    ("decisions_total", f'{SLOW},role="decode",reason="at_max",{A}', 3.0, 0.0, _ticked(1.0)),
)


def _lines() -> Iterator[str]:
    for name in dict.fromkeys(row[0] for row in ROWS):
        yield f"# TYPE pd_autoscaler_{name} gauge"
        for _, labels, from_h, to_h, values in (row for row in ROWS if row[0] == name):
            for step in range(round((from_h - to_h) * _HOUR_S / _STEP_S)):
                at_s = NOW_S - from_h * _HOUR_S + step * _STEP_S
                yield f"pd_autoscaler_{name}{{{labels}}} {values[step % len(values)]} {at_s:.0f}"
    yield "# EOF\n"


@pytest.fixture(scope="module")
def prometheus() -> Iterator[Prometheus]:
    with running_prometheus(openmetrics="\n".join(_lines())) as server:
        yield server


def shown(server: Prometheus, file: str, panel: str, place: int = 0, service: str = ".*") -> list[tuple[str, float]]:
    """What a query of a panel shows now: values by what its legend can say."""
    asked = [query for query in queries(load(file)) if query.panel == panel][place]
    variables = {"namespace": ".*" if service == ".*" else "serving", "service": service}
    window = window_s(load(file), server, variables, NOW_S - 1.0)
    found = server.query(asked.filled({**variables, "window": window}), NOW_S - 1.0)
    assert isinstance(found, list)
    return sorted((" ".join(labels.values()), value) for labels, value in found)


def test_a_service_that_was_removed_saves_nothing(prometheus: Prometheus) -> None:
    assert shown(prometheus, "fleet.json", "How many GPUs are saved against a static peak?") == [("", 4.0)]


def test_a_service_that_was_removed_is_no_row_of_the_fleet(prometheus: Prometheus) -> None:
    panel = "Which services miss their objectives most?"
    columns = [shown(prometheus, "fleet.json", panel, place) for place in range(7)]

    assert {name for column in columns for name, _ in column} == {"serving chat"}


def test_the_mean_burn_of_an_hour_goes_on_over_a_change_of_daemons(prometheus: Prometheus) -> None:
    (fleet,) = shown(prometheus, "fleet.json", "How fast does the worst service burn its error budget?")
    (service,) = shown(prometheus, "service.json", "How fast does the error budget burn?", service="chat")

    assert fleet[1] == pytest.approx(4.0, abs=1.0)  # the first one is seen for five minutes more
    assert service[1] == fleet[1]


def test_errors_of_the_forecast_to_both_sides_do_not_cancel(prometheus: Prometheus) -> None:
    assert shown(prometheus, "health.json", "How wrong are the forecasts?") == [("serving decode chat", 0.5)]


def test_states_are_those_of_the_daemon_that_leads_however_often_it_is_scraped(prometheus: Prometheus) -> None:
    panel = "Why is each pool as large as it is?"

    assert shown(prometheus, "service.json", panel, service="chat") == [("at_max decode", 1.0)]


def test_a_daemon_that_is_scraped_twice_leads_once(prometheus: Prometheus) -> None:
    assert shown(prometheus, "health.json", "Who leads?") == [("a", 1.0), ("b", 0.0)]


def test_a_leader_that_is_blind_or_stands_still_is_seen_beside_one_that_is_well(prometheus: Prometheus) -> None:
    blind = shown(prometheus, "fleet.json", "How many services are limited, held, in conflict or blind?")
    oldest = shown(prometheus, "health.json", "How long ago was the oldest tick?")

    assert blind == [("", 1.0)]
    assert oldest == [("", 20.0)]


def test_states_are_shown_while_nobody_leads(prometheus: Prometheus) -> None:
    panel = "Why is each pool as large as it is?"

    assert shown(prometheus, "service.json", panel, service="lost") == [("at_max decode", 1.0)]


def test_who_is_cut_by_a_shared_budget_is_told_by_the_daemon_that_divides_it(prometheus: Prometheus) -> None:
    panel = "Who holds what of a shared budget, and who is cut?"
    cut, holds, granted, wants = (shown(prometheus, "fleet.json", panel, place) for place in range(4))

    assert cut == [("h100 serving chat", 4.0)]
    assert (holds, granted) == ([("h100 serving chat", 10.0)], [("h100 serving chat", 8.0)])
    assert wants == [("h100 serving chat", 12.0), ("h100 serving lost", 9.0)]


@pytest.mark.parametrize(
    ("file", "panel"),
    [
        ("fleet.json", "What binds the pools?"),
        ("health.json", "How long does a tick take?"),
        ("health.json", "Do ticks end in time?"),
        ("health.json", "How many ticks are there a second?"),
        ("health.json", "How long do ticks wait, and for what?"),
        ("health.json", "What goes wrong?"),
    ],
)
def test_a_service_that_ticks_each_ten_minutes_is_shown(prometheus: Prometheus, file: str, panel: str) -> None:
    assert any(value > 0 for _, value in shown(prometheus, file, panel, service="slow"))
