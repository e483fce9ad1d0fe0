"""One number under one metric: what the readings yield, before anyone renders it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from autoscaler.daemon.ledger import Histogram
from autoscaler.daemon.metrics.labels import Dimension


@dataclass(frozen=True, slots=True)
class Sample:
    """A value of one service.

    Attributes:
        name: Name of the metric in the table.
        labels: Values of its labels beside namespace and service, in the order of the table.
        value: The number, or a histogram.
    """

    name: str
    labels: tuple[str, ...]
    value: float | Histogram


def some(name: str, value: float | None, *labels: str) -> Iterator[Sample]:
    """The value where there is one; no series is better than a made-up zero."""
    if value is not None:
        yield Sample(name, labels, float(value))


def one_hot(name: str, dimension: Dimension, holds: Iterable[str], *labels: str) -> Iterator[Sample]:
    """1 for each state that holds, 0 for all the others, so that shares of time can be averaged."""
    held = set(holds)
    for (value,) in dimension.values:
        yield Sample(name, (*labels, value), float(value in held))
