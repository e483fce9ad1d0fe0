"""The table of metrics of what the settings file names: shared budgets and webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from autoscaler.daemon.metrics import labels
from autoscaler.daemon.metrics.spec import SERVICE_LABELS, Spec, counter, gauge

BUDGET, WEBHOOK = ("budget",), ("webhook",)
BUDGET_SERVICE = (*BUDGET, *SERVICE_LABELS)

_OF_DAEMON = (
    gauge(
        "shared_budget_gpus",
        "gpus",
        "GPUs that the services of a shared budget may hold together.",
        "what the rest of them is compared with",
        subject=BUDGET,
    ),
    gauge(
        "shared_budget_held_gpus",
        "gpus",
        "GPUs that they hold or were granted, leaving replicas included.",
        "how full the budget is",
        subject=BUDGET,
    ),
    gauge(
        "shared_budget_waiting_gpus",
        "gpus",
        "GPUs that they would hold beyond that, each as if it were alone.",
        "what the budget costs them; for long above 0, it is too small",
        subject=BUDGET,
    ),
    gauge(
        "shared_budget_service_held_gpus",
        "gpus",
        "GPUs that a service of it holds or was granted, leaving replicas included.",
        "who has the GPUs",
        subject=BUDGET_SERVICE,
    ),
    gauge(
        "shared_budget_service_wanted_gpus",
        "gpus",
        "GPUs that the service would hold if it were alone.",
        "above what it may hold: it is cut",
        subject=BUDGET_SERVICE,
    ),
    gauge(
        "shared_budget_service_granted_gpus",
        "gpus",
        "GPUs that the service may hold, as of its latest tick; no series where it only recommends.",
        "below what it holds: it gives some back; below what it wants: others come first, or have not let go yet",
        subject=BUDGET_SERVICE,
    ),
    gauge(
        "shared_budget_service_priority",
        "",
        "Priority of the service in the budget.",
        "who comes first: higher is served before lower",
        subject=BUDGET_SERVICE,
    ),
    counter(
        "webhook_messages",
        "",
        "Messages to a webhook by what became of them; lines that were dropped count singly.",
        "whether the people behind it are told",
        labels.TELLING,
        subject=WEBHOOK,
    ),
)

DAEMON_TABLE: Mapping[str, Spec] = MappingProxyType({spec.name: spec for spec in _OF_DAEMON})
"""What is said of what the settings file names."""
