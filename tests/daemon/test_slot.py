from __future__ import annotations

from threading import Event, Thread

from autoscaler.daemon.ledger import Ledger
from autoscaler.daemon.slot import Slot
from autoscaler.daemon.tick import Tick
from tests.daemon.builders import START_S, Bench, HandClock, policy

WAIT_S = 10.0


class Stand:
    """A slot with a bench in it."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.clock = HandClock()
        self.ledger = Ledger()
        self.ledger.open(self.bench.policy, START_S)
        self.told: list[Tick] = []
        self.slot = Slot(self.bench.runner, self.clock, self.ledger, self.bench.log, self.told.append)


def test_a_tick_is_booked_with_its_duration() -> None:
    stand = Stand()

    def take_a_while() -> None:
        stand.clock.at_s += 2.0

    stand.bench.source.on_read = take_a_while
    stand.slot.tick()

    account = stand.ledger.accounts()["chat"]
    assert stand.told == [account.latest]
    assert account.ticks.total == 2.0
    assert account.finished_s == START_S + 2.0


def test_a_tick_longer_than_its_interval_is_reported_once() -> None:
    stand = Stand()

    def take_too_long() -> None:
        stand.clock.at_s += 20.0

    stand.bench.source.on_read = take_too_long
    stand.slot.tick()
    stand.slot.tick()

    (line,) = [line for line in stand.bench.lines if line["event"] == "trouble"]
    assert "took 20.0 s of an interval of 15 s" in str(line["message"])


def test_a_successor_takes_over_with_the_next_tick_and_the_old_runner_lets_go() -> None:
    stand, successor = Stand(), Bench(policy(interval_s=30.0))
    reads: list[str] = []
    stand.bench.source.on_read = lambda: reads.append("old")
    successor.source.on_read = lambda: reads.append("new")
    stand.slot.tick()

    stand.slot.hand_over(successor.runner)
    assert not stand.bench.source.closed
    stand.slot.tick()

    assert reads == ["old", "new"]
    assert stand.bench.source.closed
    assert not successor.source.closed


def test_a_successor_that_never_ran_is_let_go_when_another_comes() -> None:
    stand, first, second = Stand(), Bench(), Bench()
    stand.slot.hand_over(first.runner)

    stand.slot.hand_over(second.runner)
    stand.slot.tick()

    assert first.source.closed
    assert not second.source.closed


def test_a_closed_slot_ticks_no_more() -> None:
    stand = Stand()

    assert stand.slot.close(0.0)
    stand.slot.tick()

    assert stand.bench.source.closed
    assert stand.ledger.accounts()["chat"].latest is None


def test_closing_waits_for_the_tick_under_way_no_longer_than_it_may() -> None:
    stand = Stand()
    reading, go_on = Event(), Event()

    def hang() -> None:
        reading.set()
        go_on.wait(WAIT_S)

    stand.bench.source.on_read = hang
    tick = Thread(target=stand.slot.tick)
    tick.start()
    assert reading.wait(WAIT_S)

    assert not stand.slot.close(0.01)
    assert not stand.bench.source.closed

    go_on.set()
    tick.join(WAIT_S)
    assert stand.bench.source.closed
    assert stand.slot.close(0.0)
