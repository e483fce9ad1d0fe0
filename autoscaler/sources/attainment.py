"""The share of requests inside a latency target, and the latency of a share of requests, from histogram buckets.

A share between two bounds is read off a smooth curve through those at the bounds; a latency is linear in between, as
`histogram_quantile` has it. With every share comes the bracket that the buckets alone guarantee.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoscaler.core.interpolate import share_up_to
from autoscaler.sources.answers import Element

_PARTS = 8  # that a bucket is cut into where two legs are added
_NARROWEST_S = 1e-9  # width of a first bucket whose bound is 0
_RANGE = re.compile(r"(?P<low>[0-9.]+)(?P<low_unit>us|ms|s)?(-(?P<high>[0-9.]+)|\+)(?P<unit>us|ms|s)?")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


class BucketError(ValueError):
    """The elements are no histogram with observations; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share of requests, with the smallest and the largest that the buckets allow."""

    ratio: float
    least: float
    most: float

    @property
    def exact(self) -> bool:
        """Whether the target is a bound of the buckets, so that nothing was interpolated."""
        return math.isclose(self.least, self.most, abs_tol=1e-12)


@dataclass(frozen=True, slots=True)
class Buckets:
    """A latency distribution as histogram buckets.

    Attributes:
        lower_s: Lower bound per bucket, shape (buckets,).
        upper_s: Upper bound per bucket; the last is infinite.
        weights: Share of the observations per bucket; sums to 1.
        rate: Observations per second.
    """

    lower_s: NDArray[np.float64]
    upper_s: NDArray[np.float64]
    weights: NDArray[np.float64]
    rate: float

    @classmethod
    def of(cls, elements: Iterable[Element], factor: float = 1.0) -> Buckets:
        """Read a vector of cumulative rates `by (le)`.

        Two spellings of one bound (`1` and `1.0`) are added. A rate that falls from one bound to the next, which
        scrapes of different ages can cause, counts as equal.

        Args:
            elements: The vector.
            factor: Seconds in the unit of the bounds.

        Raises:
            BucketError: A bound is missing or no number, or nothing was observed.
        """
        cumulative: dict[float, float] = defaultdict(float)
        for element in elements:
            bound = element.labels.get("le", "")
            try:
                cumulative[float(bound)] += element.value
            except ValueError:
                raise BucketError(f"le={bound!r} is no bucket bound; the expression has to be a sum by (le)") from None
        bounds = sorted(cumulative)
        if not bounds or not math.isinf(bounds[-1]):
            raise BucketError("the histogram has no bucket le=+Inf")
        rates = np.maximum.accumulate(np.array([cumulative[bound] for bound in bounds]))
        total = float(rates[-1])
        if not math.isfinite(total) or total <= 0:
            raise BucketError("no request finished in the window")
        upper_s = np.array(bounds) * factor
        lower_s = np.concatenate([[min(0.0, upper_s[0] - _NARROWEST_S)], upper_s[:-1]])
        return cls(lower_s, upper_s, np.diff(rates, prepend=0.0) / total, total)

    @classmethod
    def of_ranges(cls, elements: Iterable[Element]) -> Buckets:
        """Read a vector of rates `by (bucket)`, one for each range of latencies, such as `50-100ms` or `5000ms+`.

        Raises:
            BucketError: A label names no range, or nothing was observed.
        """
        rates: dict[tuple[float, float], float] = defaultdict(float)
        for element in elements:
            rates[_range_s(element.labels.get("bucket", ""))] += element.value
        total = sum(rates.values())
        if not math.isfinite(total) or total <= 0:
            raise BucketError("no request finished in the window")
        bounds = np.array(sorted(rates))
        weights = np.array([rates[low, high] for low, high in sorted(rates)]) / total
        return cls(bounds[:, 0], bounds[:, 1], weights, total)


def share_within(latency: Buckets, target_s: float) -> Share:
    """Share of requests with a latency of at most the target."""
    below = latency.upper_s <= target_s
    least = float(latency.weights[below].sum())
    most = least + float(latency.weights[(latency.lower_s < target_s) & ~below].sum())
    ratio = least if least == most else share_up_to(target_s, *_curve(latency))
    return Share(min(max(ratio, least), most), least, most)


def _curve(latency: Buckets) -> tuple[list[float], list[float]]:
    """Bounds, and the share of the observations up to each; a range that nothing was in is there, though not told."""
    told = np.isfinite(latency.upper_s)
    around_s = [min(0.0, latency.lower_s[0]), *([2.0 * latency.upper_s.max()] if told.all() else [])]
    bounds_s = np.unique(np.concatenate([around_s, latency.lower_s, latency.upper_s[told]]))
    shares = [float(latency.weights[latency.upper_s <= bound_s].sum()) for bound_s in bounds_s]
    return bounds_s.tolist(), shares


def _in_parts(latency: Buckets) -> Buckets:
    """The same latencies in narrower buckets, whose weights are those of the curve."""
    told = np.isfinite(latency.upper_s) & (latency.weights > 0)
    curve = _curve(latency)
    edges_s = np.linspace(latency.lower_s[told], latency.upper_s[told], _PARTS + 1, axis=-1)
    shares = np.array([[share_up_to(edge_s, *curve) for edge_s in row] for row in edges_s.tolist()])
    return Buckets(
        np.concatenate([edges_s[:, :-1].ravel(), latency.lower_s[~told]]),
        np.concatenate([edges_s[:, 1:].ravel(), latency.upper_s[~told]]),
        np.concatenate([np.diff(shares).ravel(), latency.weights[~told]]),
        latency.rate,
    )


def quantile(latency: Buckets, ratio: float) -> float:
    """Latency that a share of the requests does not exceed, in seconds.

    As `histogram_quantile`: linear inside a bucket, and the lower bound of the last one where that has no upper.
    """
    below = np.cumsum(latency.weights)
    place = min(int(np.searchsorted(below, ratio, side="left")), below.size - 1)
    low_s, high_s, weight = latency.lower_s[place], latency.upper_s[place], latency.weights[place]
    if not math.isfinite(high_s) or weight <= 0:
        return float(low_s)
    return float(low_s + (high_s - low_s) * (ratio - (below[place] - weight)) / weight)


def sum_share_within(first: Buckets, second: Buckets, target_s: float) -> Share:
    """Share of requests whose two latencies, taken as independent, add up to at most the target.

    The sum over all pairs of parts of buckets of P(U + V ≤ target), U and V uniform: with g(x) = max(x, 0)² / 2 and
    parts (a, b] and (c, d] it is [g(t-a-c) - g(t-b-c) - g(t-a-d) + g(t-b-d)] / ((b-a)(d-c)). A pair with an infinite
    bucket counts as a miss.
    """
    low, high = np.add.outer(first.lower_s, second.lower_s), np.add.outer(first.upper_s, second.upper_s)
    weights = np.outer(first.weights, second.weights)
    least, most = float(weights[high <= target_s].sum()), float(weights[low < target_s].sum())
    ratio = _sum_of_uniforms_within(_in_parts(first), _in_parts(second), target_s)
    return Share(min(max(ratio, least), most), least, most)


def _sum_of_uniforms_within(first: Buckets, second: Buckets, target_s: float) -> float:
    weights = np.outer(first.weights, second.weights)
    high = np.add.outer(first.upper_s, second.upper_s)
    finite = np.isfinite(high)
    a, b = first.lower_s[:, np.newaxis], np.where(np.isfinite(first.upper_s), first.upper_s, 0.0)[:, np.newaxis]
    c, d = second.lower_s[np.newaxis, :], np.where(np.isfinite(second.upper_s), second.upper_s, 0.0)[np.newaxis, :]
    area = _half_square(target_s - a - c) - _half_square(target_s - b - c)
    area += _half_square(target_s - b - d) - _half_square(target_s - a - d)
    box = (b - a) * (d - c)
    inside = np.clip(area / np.where(finite, box, 1.0), 0.0, 1.0)
    inside = np.where(high <= target_s, 1.0, inside)  # exact where the formula would lose digits
    return float((weights * inside)[finite].sum())


def mixed(both: Share, second_only: Share, both_ratio: float) -> Share:
    """Share over all requests, of which `both_ratio` passed both legs and the rest the second only."""

    def mix(with_both: float, without: float) -> float:
        return both_ratio * with_both + (1 - both_ratio) * without

    return Share(
        mix(both.ratio, second_only.ratio), mix(both.least, second_only.least), mix(both.most, second_only.most)
    )


def _half_square(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.square(np.maximum(values, 0.0)) / 2


def _range_s(label: str) -> tuple[float, float]:
    found = _RANGE.fullmatch(label)
    if found is None or not (found["unit"] or found["low_unit"]):
        raise BucketError(f"bucket={label!r} is no range such as 50-100ms or 5000ms+")
    unit_s = _SECONDS[found["unit"] or found["low_unit"]]
    low_unit_s = _SECONDS[found["low_unit"]] if found["low_unit"] else unit_s
    high_s = float(found["high"]) * unit_s if found["high"] else math.inf
    return float(found["low"]) * low_unit_s, high_s
