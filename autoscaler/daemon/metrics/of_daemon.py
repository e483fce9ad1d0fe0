"""What the metrics say of what the settings file names: shared budgets and webhooks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from autoscaler.daemon.background import BackgroundReporter
from autoscaler.daemon.metrics.samples import Sample, some
from autoscaler.daemon.shared_budget import Holding, SharedBudget
from autoscaler.daemon.webhook_reporter import Telling, WebhookReporter


@dataclass(frozen=True, slots=True)
class Notifier:
    """A webhook and the queue before it."""

    name: str
    reporter: WebhookReporter
    background: BackgroundReporter


def of_daemon(
    budgets: Iterable[SharedBudget],
    notifiers: Iterable[Notifier],
    namespace_of: Callable[[str], str] = lambda _service: "",
) -> Iterator[tuple[tuple[str, ...], Sample]]:
    """Samples, each with the names of what it is about: a budget, a budget's service with its namespace, a webhook."""
    for budget in budgets:
        for sample in _of_budget(budget):
            yield (budget.name,), sample
        for holding in budget.holdings():
            for sample in _of_holding(holding):
                yield (budget.name, namespace_of(holding.service), holding.service), sample
    for notifier in notifiers:
        for sample in _of_notifier(notifier):
            yield (notifier.name,), sample


def _of_budget(budget: SharedBudget) -> Iterator[Sample]:
    usage = budget.usage()
    yield from some("shared_budget_gpus", usage.gpus)
    yield from some("shared_budget_held_gpus", usage.held_gpus)
    yield from some("shared_budget_waiting_gpus", usage.waiting_gpus)


def _of_holding(holding: Holding) -> Iterator[Sample]:
    yield from some("shared_budget_service_held_gpus", holding.held_gpus)
    yield from some("shared_budget_service_wanted_gpus", holding.wanted_gpus)
    yield from some("shared_budget_service_granted_gpus", holding.granted_gpus)
    yield from some("shared_budget_service_priority", holding.priority)


def _of_notifier(notifier: Notifier) -> Iterator[Sample]:
    for result, count in notifier.reporter.counts.items():
        also = notifier.background.dropped if result is Telling.DROPPED else 0
        yield from some("webhook_messages", count + also, result)
