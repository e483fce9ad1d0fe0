"""What a Prometheus would read from the daemon's own metrics page."""

from __future__ import annotations

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from autoscaler.daemon.metrics.page import MetricsPage


def families(page: MetricsPage) -> list[Metric]:
    """All families, read by the strict parser of OpenMetrics."""
    return list(text_string_to_metric_families(page.text(openmetrics=True)))  # type: ignore[no-untyped-call]  # theirs


def series_value(page: MetricsPage, name: str, labels: dict[str, str]) -> float | None:
    """The value of the one series with these labels; None where there is none."""
    found = [
        sample.value
        for family in families(page)
        for sample in family.samples
        if (sample.name, sample.labels) == (name, labels)
    ]
    return found[0] if found else None
