from __future__ import annotations

from collections.abc import Iterator
from threading import Event

import pytest

from autoscaler.daemon.clock import SteadyClock
from autoscaler.daemon.ledger import Ledger
from autoscaler.daemon.loop import Loop, Workload
from autoscaler.daemon.service import ServiceRunner
from autoscaler.daemon.surroundings import AssemblyError
from tests.daemon.builders import START_S, Bench, capturing, policy
from tests.support.prometheus import wait_until

WAIT_S = 10.0


class Stand:
    """A loop on a clock whose wall time the test can set."""

    def __init__(self) -> None:
        self.wall_s = START_S
        self.log, self.lines = capturing()
        self.ledger = Ledger()
        self.clock = SteadyClock(wall=lambda: self.wall_s, monotonic=lambda: 0.0)
        self.loop = Loop(self.clock, self.ledger, self.log)

    def events(self) -> list[object]:
        return [line["event"] for line in self.lines]


class Service:
    """A workload whose bench is in reach, and that tells when it has ticked."""

    def __init__(self, name: str = "chat", version: int = 1, interval_s: float = 3600.0) -> None:
        self.bench = Bench(policy(service=name, interval_s=interval_s))
        self.ticked = Event()
        self.built = 0
        self.bench.source.on_read = self.ticked.set
        self.workload = Workload(self.bench.policy, f"{name} v{version}", self._build)

    def _build(self) -> ServiceRunner:
        self.built += 1
        return self.bench.runner


@pytest.fixture
def stand() -> Iterator[Stand]:
    made = Stand()
    made.loop.start()
    yield made
    made.loop.close(WAIT_S)


def test_every_service_ticks_at_once(stand: Stand) -> None:
    chat, code = Service("chat"), Service("code")

    stand.loop.apply({"chat": chat.workload, "code": code.workload})

    assert chat.ticked.wait(WAIT_S)
    assert code.ticked.wait(WAIT_S)


def test_a_service_whose_policy_is_gone_is_said_to_be_left_as_it_is(stand: Stand) -> None:
    chat = Service()
    stand.loop.apply({"chat": chat.workload})

    stand.loop.apply({})

    (line,) = [line for line in stand.lines if line["event"] == "service removed"]
    assert "its pools stay as they are" in str(line["message"])


def test_an_unchanged_document_leaves_the_runner_alone(stand: Stand) -> None:
    first, again = Service(), Service()
    stand.loop.apply({"chat": first.workload})

    stand.loop.apply({"chat": again.workload})

    assert again.built == 0
    assert stand.events() == ["service added"]


def test_a_changed_document_exchanges_the_runner_and_keeps_the_counts(stand: Stand) -> None:
    old, new = Service(), Service(version=2, interval_s=0.05)
    stand.loop.apply({"chat": old.workload})
    assert old.ticked.wait(WAIT_S)

    stand.loop.apply({"chat": new.workload})

    assert new.ticked.wait(WAIT_S)
    assert old.bench.source.closed
    assert stand.ledger.accounts()["chat"].interval_s == 0.05


def test_a_service_without_policy_is_let_go(stand: Stand) -> None:
    chat = Service()
    stand.loop.apply({"chat": chat.workload})
    assert chat.ticked.wait(WAIT_S)

    stand.loop.apply({})

    assert stand.ledger.accounts() == {}
    assert stand.loop.close(WAIT_S) == []
    assert chat.bench.source.closed


def test_a_service_that_cannot_be_put_to_work_is_named_and_goes_on_as_it_was(stand: Stand) -> None:
    def refuse() -> ServiceRunner:
        raise AssemblyError("chat: no Prometheus is named")

    chat = Service()
    stand.loop.apply({"chat": chat.workload})
    assert chat.ticked.wait(WAIT_S)

    broken = Workload(chat.bench.policy, "chat v2", refuse)
    assert stand.loop.apply({"chat": broken}) == {"chat": "chat: no Prometheus is named"}
    assert stand.loop.apply({"chat": broken}) != {}
    assert not chat.bench.source.closed


