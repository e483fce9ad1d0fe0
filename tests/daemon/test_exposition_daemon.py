"""What the metrics say beside services: of shared budgets and of webhooks."""

from __future__ import annotations

from dataclasses import replace
from threading import Event

from autoscaler.core.policy import Mode, Role
from autoscaler.daemon.background import BackgroundReporter
from autoscaler.daemon.ledger import Ledger
from autoscaler.daemon.metrics.daemon_table import DAEMON_TABLE
from autoscaler.daemon.metrics.of_daemon import Notifier, of_daemon
from autoscaler.daemon.metrics.page import MetricsPage
from autoscaler.daemon.metrics.table import TABLE
from autoscaler.daemon.tick import Dependency, Tick, Trouble
from tests.daemon.builders import START_S, Bench, policy, role_policy
from tests.daemon.test_shared_budget import Services, pool
from tests.daemon.test_webhook_reporter import Stand
from tests.support import metrics


class Blocked:
    """Hears of nothing."""

    def __init__(self) -> None:
        self.begun, self.may_end = Event(), Event()

    def report(self, tick: Tick) -> list[Trouble]:  # noqa: ARG002 - whatever it is
        self.begun.set()
        self.may_end.wait(5.0)
        return []


def page_of(services: Services, *notifiers: Notifier) -> MetricsPage:
    ledger = Ledger()
    for bench in services.benches.values():
        ledger.open(bench.policy, START_S, "serving")
    return MetricsPage(ledger, of_daemon=lambda: of_daemon([services.budget], notifiers, ledger.namespace_of))


def holding(page: MetricsPage, service: str) -> tuple[float | None, ...]:
    """What a service holds, wants and may hold of the budget, and its priority in it."""
    labels = {"budget": "h100", "namespace": "serving", "service": service}
    names = ("held_gpus", "wanted_gpus", "granted_gpus", "priority")
    return tuple(metrics.series_value(page, f"pd_autoscaler_shared_budget_service_{name}", labels) for name in names)


def gpus(page: MetricsPage) -> tuple[float | None, ...]:
    names = [f"pd_autoscaler_{name}" for name, spec in DAEMON_TABLE.items() if spec.subject == ("budget",)]
    return tuple(metrics.series_value(page, name, {"budget": "h100"}) for name in names)


def messages(page: MetricsPage) -> dict[str, float | None]:
    name = "pd_autoscaler_webhook_messages_total"
    results = ("sent", "failed", "dropped")
    return {one: metrics.series_value(page, name, {"webhook": "oncall", "result": one}) for one in results}


def test_a_budget_shows_what_it_is_what_is_held_and_what_waits() -> None:
    services = Services(12.0, {}, chat=pool(), code=pool())
    page = page_of(services)
    services.tick()
    assert gpus(page) == (12.0, 4.0, 0.0)

    services.want(chat=10)
    services.tick("chat")
    assert gpus(page) == (12.0, 12.0, 1.0)

    assert services.decode("chat") + services.decode("code") + 2 == 12


def test_who_holds_what_of_a_budget_and_who_is_cut_is_shown() -> None:
    services = Services(12.0, {"chat": 0, "code": 5}, chat=pool(), code=pool())
    page = page_of(services)
    services.tick()
    assert holding(page, "chat") == (2.0, 2.0, 2.0, 0.0)

    services.want(chat=10)
    services.tick("chat")
    services.want(code=10)
    services.tick("code", "chat")

    assert holding(page, "code")[1:] == (11.0, 2.0, 5.0)  # chat has not let go yet
    held, wanted, granted, priority = holding(page, "chat")
    assert (held, wanted, priority) == (10.0, 11.0, 0.0)
    assert granted == 2.0


def test_a_service_that_only_recommends_is_given_no_share() -> None:
    services = Services(12.0, {}, chat=pool())
    bench = services.benches["chat"]
    bench.policy = replace(bench.policy, mode=Mode.RECOMMEND)
    bench.restart()
    services.tick()

    assert holding(page_of(services), "chat") == (2.0, 2.0, None, 0.0)


def test_a_replica_that_leaves_is_still_held() -> None:
    services = Services(12.0, {}, chat=pool(), code=pool())
    services.tick()
    services.benches["chat"].target.counts[Role.DECODE] = 3
    services.tick("chat")

    assert gpus(page_of(services))[1] == 6.0


def test_messages_are_counted_by_what_became_of_them() -> None:
    stand = Stand(Bench(policy(prefill=role_policy(3))))
    background = BackgroundReporter(stand.reporter, "oncall")
    page = page_of(Services(1.0, {}), Notifier("oncall", stand.reporter, background))
    background.close()
    assert messages(page) == {"sent": 0.0, "failed": 0.0, "dropped": 0.0}

    stand.tick()
    stand.broken = True
    trouble = Trouble(Dependency.SIGNALS, "decode", "absent")
    for hour in range(1, 7):  # each tells that it lasts, and that it is over
        for minute, troubles in ((0, (trouble,)), (10, (trouble,)), (20, ())):
            stand.reporter.report(Tick("chat", START_S + hour * 3600.0 + minute * 60.0, None, troubles=troubles))

    assert messages(page) == {"sent": 1.0, "failed": 17.0, "dropped": 2.0}


def test_ticks_that_a_slow_receiver_had_no_room_for_are_dropped_messages() -> None:
    blocked, reporter = Blocked(), Stand(Bench()).reporter
    background = BackgroundReporter(blocked, "oncall", most_waiting=1)
    background.report(Tick("chat", 1.0, None))
    assert blocked.begun.wait(5.0)
    background.report(Tick("chat", 2.0, None))
    background.report(Tick("chat", 3.0, None))

    assert messages(page_of(Services(1.0, {}), Notifier("oncall", reporter, background)))["dropped"] == 1.0
    blocked.may_end.set()
    background.close()


def test_every_metric_of_the_daemon_s_table_is_exported_and_every_label_is_in_it() -> None:
    stand = Stand(Bench())
    background = BackgroundReporter(stand.reporter, "oncall")
    services = Services(12.0, {}, chat=pool())
    services.tick()
    page = page_of(services, Notifier("oncall", stand.reporter, background))
    background.close()

    own = {"pd_autoscaler", *(f"pd_autoscaler_{name}" for name in TABLE)}
    found = {family.name: family for family in metrics.families(page) if family.samples}

    assert found.keys() - own == {*(f"pd_autoscaler_{name}" for name in DAEMON_TABLE)}
    for name, spec in DAEMON_TABLE.items():
        assert all(tuple(one.labels) == spec.label_names for one in found[f"pd_autoscaler_{name}"].samples)
        assert found[f"pd_autoscaler_{name}"].unit == spec.unit
