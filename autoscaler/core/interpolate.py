"""What lies between the bounds of a histogram's buckets."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence


def share_up_to(target: float, bounds: Sequence[float], shares: Sequence[float]) -> float:
    """Share of observations up to a target: a cubic through those up to the bounds, which never falls.

    Latencies thin out towards a target that is kept. Were they uniform inside its bucket, such as vLLM's from 1 to
    2.5 s, 0.24 % of the requests would seem to miss 2 s where 0.01 % do. Slopes at bounds after Fritsch and Butland (A
    method for constructing local monotone piecewise cubic interpolants, 1984).

    Args:
        target: Where to.
        bounds: Ascending; nothing lies below the first, and beyond the last nothing is told.
        shares: Share of the observations up to each of them, as many.
    """
    if target <= bounds[0]:
        return shares[0] if target == bounds[0] else 0.0
    if target >= bounds[-1]:
        return shares[-1]
    place = bisect_right(bounds, target) - 1
    width = bounds[place + 1] - bounds[place]
    along = (target - bounds[place]) / width
    rest = 1.0 - along
    left, right = (width * _slope(bounds, shares, index) for index in (place, place + 1))
    low, high = shares[place], shares[place + 1]
    share = rest * rest * (low * (1.0 + 2.0 * along) + left * along) + along * along * (
        high * (1.0 + 2.0 * rest) - right * rest
    )
    return min(max(share, low), high)


def _slope(bounds: Sequence[float], shares: Sequence[float], index: int) -> float:
    """Slope at a bound: a harmonic mean of those of both buckets there, so none where one of them is empty.

    At either end there is one bucket, and its slope holds.
    """
    before, after = max(index - 1, 0), min(index + 1, len(bounds) - 1)
    before_width, before_share = bounds[index] - bounds[before], shares[index] - shares[before]
    after_width, after_share = bounds[after] - bounds[index], shares[after] - shares[index]
    if index in {before, after}:
        return (before_share + after_share) / (before_width + after_width)
    if before_share <= 0.0 or after_share <= 0.0:
        return 0.0
    near, far = 2.0 * after_width + before_width, after_width + 2.0 * before_width
    return (near + far) / (near * before_width / before_share + far * after_width / after_share)