def hanging(service: Service) -> tuple[Event, Event]:
    """Make the reads of a service hang: set once one has begun, and to be set to let them end."""
    began, may_end = Event(), Event()

    def hang() -> None:
        began.set()
        may_end.wait(WAIT_S)

    service.bench.source.on_read = hang
    return began, may_end


def test_a_service_that_comes_back_while_its_last_tick_goes_on_waits_for_it(stand: Stand) -> None:
    """Two runners of one service would write, and keep its memory, at the same time."""
    first, again = Service(), Service()
    began, may_end = hanging(first)
    stand.loop.apply({"chat": first.workload})
    assert began.wait(WAIT_S)
    stand.loop.apply({})

    failures = stand.loop.apply({"chat": again.workload})
    assert "has not ended yet" in failures["chat"]
    assert again.built == 0

    may_end.set()
    wait_until(lambda: stand.loop.apply({"chat": again.workload}) == {}, "the last tick to end")
    assert again.ticked.wait(WAIT_S)


def test_the_end_waits_for_the_last_tick_of_a_service_that_was_removed(stand: Stand) -> None:
    chat = Service()
    began, may_end = hanging(chat)
    stand.loop.apply({"chat": chat.workload})
    assert began.wait(WAIT_S)
    stand.loop.apply({})

    assert stand.loop.close(0.0) == ["chat"]
    may_end.set()


def test_a_defect_met_while_one_service_is_put_to_work_keeps_no_other_from_it(stand: Stand) -> None:
    def fail() -> ServiceRunner:
        raise RuntimeError("can't start new thread")

    chat = Service("chat")
    workloads = {"broken": Workload(policy(service="broken"), "broken v1", fail), "chat": chat.workload}

    failures = stand.loop.apply(workloads)

    assert failures.keys() == {"broken"}
    assert "can't start new thread" in failures["broken"]
    assert chat.ticked.wait(WAIT_S)


def test_closing_lets_go_of_everything(stand: Stand) -> None:
    chat = Service()
    stand.loop.apply({"chat": chat.workload})
    assert chat.ticked.wait(WAIT_S)

    assert stand.loop.close(WAIT_S) == []

    assert chat.bench.source.closed
    assert chat.bench.target.closed


def test_a_tick_that_does_not_end_is_named_and_not_waited_for(stand: Stand) -> None:
    chat, go_on = Service(), Event()

    def hang() -> None:
        chat.ticked.set()
        go_on.wait(WAIT_S)

    chat.bench.source.on_read = hang
    stand.loop.apply({"chat": chat.workload})
    assert chat.ticked.wait(WAIT_S)

    assert stand.loop.close(0.0) == ["chat"]
    go_on.set()


def test_policies_are_reloaded_until_told_to_stop(stand: Stand) -> None:
    stop = Event()
    stand.loop.run(stop, stop.set, reload_s=0.0)

    assert stop.is_set()


def test_a_defect_in_following_the_policies_is_said_once_and_does_not_end_the_daemon(stand: Stand) -> None:
    stop, failures = Event(), iter([ZeroDivisionError("division by zero")] * 2)

    def reload() -> None:
        error = next(failures, None)
        if error is not None:
            raise error
        stop.set()

    stand.loop.run(stop, reload, reload_s=0.0)

    troubles = [line for line in stand.lines if line["event"] == "trouble"]
    assert [(line["dependency"], line["subject"]) for line in troubles] == [("internal", "policies")]
    assert isinstance(troubles[0]["exc_info"], ZeroDivisionError)
    assert stand.events()[-1] == "recovered"


@pytest.mark.parametrize("by_s", [3600.0, -3600.0])
def test_a_wall_clock_that_is_set_is_said_once(stand: Stand, by_s: float) -> None:
    stop = Event()

    stand.wall_s += by_s
    for _ in range(2):
        stop.clear()
        stand.loop.run(stop, stop.set, reload_s=0.0)

    (line,) = [line for line in stand.lines if line["event"] == "wall clock was set"]
    assert line["by_s"] == by_s
