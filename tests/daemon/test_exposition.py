from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from autoscaler import __version__
from autoscaler.core.policy import Mode
from autoscaler.core.signals import Scope, Signal, SignalState
from autoscaler.daemon.exposition import registry
from autoscaler.daemon.ledger import Ledger
from tests.daemon.builders import Bench, policy, role_policy, steady_signals


class Stand:
    def __init__(self) -> None:
        self.bench = Bench(policy(Mode.RECOMMEND, prefill=role_policy(3)))
        self.ledger = Ledger()
        self.ledger.open(self.bench.policy, self.bench.now_s)
        self.registry: CollectorRegistry = registry(self.ledger)

    def tick(self, took_s: float = 0.3) -> None:
        done = self.bench.tick()
        self.ledger.book(done, self.bench.now_s, self.bench.now_s + took_s)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, {"service": "chat", **labels})


def openmetrics(served: CollectorRegistry) -> str:
    encode, _ = choose_encoder("application/openmetrics-text; version=1.0.0")
    return encode(served).decode()


@pytest.fixture
def stand() -> Stand:
    return Stand()


def test_replica_counts_are_those_of_the_latest_decision(stand: Stand) -> None:
    stand.tick()

    assert stand.value("pd_autoscaler_desired_replicas", role="prefill") == 3
    assert stand.value("pd_autoscaler_current_replicas", role="prefill") == 2
    assert stand.value("pd_autoscaler_ready_replicas", role="prefill") == 2


def test_a_usable_signal_has_value_age_and_validity(stand: Stand) -> None:
    stand.tick()

    labels = {"scope": "decode", "signal": "kv_utilization_mean"}
    assert stand.value("pd_autoscaler_signal_value", **labels) == 0.8
    assert stand.value("pd_autoscaler_signal_age_seconds", **labels) == 1.0
    assert stand.value("pd_autoscaler_signal_valid", **labels) == 1.0


def test_a_stale_signal_has_age_but_no_value(stand: Stand) -> None:
    stale = Signal(0.8, "ratio", 90.0, SignalState.STALE, "newest sample is 90 s old")
    stand.bench.source.signals = {**steady_signals(), Scope.DECODE: {"kv_utilization_mean": stale}}
    stand.tick()

    labels = {"scope": "decode", "signal": "kv_utilization_mean"}
    assert stand.value("pd_autoscaler_signal_value", **labels) is None
    assert stand.value("pd_autoscaler_signal_age_seconds", **labels) == 90.0
    assert stand.value("pd_autoscaler_signal_valid", **labels) == 0.0


def test_decisions_are_counted_by_reason(stand: Stand) -> None:
    stand.tick()
    stand.tick()

    assert stand.value("pd_autoscaler_decisions_total", role="prefill", reason="at_min") == 2


def test_errors_are_counted_by_what_failed(stand: Stand) -> None:
    stand.bench.source.signals = {}
    stand.tick()

    assert stand.value("pd_autoscaler_errors_total", dependency="signals") == 2  # one a role


def test_tick_durations_make_a_cumulative_histogram(stand: Stand) -> None:
    stand.tick(took_s=0.3)
    stand.tick(took_s=100.0)

    name = "pd_autoscaler_tick_duration_seconds"
    assert stand.value(f"{name}_bucket", le="0.25") == 0
    assert stand.value(f"{name}_bucket", le="0.5") == 1
    assert stand.value(f"{name}_bucket", le="30.0") == 1
    assert stand.value(f"{name}_bucket", le="+Inf") == 2
    assert stand.value(f"{name}_count") == 2
    assert stand.value(f"{name}_sum") == pytest.approx(100.3)


def test_a_service_that_is_gone_leaves_no_series(stand: Stand) -> None:
    stand.tick()
    stand.ledger.forget("chat")

    assert "chat" not in openmetrics(stand.registry)


def test_the_version_is_told_without_any_service() -> None:
    assert registry(Ledger()).get_sample_value("pd_autoscaler_info", {"version": __version__}) == 1.0


def test_a_failed_tick_keeps_the_counters_and_drops_the_gauges(stand: Stand) -> None:
    stand.tick()
    failed = replace(stand.bench.tick(), decision=None)
    stand.ledger.book(failed, stand.bench.now_s, stand.bench.now_s)

    assert stand.value("pd_autoscaler_desired_replicas", role="prefill") is None
    assert stand.value("pd_autoscaler_decisions_total", role="prefill", reason="at_min") == 1


def test_names_hold_under_the_strict_openmetrics_parser(stand: Stand) -> None:
    stand.tick()

    families = text_string_to_metric_families(openmetrics(stand.registry))  # type: ignore[no-untyped-call]  # theirs

    assert {family.name for family in families} == {
        "pd_autoscaler",
        "pd_autoscaler_current_replicas",
        "pd_autoscaler_decisions",
        "pd_autoscaler_desired_replicas",
        "pd_autoscaler_errors",
        "pd_autoscaler_leads",
        "pd_autoscaler_ready_replicas",
        "pd_autoscaler_signal_age_seconds",
        "pd_autoscaler_signal_valid",
        "pd_autoscaler_signal_value",
        "pd_autoscaler_tick_duration_seconds",
    }


def test_who_writes_is_shown(stand: Stand) -> None:
    stand.tick()
    assert stand.value("pd_autoscaler_leads") == 1.0

    stand.bench.may_write = lambda: False
    stand.tick()
    assert stand.value("pd_autoscaler_leads") == 0.0
