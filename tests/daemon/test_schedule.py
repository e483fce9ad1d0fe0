from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.daemon.schedule import GridTrigger, Schedule, phase_ratio

WAIT_S = 10.0
NOW = datetime(2026, 1, 1, 12, 0, 7, tzinfo=UTC)


class Ticker:
    """Counts ticks and how many run at once; blocks until `go` is set."""

    def __init__(self, *, enough: int = 3) -> None:
        self.count = 0
        self.running = 0
        self.most_at_once = 0
        self.started = Event()
        self.reached = Event()
        self.go = Event()
        self._enough = enough

    def __call__(self) -> None:
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        self.started.set()
        self.go.wait(WAIT_S)
        self.count += 1
        self.running -= 1
        if self.count >= self._enough:
            self.reached.set()


def free(*, enough: int = 3) -> Ticker:
    ticker = Ticker(enough=enough)
    ticker.go.set()
    return ticker


@pytest.fixture
def schedule() -> Iterator[Schedule]:
    running = Schedule()
    running.start()
    yield running
    running.stop()


@given(st.floats(0.5, 3600.0), st.floats(0.0, 0.999), st.floats(0.0, 1e6))
def test_the_next_tick_is_on_the_grid_after_now_and_within_one_interval(
    interval_s: float, phase: float, late_s: float
) -> None:
    now = NOW + timedelta(seconds=late_s)

    at = GridTrigger(interval_s, phase).get_next_fire_time(None, now)

    assert now - timedelta(milliseconds=1) < at <= now + timedelta(seconds=interval_s + 1e-3)
    steps = at.timestamp() / interval_s - phase
    assert abs(steps - round(steps)) * interval_s < 1e-3


def test_ticks_that_were_missed_are_not_made_up_for() -> None:
    an_hour_ago = NOW - timedelta(hours=1)

    assert GridTrigger(15.0, 0.0).get_next_fire_time(an_hour_ago, NOW) == NOW + timedelta(seconds=8)


def test_services_are_spread_over_the_interval_and_stay_where_they_are() -> None:
    phases = {phase_ratio(f"service-{number}") for number in range(50)}

    assert len(phases) > 40
    assert phase_ratio("chat") == phase_ratio("chat")
    assert all(0.0 <= phase < 1.0 for phase in phases)


def test_the_first_tick_comes_at_once(schedule: Schedule) -> None:
    ticker = free(enough=1)

    schedule.set("chat", 3600.0, ticker)

    assert ticker.reached.wait(WAIT_S)


def test_ticks_go_on(schedule: Schedule) -> None:
    ticker = free(enough=3)

    schedule.set("chat", 0.05, ticker)

    assert ticker.reached.wait(WAIT_S)


def test_a_slow_service_delays_no_other_and_does_not_pile_up(schedule: Schedule) -> None:
    slow, quick = Ticker(enough=1), free(enough=5)
    schedule.set("slow", 0.05, slow)
    schedule.set("quick", 0.05, quick)

    assert slow.started.wait(WAIT_S)
    assert quick.reached.wait(WAIT_S)  # five intervals while the slow one holds its thread
    assert slow.count == 0
    slow.go.set()
    assert slow.reached.wait(WAIT_S)
    assert slow.most_at_once == 1


def test_a_changed_interval_takes_effect_without_waiting_for_the_old_one(schedule: Schedule) -> None:
    ticker = free(enough=3)
    schedule.set("chat", 3600.0, ticker)

    schedule.set("chat", 0.05, ticker)

    assert ticker.reached.wait(WAIT_S)


def test_a_removed_service_ticks_no_more_and_may_come_back(schedule: Schedule) -> None:
    gone, other, back = free(enough=1), free(enough=5), free(enough=1)
    schedule.set("chat", 0.05, gone)
    assert gone.reached.wait(WAIT_S)

    schedule.remove("chat")
    seen = gone.count
    schedule.set("code", 0.05, other)
    assert other.reached.wait(WAIT_S)
    schedule.set("chat", 3600.0, back)

    assert gone.count <= seen + 1  # one may have been under way
    assert back.reached.wait(WAIT_S)


def test_ticks_go_on_after_the_wall_clock_was_set_back(schedule: Schedule) -> None:
    ticker = free(enough=4)
    schedule.set("chat", 0.05, ticker)
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    schedule._scheduler.modify_job("chat", next_run_time=in_an_hour)  # noqa: SLF001 - what setting it back amounts to

    schedule.realign()

    assert ticker.reached.wait(WAIT_S)


def test_nothing_ticks_before_the_start() -> None:
    schedule = Schedule()
    ticker = free(enough=1)
    schedule.set("chat", 0.05, ticker)

    assert ticker.count == 0
    schedule.start()
    assert ticker.reached.wait(WAIT_S)
    schedule.stop()


def test_stopping_starts_no_more_ticks() -> None:
    schedule = Schedule()
    schedule.start()
    ticker = Ticker(enough=1)
    schedule.set("chat", 0.05, ticker)
    assert ticker.started.wait(WAIT_S)

    schedule.stop()
    ticker.go.set()

    assert ticker.reached.wait(WAIT_S)
    assert ticker.count == 1
