from __future__ import annotations

from dataclasses import replace

from autoscaler.core.decision import Evidence
from autoscaler.core.policy import Mode, Role
from autoscaler.daemon.ledger import TICK_BUCKETS_S, Ledger
from autoscaler.daemon.tick import Dependency, Tick, Trouble
from tests.daemon.builders import policy
from tests.report.builders import decision, steady


def ledger() -> Ledger:
    fresh = Ledger()
    fresh.open(policy(), 100.0)
    return fresh


def tick(service: str = "chat") -> Tick:
    return Tick(service, 100.0, None, troubles=(Trouble(Dependency.SIGNALS, "prefill", "absent"),))


def test_ticks_add_up() -> None:
    books = ledger()

    books.book(tick(), 100.0, 100.2)
    books.book(tick(), 115.0, 116.0)

    account = books.accounts()["chat"]
    assert account.errors == {"signals": 2}
    assert sum(account.ticks.counts) == 2
    assert account.finished_s == 116.0
    assert abs(account.ticks.total - 1.2) < 1e-9


def test_a_tick_longer_than_any_bucket_is_counted_beyond() -> None:
    books = ledger()

    books.book(tick(), 0.0, TICK_BUCKETS_S[-1] + 1)

    assert books.accounts()["chat"].ticks.counts[-1] == 1


def test_a_changed_policy_keeps_its_counts() -> None:
    books = ledger()
    books.book(tick(), 100.0, 100.1)

    books.open(policy(Mode.RECOMMEND, interval_s=5.0), 200.0)

    assert books.accounts()["chat"].errors == {"signals": 1}
    assert books.accounts()["chat"].interval_s == 5.0


def test_a_tick_of_a_service_that_is_gone_brings_it_not_back() -> None:
    books = ledger()
    books.forget("chat")

    books.book(tick(), 100.0, 100.1)

    assert books.accounts() == {}


def test_a_reader_sees_no_later_change() -> None:
    books = ledger()
    before = books.accounts()["chat"]

    books.book(tick(), 100.0, 100.1)

    assert before.latest is None
    assert before.errors == {}


def test_a_pool_that_could_not_be_read_once_keeps_what_was_forecast_for_it() -> None:
    books = ledger()
    looked_ahead = Evidence(60.0, "prior", 0.5, demand=3.0, forecast=4.0, horizon_s=30.0)
    pools = {"prefill": steady(), "decode": replace(steady(), evidence=looked_ahead)}
    for at_s in (100.0, 115.0, 130.0):
        read = {name: pool for name, pool in pools.items() if name == "prefill" or at_s != 115.0}
        made = replace(decision(), at_s=at_s, roles={Role(name): pool for name, pool in read.items()})
        books.book(Tick("chat", at_s, made), at_s, at_s)

    assert books.accounts()["chat"].hindsight[Role.DECODE].due == 4.0
