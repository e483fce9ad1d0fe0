"""What a query at one instant sees of one pool's samples, with PromQL's arithmetic.

A rate is the growth of a counter between the first and the last sample in the window; a quantile is interpolated inside
its bucket, as `histogram_quantile` does.
"""

from __future__ import annotations

import numpy as np

from autoscaler.core.interpolate import share_up_to
from autoscaler.simulation.config import MonitoringConfig
from autoscaler.simulation.counters import COUNTERS, LAYOUT, Floats, Histogram
from autoscaler.simulation.engine.world import G_PODS


class Scrapes:
    """One pool's samples as a query at one instant sees them.

    Attributes:
        latest: Newest sample.
    """

    def __init__(self, at_s: Floats, rows: Floats, now_s: float, monitoring: MonitoringConfig) -> None:
        self._at_s, self._rows = at_s, rows
        self._rate_from = int(np.searchsorted(at_s, now_s - monitoring.rate_window_s, side="right"))
        self._shape_from = int(np.searchsorted(at_s, now_s - monitoring.shape_window_s, side="right"))
        self.latest: Floats = rows[-1]

    def gauge(self, column: int) -> float:
        """Newest value of a gauge."""
        return float(self.latest[column])

    def per_pod(self, column: int) -> float | None:
        """Newest value of a summed gauge, over the pods."""
        pods = self.gauge(G_PODS)
        return self.gauge(column) / pods if pods else None

    def rate(self, counter: str) -> float | None:
        """Growth per second of a counter over the rate window; None without two samples."""
        return self._rate(COUNTERS.index(counter))

    def grown(self, counter: str) -> float:
        """Growth of a counter over the shape window."""
        column = COUNTERS.index(counter)
        return float(self.latest[column] - self._rows[self._first(self._shape_from), column])

    def recent(self, histogram: str) -> Histogram:
        """What a histogram observed in the rate window."""
        return LAYOUT.histogram(self.latest - self._rows[self._first(self._rate_from)], histogram)

    def mean(self, histogram: str) -> float | None:
        """Mean of what was observed in the rate window; None when nothing was."""
        return self._mean(self._rate_from, histogram)

    def shape(self, histogram: str) -> float | None:
        """Mean of what was observed in the shape window; None when nothing was."""
        return self._mean(self._shape_from, histogram)

    def shapes(self, histogram: str) -> Histogram:
        """What a histogram observed in the shape window."""
        return LAYOUT.histogram(self.latest - self._rows[self._first(self._shape_from)], histogram)

    def slope(self, column: int) -> float:
        """Least-squares slope per second of a gauge over the rate window, as `deriv`; 0 without two samples."""
        at_s, values = self._at_s[self._rate_from :], self._rows[self._rate_from :, column]
        if at_s.size < 2:  # noqa: PLR2004 - a slope needs two points
            return 0.0
        centred_s = at_s - at_s.mean()
        return float((centred_s * values).sum() / (centred_s * centred_s).sum())

    def _rate(self, column: int) -> float | None:
        first = self._rate_from
        if len(self._at_s) - first < 2:  # noqa: PLR2004 - as PromQL
            return None
        return float((self.latest[column] - self._rows[first, column]) / (self._at_s[-1] - self._at_s[first]))

    def _mean(self, window_from: int, histogram: str) -> float | None:
        columns = LAYOUT.columns(histogram)
        grown = self.latest[columns] - self._rows[self._first(window_from), columns]
        count = float(grown[:-1].sum())
        return float(grown[-1]) / count if count else None

    def _first(self, window_from: int) -> int:
        return min(window_from, len(self._rows) - 1)


def quantile(histogram: Histogram, share: float) -> float | None:
    """Quantile as Prometheus' `histogram_quantile`: linear inside the bucket, at most the highest finite bound."""
    if not histogram.count:
        return None
    rank = share * histogram.count
    below, lower = 0.0, 0.0
    for bound, cumulative in zip(histogram.bounds, histogram.cumulative_counts, strict=False):
        if cumulative >= rank:
            return lower + (bound - lower) * (rank - below) / (cumulative - below) if cumulative > below else bound
        below, lower = cumulative, bound
    return histogram.bounds[-1]


def share_within(histogram: Histogram, target: float) -> float | None:
    """Share of observations up to a target."""
    if not histogram.count:
        return None
    shares = (0.0, *(count / histogram.count for count in histogram.cumulative_counts[:-1]))
    return share_up_to(target, (0.0, *histogram.bounds), shares)
