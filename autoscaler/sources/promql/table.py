"""A grid of samples: one row a series, one column a sample, oldest first.

Plain numpy arrays, because a tick reads windows of a thousand series at once: a selection of rows, two comparisons
and one boolean gather answer a range selector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

STALE_BITS = 0x7FF0000000000002
"""The NaN that Prometheus keeps for the marker that a series ended; any other NaN is a value."""

_NEVER_MS = np.iinfo(np.int64).max
_BEFORE_ALL_MS = np.iinfo(np.int64).min
_FIRST_ROWS = 256
_FIRST_COLUMNS = 32
_CHUNK_ROWS = 1024
_CROWDED_RATIO = 0.8


class Window(NamedTuple):
    """The samples of several rows in one interval, row after row.

    Attributes:
        counts: Samples a row, shape (rows,).
        times_ms: Shape (sum of counts,).
        values: Shape (sum of counts,).
    """

    counts: NDArray[np.int64]
    times_ms: NDArray[np.int64]
    values: NDArray[np.float64]


class Latest(NamedTuple):
    """The newest sample of several rows; `found` masks the rows that have one. All of shape (rows,)."""

    found: NDArray[np.bool_]
    times_ms: NDArray[np.int64]
    values: NDArray[np.float64]


class SampleTable:
    """Samples by row number; `new_row` takes a row and `release` gives it back."""

    def __init__(self) -> None:
        self._times_ms = np.full((_FIRST_ROWS, _FIRST_COLUMNS), _NEVER_MS, np.int64)
        self._values = np.zeros((_FIRST_ROWS, _FIRST_COLUMNS))
        self._lengths: list[int] = []
        self._last_ms: list[int] = []
        self._free: list[int] = []
        self._longest = 0

    @property
    def rows(self) -> int:
        """Rows in use."""
        return len(self._lengths) - len(self._free)

    @property
    def nbytes(self) -> int:
        """Memory of the grid."""
        return self._times_ms.nbytes + self._values.nbytes

    @property
    def is_full(self) -> bool:
        """Whether some row has no column left, so that it is time to `trim`."""
        return self._longest >= self._times_ms.shape[1]

    def is_empty(self, row: int) -> bool:
        """Whether the row holds no sample."""
        return self._lengths[row] == 0

    def new_row(self) -> int:
        """Take an empty row."""
        if self._free:
            return self._free.pop()
        row = len(self._lengths)
        if row == len(self._times_ms):
            self._grow(rows=2 * row)
        self._lengths.append(0)
        self._last_ms.append(_BEFORE_ALL_MS)
        return row

    def release(self, row: int) -> None:
        """Give back an empty row."""
        self._free.append(row)

    def put(self, row: int, time_ms: int, value: float | None) -> None:
        """Append a sample; the value None is a staleness marker.

        A sample that is not newer than the row's last one is dropped, as Prometheus does.
        """
        if time_ms <= self._last_ms[row]:
            return
        column = self._lengths[row]
        if column == self._times_ms.shape[1]:
            self._grow(columns=column + column // 4)
        self._times_ms[row, column] = time_ms
        if value is None:
            self._values.view(np.int64)[row, column] = STALE_BITS
        else:
            self._values[row, column] = value
        self._lengths[row] = column + 1
        self._last_ms[row] = time_ms
        self._longest = max(self._longest, column + 1)

    def trim(self, oldest_ms: int) -> None:
        """Drop all samples before a time, and widen the grid if that left little room."""
        columns = np.arange(self._times_ms.shape[1])
        for start in range(0, len(self._lengths), _CHUNK_ROWS):
            chunk = slice(start, min(start + _CHUNK_ROWS, len(self._lengths)))
            times_ms = self._times_ms[chunk]
            dropped = np.count_nonzero(times_ms < oldest_ms, axis=1)
            source = columns + dropped[:, np.newaxis]
            beyond = source >= len(columns)
            source[beyond] = 0
            moved = np.take_along_axis(times_ms, source, axis=1)
            moved[beyond] = _NEVER_MS
            self._times_ms[chunk] = moved
            self._values[chunk] = np.take_along_axis(self._values[chunk], source, axis=1)
            self._lengths[chunk] = np.count_nonzero(moved != _NEVER_MS, axis=1).tolist()
        self._longest = max(self._lengths, default=0)
        if self._longest > _CROWDED_RATIO * len(columns):
            self._grow(columns=len(columns) + len(columns) // 4)

    def window(self, rows: Sequence[int], from_ms: int, to_ms: int) -> Window:
        """The samples with from ≤ time ≤ to, without staleness markers."""
        times_ms = self._times_ms[rows]
        values = self._values[rows]
        inside = (times_ms >= from_ms) & (times_ms <= to_ms) & (values.view(np.int64) != STALE_BITS)
        return Window(np.count_nonzero(inside, axis=1), times_ms[inside], values[inside])

    def latest(self, rows: Sequence[int], from_ms: int, to_ms: int) -> Latest:
        """The newest sample with from ≤ time ≤ to of each row; a row whose newest is a staleness marker has none."""
        index = np.asarray(rows, np.intp)
        columns = np.count_nonzero(self._times_ms[index] <= to_ms, axis=1) - 1
        times_ms = self._times_ms[index, columns]
        values = self._values[index, columns]
        found = (columns >= 0) & (times_ms >= from_ms) & (values.view(np.int64) != STALE_BITS)
        return Latest(found, times_ms, values)

    def _grow(self, *, rows: int | None = None, columns: int | None = None) -> None:
        old_rows, old_columns = self._times_ms.shape
        shape = (rows or old_rows, columns or old_columns)
        times_ms = np.full(shape, _NEVER_MS, np.int64)
        values = np.zeros(shape)
        times_ms[:old_rows, :old_columns] = self._times_ms
        values[:old_rows, :old_columns] = self._values
        self._times_ms, self._values = times_ms, values
