"""The daemon's own metrics, rendered from the ledger at scrape time.

Nothing is counted or set at the place where it happens: a service that is gone leaves no series behind, and the numbers
are those of the decision record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from autoscaler import __version__
from autoscaler.core.decision import Decision
from autoscaler.daemon.ledger import BUCKETS_S, Account, Ledger
from autoscaler.daemon.tick import Tick

_LE = (*(str(bound) for bound in BUCKETS_S), "+Inf")


def registry(ledger: Ledger) -> CollectorRegistry:
    """A registry that serves the ledger and nothing else."""
    own = CollectorRegistry(auto_describe=False)
    own.register(LedgerCollector(ledger))
    return own


class LedgerCollector(Collector):
    """Renders the ledger as metric families."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def collect(self) -> Iterable[Metric]:
        """All families, labelled by service."""
        accounts = self._ledger.accounts()
        yield InfoMetricFamily("pd_autoscaler", "Build of the running daemon.", {"version": __version__})
        decisions = [account.latest.decision for account in accounts.values() if account.latest is not None]
        made = [decision for decision in decisions if decision is not None]
        yield from _replicas(made)
        yield from _signals(made)
        yield from _counts(accounts.items())
        yield _leads(account.latest for account in accounts.values() if account.latest is not None)


def _replicas(decisions: Iterable[Decision]) -> Iterator[Metric]:
    labels = ["service", "role"]
    desired = GaugeMetricFamily("pd_autoscaler_desired_replicas", "Replicas that a pool should have.", labels=labels)
    current = GaugeMetricFamily("pd_autoscaler_current_replicas", "Replicas asked for (spec.replicas).", labels=labels)
    ready = GaugeMetricFamily("pd_autoscaler_ready_replicas", "Replicas that serve.", labels=labels)
    for decision in decisions:
        for role, decided in decision.roles.items():
            where = [decision.service, role.value]
            desired.add_metric(where, decided.desired)
            current.add_metric(where, decided.current)
            ready.add_metric(where, decided.ready)
    yield from (desired, current, ready)


def _signals(decisions: Iterable[Decision]) -> Iterator[Metric]:
    labels = ["service", "scope", "signal"]
    value = GaugeMetricFamily(
        "pd_autoscaler_signal_value", "Signal in its canonical unit; no series while it may not be used.", labels=labels
    )
    age = GaugeMetricFamily(
        "pd_autoscaler_signal_age_seconds", "Age of the newest sample behind a signal.", labels=labels
    )
    valid = GaugeMetricFamily("pd_autoscaler_signal_valid", "1 when a signal may be used, else 0.", labels=labels)
    for decision in decisions:
        for scope, signals in decision.signals.items():
            for name, signal in signals.items():
                where = [decision.service, scope.value, name]
                valid.add_metric(where, float(signal.usable is not None))
                if signal.usable is not None:
                    value.add_metric(where, signal.usable)
                if signal.age_s is not None:
                    age.add_metric(where, signal.age_s)
    yield from (value, age, valid)


def _leads(ticks: Iterable[Tick]) -> Metric:
    leads = GaugeMetricFamily(
        "pd_autoscaler_leads", "1 when this daemon was the one to write, else 0.", labels=["service"]
    )
    for tick in ticks:
        leads.add_metric([tick.service], float(tick.leads))
    return leads


def _counts(accounts: Iterable[tuple[str, Account]]) -> Iterator[Metric]:
    decisions = CounterMetricFamily(
        "pd_autoscaler_decisions", "Decisions by binding reason.", labels=["service", "role", "reason"]
    )
    errors = CounterMetricFamily(
        "pd_autoscaler_errors", "Things that were wrong in a tick, by what failed.", labels=["service", "dependency"]
    )
    duration = HistogramMetricFamily(
        "pd_autoscaler_tick_duration_seconds", "Time from observing to acting.", labels=["service"]
    )
    for service, account in accounts:
        for (role, reason), count in account.decisions.items():
            decisions.add_metric([service, role, reason], count)
        for dependency, count in account.errors.items():
            errors.add_metric([service, dependency], count)
        buckets = list(zip(_LE, accumulate(account.durations), strict=True))
        duration.add_metric([service], buckets, account.duration_sum_s)
    yield from (decisions, errors, duration)
