"""What an expression can be: a scalar is a plain float, an instant vector and a range vector are these."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from autoscaler.sources.promql.errors import EvaluationError
from autoscaler.sources.promql.labels import Labels, without_name


@dataclass(frozen=True, slots=True)
class Vector:
    """An instant vector: one value a label set. `values` has the shape (len(labels),)."""

    labels: Sequence[Labels]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.labels)

    def where(self, mask: NDArray[np.bool_]) -> Vector:
        """The elements that the mask selects."""
        if mask.all():
            return self
        return Vector(list(compress(self.labels, mask)), self.values[mask])

    def unnamed(self) -> Vector:
        """The elements without the metric's name.

        Raises:
            EvaluationError: Two elements differ in nothing but the name.
        """
        return distinct(Vector([without_name(labels) for labels in self.labels], self.values))


@dataclass(frozen=True, slots=True)
class RangeVector:
    """Samples of several series in one window, series after series; a series without samples is not in it.

    Attributes:
        labels: One a series, with the metric's name.
        counts: Samples of each series, all at least 1.
        times_ms: Of all samples, shape (sum of counts,).
        values: Of all samples.
        from_ms: Start of the window, included.
        to_ms: End of the window, included.
    """

    labels: Sequence[Labels]
    counts: NDArray[np.int64]
    times_ms: NDArray[np.int64]
    values: NDArray[np.float64]
    from_ms: int
    to_ms: int

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def ends(self) -> NDArray[np.int64]:
        """Index behind the last sample of each series."""
        return np.cumsum(self.counts)

    @property
    def starts(self) -> NDArray[np.int64]:
        """Index of the first sample of each series."""
        return self.ends - self.counts


EMPTY = Vector((), np.empty(0))


def distinct(vector: Vector) -> Vector:
    """The vector itself.

    Raises:
        EvaluationError: Two elements have the same labels.
    """
    if len(set(vector.labels)) < len(vector):
        raise EvaluationError("vector cannot contain metrics with the same labelset")
    return vector


def no_quantile(q: float) -> float:
    """What a quantile outside of 0 to 1 is to Prometheus."""
    if math.isnan(q):
        return math.nan
    return -math.inf if q < 0 else math.inf
