"""Telling in the background: never waits, keeps order, and says when it falls behind."""

from __future__ import annotations

import time
from threading import Event

from autoscaler.daemon.background import BackgroundReporter, close_together
from autoscaler.daemon.tick import Dependency, Tick, Trouble

PATIENCE_S = 5.0


class Slow:
    """A reporter that goes on when the test lets it."""

    def __init__(self) -> None:
        self.may_go_on, self.begun, self.done = Event(), Event(), Event()
        self.told: list[float] = []
        self.error: Exception | None = None

    def report(self, tick: Tick) -> list[Trouble]:
        self.begun.set()
        assert self.may_go_on.wait(PATIENCE_S)
        error, self.error = self.error, None
        if error is not None:
            raise error
        self.told.append(tick.at_s)
        if tick.at_s == 9.0:
            self.done.set()
        return [Trouble(Dependency.WEBHOOK, "oncall", "refused")]


def tick(at_s: float, service: str = "chat") -> Tick:
    return Tick(service, at_s, None)


def test_a_slow_receiver_holds_nobody_up_and_hears_everything_in_order() -> None:
    slow = Slow()
    reporter = BackgroundReporter(slow, "oncall")

    assert [reporter.report(tick(float(at_s))) for at_s in range(10)] == [[]] * 10

    slow.may_go_on.set()
    assert slow.done.wait(PATIENCE_S)
    reporter.close()
    assert slow.told == [float(at_s) for at_s in range(10)]


def test_what_went_wrong_comes_back_with_the_next_tick_of_that_service_alone() -> None:
    slow = Slow()
    slow.may_go_on.set()
    reporter = BackgroundReporter(slow, "oncall")
    reporter.report(tick(1.0))
    reporter.report(tick(9.0, "code"))
    assert slow.done.wait(PATIENCE_S)

    (said,) = reporter.report(tick(2.0))

    assert said.message == "refused"
    assert reporter.report(tick(2.0, "docs")) == []
    reporter.close()


def test_one_that_falls_behind_says_that_a_tick_was_dropped() -> None:
    slow = Slow()
    reporter = BackgroundReporter(slow, "oncall", most_waiting=1)
    reporter.report(tick(1.0))
    assert slow.begun.wait(PATIENCE_S)
    reporter.report(tick(2.0))

    (said,) = reporter.report(tick(3.0))

    assert "oncall is too slow" in said.message
    slow.may_go_on.set()
    reporter.close()
    assert 3.0 not in slow.told


def test_a_defect_does_not_end_the_telling() -> None:
    slow = Slow()
    slow.may_go_on.set()
    slow.error = ValueError("boom")
    reporter = BackgroundReporter(slow, "oncall")

    reporter.report(tick(1.0))
    reporter.report(tick(9.0))

    assert slow.done.wait(PATIENCE_S)
    reporter.close()


def test_receivers_that_hang_are_closed_together_within_the_patience_of_one() -> None:
    receivers = [Slow() for _ in range(10)]
    reporters = [BackgroundReporter(slow, "oncall") for slow in receivers]
    for reporter, slow in zip(reporters, receivers, strict=True):
        reporter.report(tick(1.0))
        assert slow.begun.wait(PATIENCE_S)
    began_s = time.monotonic()

    close_together(reporters, patience_s=0.2)

    assert time.monotonic() - began_s < 1.0  # one after the other would take 2
    for slow in receivers:
        slow.may_go_on.set()
