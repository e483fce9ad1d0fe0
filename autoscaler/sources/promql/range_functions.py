"""Functions of a range vector: one value for each series, from its samples in the window.

Every formula is that of `promql/functions.go` in Prometheus 2.42, computed for all series at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from autoscaler.sources.promql.values import EMPTY, RangeVector, Vector

RangeFunction: TypeAlias = Callable[[RangeVector], Vector]
Floats: TypeAlias = NDArray[np.float64]

_EXTRAPOLATION_LIMIT_RATIO = 1.1
"""A gap at the window's edge of less than this many average intervals counts as covered by the series."""


def call(name: str, samples: RangeVector) -> Vector:
    """Apply the range function of this name.

    Raises:
        EvaluationError: Two results differ in nothing but the metric's name.
    """
    if not len(samples):
        return EMPTY
    with np.errstate(all="ignore"):
        return RANGE_FUNCTIONS[name](samples)


def _rate(samples: RangeVector) -> Vector:
    window_s = (samples.to_ms - samples.from_ms) / 1000
    return _extrapolated_counter(samples, window_s)


def _increase(samples: RangeVector) -> Vector:
    return _extrapolated_counter(samples, 1.0)


def _delta(samples: RangeVector) -> Vector:
    growth = samples.values[samples.ends - 1] - samples.values[samples.starts]
    return _extrapolated(samples, growth, np.full(len(samples), np.inf), 1.0)


def _irate(samples: RangeVector) -> Vector:
    last = samples.ends - 1
    previous = np.maximum(last - 1, 0)
    value, before = samples.values[last], samples.values[previous]
    growth = np.where(value < before, value, value - before)
    elapsed_s = (samples.times_ms[last] - samples.times_ms[previous]) / 1000
    return Vector(samples.labels, growth / elapsed_s).where(samples.counts > 1).unnamed()


def _deriv(samples: RangeVector) -> Vector:
    """Slope of the least-squares line; a constant series has exactly 0."""
    starts, n = samples.starts, samples.counts
    x = (samples.times_ms - np.repeat(samples.times_ms[starts], n)) / 1000
    y = samples.values
    first = y[starts]
    sum_x, sum_y, sum_xy, sum_xx = (np.add.reduceat(term, starts) for term in (x, y, x * y, x * x))
    slope = (sum_xy - sum_x * sum_y / n) / (sum_xx - sum_x * sum_x / n)
    is_constant = np.logical_and.reduceat(y == np.repeat(first, n), starts)
    slope = np.where(is_constant, np.where(np.isinf(first), np.nan, 0.0), slope)
    return Vector(samples.labels, slope).where(n > 1).unnamed()


def _resets(samples: RangeVector) -> Vector:
    return _reduced(np.add, samples, _is_reset(samples).astype(float))


def _changes(samples: RangeVector) -> Vector:
    value, before = samples.values, _previous(samples)
    is_change = (value != before) & ~(np.isnan(value) & np.isnan(before))
    return _reduced(np.add, samples, is_change.astype(float))


def _avg_over_time(samples: RangeVector) -> Vector:
    sums = np.add.reduceat(samples.values, samples.starts)
    return Vector(samples.labels, sums / samples.counts).unnamed()


def _max_over_time(samples: RangeVector) -> Vector:
    return _reduced(np.fmax, samples, samples.values)


def _min_over_time(samples: RangeVector) -> Vector:
    return _reduced(np.fmin, samples, samples.values)


def _sum_over_time(samples: RangeVector) -> Vector:
    return _reduced(np.add, samples, samples.values)


def _count_over_time(samples: RangeVector) -> Vector:
    return Vector(samples.labels, samples.counts.astype(float)).unnamed()


def _last_over_time(samples: RangeVector) -> Vector:
    """The one range function that keeps the metric's name, because it acts like an offset."""
    return Vector(samples.labels, samples.values[samples.ends - 1])


RANGE_FUNCTIONS: Mapping[str, RangeFunction] = MappingProxyType(
    {
        "avg_over_time": _avg_over_time,
        "changes": _changes,
        "count_over_time": _count_over_time,
        "delta": _delta,
        "deriv": _deriv,
        "increase": _increase,
        "irate": _irate,
        "last_over_time": _last_over_time,
        "max_over_time": _max_over_time,
        "min_over_time": _min_over_time,
        "rate": _rate,
        "resets": _resets,
        "sum_over_time": _sum_over_time,
    }
)


def _extrapolated_counter(samples: RangeVector, divisor_s: float) -> Vector:
    """Growth of a counter: what a reset took away is added back, and the series started at zero or later."""
    starts, last = samples.starts, samples.ends - 1
    first = samples.values[starts]
    lost = np.add.reduceat(np.where(_is_reset(samples), _previous(samples), 0.0), starts)
    growth = samples.values[last] - first + lost
    sampled_s = (samples.times_ms[last] - samples.times_ms[starts]) / 1000
    since_zero_s = np.where((growth > 0) & (first >= 0), sampled_s * (first / growth), np.inf)
    return _extrapolated(samples, growth, since_zero_s, divisor_s)


def _extrapolated(samples: RangeVector, growth: Floats, since_zero_s: Floats, divisor_s: float) -> Vector:
    """Stretch the growth between the first and last sample to the edges of the window, `extrapolatedRate`.

    Args:
        samples: Series with less than two samples have no result.
        growth: Of each series, shape (series,).
        since_zero_s: How long before its first sample the series was zero if it grew steadily; it is not stretched
            beyond that.
        divisor_s: Seconds to divide by for a rate, else 1.
    """
    first_ms, last_ms = samples.times_ms[samples.starts], samples.times_ms[samples.ends - 1]
    sampled_s = (last_ms - first_ms) / 1000
    average_s = sampled_s / (samples.counts - 1)
    head_s = np.minimum((first_ms - samples.from_ms) / 1000, since_zero_s)
    tail_s = (samples.to_ms - last_ms) / 1000
    limit_s = average_s * _EXTRAPOLATION_LIMIT_RATIO
    covered_s = sampled_s + np.where(head_s < limit_s, head_s, average_s / 2)
    covered_s += np.where(tail_s < limit_s, tail_s, average_s / 2)
    result = growth * (covered_s / sampled_s / divisor_s)
    return Vector(samples.labels, result).where(samples.counts > 1).unnamed()


def _previous(samples: RangeVector) -> Floats:
    """Of each sample the value before it in the series; of a first sample its own."""
    before = np.roll(samples.values, 1)
    before[samples.starts] = samples.values[samples.starts]
    return before


def _is_reset(samples: RangeVector) -> NDArray[np.bool_]:
    return samples.values < _previous(samples)


def _reduced(ufunc: np.ufunc, samples: RangeVector, terms: Floats) -> Vector:
    return Vector(samples.labels, ufunc.reduceat(terms, samples.starts)).unnamed()
