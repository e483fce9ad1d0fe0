"""What is said of one metric: name, type, unit, meaning, purpose, labels, and how many series it can have."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import prod

from autoscaler.daemon.metrics import labels
from autoscaler.daemon.metrics.labels import Dimension

PREFIX = "pd_autoscaler"
SERVICE_LABELS = ("namespace", "service")
"""Labels of every series that is about a service."""


class Kind(StrEnum):
    """Type of a metric, as in the exposition."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Spec:
    """One metric.

    Attributes:
        name: Without the prefix, and without the `_total` of a counter.
        kind: Its type.
        unit: The end of its name, as OpenMetrics wants it; empty where it counts things or states.
        help: What it says.
        why: What it is good for.
        dimensions: Its labels beside those of its subject.
        buckets: Upper bounds of a histogram, without infinity.
        subject: Labels that say what it is about.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    why: str
    dimensions: tuple[Dimension, ...] = ()
    buckets: tuple[float, ...] = ()
    subject: tuple[str, ...] = SERVICE_LABELS

    @property
    def series_name(self) -> str:
        """What to write in a query; a histogram's series add `_bucket`, `_sum` and `_count` to it."""
        return f"{PREFIX}_{self.name}_total" if self.kind is Kind.COUNTER else f"{PREFIX}_{self.name}"

    @property
    def label_names(self) -> tuple[str, ...]:
        """All its labels, in order."""
        return (*self.subject, *(name for dimension in self.dimensions for name in dimension.names))

    @property
    def per_role(self) -> bool:
        """Whether each pool has its own."""
        return labels.ROLE in self.dimensions

    def most_series(self, roles: int) -> int:
        """Series that one service with that many pools can have of it."""
        sizes = (roles if dimension is labels.ROLE else len(dimension.values) for dimension in self.dimensions)
        each = len(self.buckets) + 3 if self.kind is Kind.HISTOGRAM else 1  # +Inf, sum and count
        return prod(sizes) * each


def gauge(
    name: str, unit: str, meaning: str, why: str, *dimensions: Dimension, subject: tuple[str, ...] = SERVICE_LABELS
) -> Spec:
    """A number that goes up and down."""
    return Spec(name, Kind.GAUGE, unit, meaning, why, dimensions, subject=subject)


def counter(
    name: str, unit: str, meaning: str, why: str, *dimensions: Dimension, subject: tuple[str, ...] = SERVICE_LABELS
) -> Spec:
    """A number that only grows."""
    return Spec(name, Kind.COUNTER, unit, meaning, why, dimensions, subject=subject)


def histogram(name: str, unit: str, meaning: str, why: str, buckets: tuple[float, ...], *dimensions: Dimension) -> Spec:
    """How often a quantity was how large."""
    return Spec(name, Kind.HISTOGRAM, unit, meaning, why, dimensions, buckets)
