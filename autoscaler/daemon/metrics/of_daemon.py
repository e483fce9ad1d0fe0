"""What the metrics say of what the settings file names: shared budgets and webhooks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from autoscaler.daemon.background import BackgroundReporter
from autoscaler.daemon.metrics.samples import Sample, some
from autoscaler.daemon.shared_budget import SharedBudget
from autoscaler.daemon.webhook_reporter import Telling, WebhookReporter


@dataclass(frozen=True, slots=True)
class Notifier:
    """A webhook and the queue before it."""

    name: str
    reporter: WebhookReporter
    background: BackgroundReporter


def of_daemon(budgets: Iterable[SharedBudget], notifiers: Iterable[Notifier]) -> Iterator[tuple[str, Sample]]:
    """Samples, each with the name of the budget or the webhook that it is about."""
    for budget in budgets:
        for sample in _of_budget(budget):
            yield budget.name, sample
    for notifier in notifiers:
        for sample in _of_notifier(notifier):
            yield notifier.name, sample


def _of_budget(budget: SharedBudget) -> Iterator[Sample]:
    usage = budget.usage()
    yield from some("shared_budget_gpus", usage.gpus)
    yield from some("shared_budget_held_gpus", usage.held_gpus)
    yield from some("shared_budget_waiting_gpus", usage.waiting_gpus)


def _of_notifier(notifier: Notifier) -> Iterator[Sample]:
    for result, count in notifier.reporter.counts.items():
        also = notifier.background.dropped if result is Telling.DROPPED else 0
        yield from some("webhook_messages", count + also, result)
