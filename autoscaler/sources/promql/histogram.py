"""`histogram_quantile` of classic buckets, as in `promql/quantile.go` of Prometheus 2.42."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from itertools import accumulate

import numpy as np

from autoscaler.sources.promql.labels import BUCKET_BOUND, METRIC_NAME, Labels, drop, value_of
from autoscaler.sources.promql.values import Vector, distinct, no_quantile


def histogram_quantile(q: float, buckets: Vector) -> Vector:
    """The q-quantile of each histogram among the elements, interpolated linearly inside of a bucket.

    Args:
        q: Between 0 and 1; below it the result is -Inf, above it +Inf.
        buckets: Cumulative counts, or rates of them, with their upper bound in the label `le`. Elements without a
            number there are ignored.

    Raises:
        EvaluationError: Two histograms differ in nothing but the metric's name.
    """
    histograms: defaultdict[Labels, list[tuple[float, float]]] = defaultdict(list)
    for labels, count in zip(buckets.labels, buckets.values.tolist(), strict=True):
        try:
            bound = float(value_of(labels, BUCKET_BOUND))
        except ValueError:
            continue
        histograms[drop(labels, (BUCKET_BOUND,))].append((bound, count))
    quantiles = [_bucket_quantile(q, found) for found in histograms.values()]
    return distinct(Vector([drop(labels, (METRIC_NAME,)) for labels in histograms], np.array(quantiles)))


def _bucket_quantile(q: float, buckets: list[tuple[float, float]]) -> float:
    """The quantile of one histogram; NaN without an observation or without a bucket up to infinity."""
    if not 0.0 <= q <= 1.0:
        return no_quantile(q)
    bounds, counts = _cumulated(buckets)
    last = len(bounds) - 1
    if bounds[-1] != math.inf or last == 0 or counts[-1] == 0:
        return math.nan
    rank = q * counts[-1]
    index = bisect_left(range(last), True, key=lambda i: counts[i] >= rank)
    if index == last:
        return bounds[last - 1]
    if index == 0 and bounds[0] <= 0:
        return bounds[0]
    start, below = (bounds[index - 1], counts[index - 1]) if index else (0.0, 0.0)
    if counts[index] == below:  # q is 0 and the first bucket is empty
        return math.nan
    return start + (bounds[index] - start) * ((rank - below) / (counts[index] - below))


def _cumulated(buckets: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Bounds in order, and counts that never fall: rates of scrapes at different times may."""
    merged: dict[float, float] = {}
    for bound, count in sorted(buckets, key=lambda bucket: bucket[0]):
        merged[bound] = merged.get(bound, 0.0) + count
    return list(merged), list(accumulate(merged.values(), max))
