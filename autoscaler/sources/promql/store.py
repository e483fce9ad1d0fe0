"""Scraped samples of the last minutes, with the series and staleness rules of Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from autoscaler.sources.promql.errors import SeriesLimitError
from autoscaler.sources.promql.exposition import ScrapedSample
from autoscaler.sources.promql.labels import METRIC_NAME, Labels, attach_target, make_labels, value_of
from autoscaler.sources.promql.matchers import Matcher
from autoscaler.sources.promql.table import Latest, SampleTable
from autoscaler.sources.promql.values import RangeVector

UP = "up"

_MAX_AHEAD_MS = 600_000
_FIRST_SWEEP_SERIES = 1024


@dataclass(slots=True)
class _Target:
    """What is known of a target: its `up` series and the rows of the series in its last scrape."""

    up_row: int
    rows: dict[Labels, int] = field(default_factory=dict)
    scraped_ms: int = 0


class SampleStore:
    """Samples by series, for queries over a short window.

    A target is named by its labels, which every series of it carries. Not safe for use from several threads.

    Args:
        retention_s: Samples are kept at least so long: the longest range, offset and lookback (300 s) of a query
            together.
        max_series: A scrape that would need more series fails, as with Prometheus' `sample_limit`. 100 000 series
            scraped every 5 s and kept for 10 minutes are 240 MB.
    """

    def __init__(self, retention_s: float, *, max_series: int = 100_000) -> None:
        self._retention_ms = _milliseconds(retention_s)
        self._max_series = max_series
        self._table = SampleTable()
        self._rows: dict[Labels, int] = {}
        self._names: dict[str, dict[int, Labels]] = {}
        self._targets: dict[Labels, _Target] = {}
        self._newest_ms = 0
        self._sweep_at_series = _FIRST_SWEEP_SERIES

    @property
    def series(self) -> int:
        """Series that hold samples or belong to a target."""
        return len(self._rows)

    @property
    def nbytes(self) -> int:
        """Memory of the samples, without labels."""
        return self._table.nbytes

    def append(self, time_s: float, target: Mapping[str, str], samples: Iterable[ScrapedSample]) -> None:
        """Take in one scrape of a target.

        A series of the target's last scrape that is missing in this one gets a staleness marker, unless the page
        states the times of its samples. `up` becomes 1.

        Args:
            time_s: Unix time of the scrape.
            target: The target's labels, such as instance, namespace, pod and role.
            samples: The page's samples. A label that clashes with a target's becomes `exported_<name>`.

        Raises:
            SeriesLimitError: The scrape needs too many series. The target then counts as failed.
            ValueError: The time is before the target's last scrape.
        """
        time_ms = self._advance(time_s)
        target_labels = make_labels(target)
        state = self._target(target_labels, time_ms)
        page = list(samples)
        new = sum(1 for sample in page if sample.labels not in state.rows)
        if len(self._rows) + new > self._max_series:
            self._fail(state, time_ms)
            raise SeriesLimitError(
                f"scrape of {dict(target_labels)} brings {new} series to the {len(self._rows)} that are kept; "
                f"allowed are {self._max_series}. Does a label of it take ever new values?"
            )
        rows = {}
        for sample in page:
            row = state.rows.get(sample.labels)
            if row is None:
                row = self._row(attach_target(sample.labels, target_labels))
            if sample.time_s is None:
                rows[sample.labels] = row
                self._table.put(row, time_ms, sample.value)
            elif (stated_ms := _milliseconds(sample.time_s)) <= time_ms + _MAX_AHEAD_MS:
                self._table.put(row, stated_ms, sample.value)
        for labels, row in state.rows.items():
            if labels not in rows:
                self._table.put(row, time_ms, None)
        state.rows = rows
        self._table.put(state.up_row, time_ms, 1.0)

    def append_failure(self, time_s: float, target: Mapping[str, str]) -> None:
        """Note that a scrape failed: `up` becomes 0 and all series of the target's last scrape end.

        Raises:
            ValueError: The time is before the target's last scrape.
        """
        time_ms = self._advance(time_s)
        self._fail(self._target(make_labels(target), time_ms), time_ms)

    def remove_target(self, time_s: float, target: Mapping[str, str]) -> None:
        """End all series of a target that is gone, `up` too. An unknown target is no error."""
        state = self._targets.pop(make_labels(target), None)
        if state is None:
            return
        time_ms = self._advance(time_s)
        for row in (*state.rows.values(), state.up_row):
            self._table.put(row, time_ms, None)

    def latest(self, matchers: Sequence[Matcher], from_ms: int, to_ms: int) -> tuple[list[Labels], Latest]:
        """The newest sample in the closed interval of each series that the matchers select."""
        rows, labels = self._select(matchers)
        return labels, self._table.latest(rows, from_ms, to_ms)

    def window(self, matchers: Sequence[Matcher], from_ms: int, to_ms: int) -> RangeVector:
        """All samples in the closed interval of the series that the matchers select."""
        rows, labels = self._select(matchers)
        counts, times_ms, values = self._table.window(rows, from_ms, to_ms)
        (filled,) = np.nonzero(counts)
        return RangeVector(
            [labels[index] for index in filled], counts[filled], times_ms, values, from_ms=from_ms, to_ms=to_ms
        )

    def _select(self, matchers: Sequence[Matcher]) -> tuple[list[int], list[Labels]]:
        by_name = [matcher for matcher in matchers if matcher.label == METRIC_NAME]
        by_label = [matcher for matcher in matchers if matcher.label != METRIC_NAME]
        rows, selected = [], []
        for name in self._names:
            if not all(matcher.accepts(name) for matcher in by_name):
                continue
            for row, labels in self._names[name].items():
                if all(matcher.accepts(value_of(labels, matcher.label)) for matcher in by_label):
                    rows.append(row)
                    selected.append(labels)
        return rows, selected

    def _advance(self, time_s: float) -> int:
        time_ms = _milliseconds(time_s)
        self._newest_ms = max(self._newest_ms, time_ms)
        if self._table.is_full or len(self._rows) > self._sweep_at_series:
            self._sweep()
        return time_ms

    def _target(self, labels: Labels, time_ms: int) -> _Target:
        state = self._targets.get(labels)
        if state is None:
            state = _Target(self._row(make_labels({**dict(labels), METRIC_NAME: UP})))
            self._targets[labels] = state
        if time_ms < state.scraped_ms:
            raise ValueError(
                f"scrape of {dict(labels)} at {time_ms / 1000:.3f} is before its last one at "
                f"{state.scraped_ms / 1000:.3f}; if the clock was set back, start with an empty store"
            )
        state.scraped_ms = time_ms
        return state

    def _fail(self, state: _Target, time_ms: int) -> None:
        for row in state.rows.values():
            self._table.put(row, time_ms, None)
        state.rows = {}
        self._table.put(state.up_row, time_ms, 0.0)

    def _row(self, labels: Labels) -> int:
        row = self._rows.get(labels)
        if row is None:
            row = self._table.new_row()
            self._rows[labels] = row
            self._names.setdefault(value_of(labels, METRIC_NAME), {})[row] = labels
        return row

    def _sweep(self) -> None:
        """Drop old samples, and the series that have none left and belong to no target."""
        self._table.trim(self._newest_ms - self._retention_ms)
        held = {row for state in self._targets.values() for row in (*state.rows.values(), state.up_row)}
        for labels, row in list(self._rows.items()):
            if row not in held and self._table.is_empty(row):
                self._table.release(row)
                del self._rows[labels]
                name = value_of(labels, METRIC_NAME)
                del self._names[name][row]
                if not self._names[name]:
                    del self._names[name]
        self._sweep_at_series = max(2 * len(self._rows), _FIRST_SWEEP_SERIES)


def _milliseconds(time_s: float) -> int:
    return round(time_s * 1000)
