"""A request trace: when requests arrive, how long their prompts and answers are, what a prefix cache already holds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class TraceError(ValueError):
    """A trace that cannot be read or makes no sense; the message says where and what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Requests in order of arrival. The arrays are read-only and of one length.

    Attributes:
        name: Where the requests come from, for titles and reports.
        arrival_s: Seconds from the start of the trace, ascending.
        input_tokens: Full prompt lengths, at least 1.
        output_tokens: Generated lengths, at least 1.
        cached_tokens: Prompt tokens that an infinite fleet-wide prefix cache holds at arrival; an upper bound.
        duration_s: Length of the trace; it may end after the last arrival.
        remarks: What to know of how it was read.
    """

    name: str
    arrival_s: Floats
    input_tokens: Ints
    output_tokens: Ints
    cached_tokens: Ints
    duration_s: float
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no service can replay.

        Raises:
            TraceError: Lengths differ, order is broken, or a value is out of range.
        """
        columns = (self.arrival_s, self.input_tokens, self.output_tokens, self.cached_tokens)
        sizes = {column.size for column in columns}
        if len(sizes) != 1:
            raise TraceError(f"trace {self.name!r}: columns have different lengths: {sorted(sizes)}")
        for column in columns:
            column.setflags(write=False)
        if not len(self):
            return
        if not np.isfinite(self.arrival_s).all() or self.arrival_s[0] < 0 or (np.diff(self.arrival_s) < 0).any():
            raise TraceError(f"trace {self.name!r}: arrivals must be finite, not negative, and ascending")
        if self.arrival_s[-1] > self.duration_s:
            raise TraceError(
                f"trace {self.name!r}: the last arrival, {self.arrival_s[-1]} s, is after its end, {self.duration_s} s"
            )
        if self.input_tokens.min() < 1 or self.output_tokens.min() < 1:
            raise TraceError(f"trace {self.name!r}: every request needs at least one prompt and one output token")
        if self.cached_tokens.min() < 0 or (self.cached_tokens > self.input_tokens).any():
            raise TraceError(f"trace {self.name!r}: cached tokens must lie between 0 and the prompt length")

    @classmethod
    def of(
        cls,
        arrival_s: ArrayLike,
        input_tokens: ArrayLike,
        output_tokens: ArrayLike,
        cached_tokens: ArrayLike = 0,
        *,
        name: str = "trace",
        duration_s: float | None = None,
    ) -> Self:
        """Make a trace of columns in any order of arrival; a single number stands for every request.

        Args:
            arrival_s: Arrival times in seconds.
            input_tokens: Prompt lengths.
            output_tokens: Generated lengths.
            cached_tokens: Cached prompt tokens.
            name: Name of the trace.
            duration_s: Length of the trace; None ends it with the last arrival.

        Raises:
            TraceError: The columns make no trace.
        """
        arrivals = np.atleast_1d(np.asarray(arrival_s, dtype=np.float64))
        order = np.argsort(arrivals, kind="stable")
        last_s = float(arrivals[order[-1]]) if arrivals.size else 0.0
        return cls(
            name=name,
            arrival_s=arrivals[order],
            input_tokens=_ints(input_tokens, order),
            output_tokens=_ints(output_tokens, order),
            cached_tokens=_ints(cached_tokens, order),
            duration_s=last_s if duration_s is None else duration_s,
        )

    def __len__(self) -> int:
        return self.arrival_s.size

    @property
    def rate_per_s(self) -> float:
        """Mean requests per second; zero for a trace without length."""
        return len(self) / self.duration_s if self.duration_s > 0 else 0.0

    def select(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Self:
        """The same trace with some of its requests; `rows` keeps the order of arrival."""
        return replace(
            self,
            arrival_s=self.arrival_s[rows],
            input_tokens=self.input_tokens[rows],
            output_tokens=self.output_tokens[rows],
            cached_tokens=self.cached_tokens[rows],
        )


def _ints(column: ArrayLike, order: NDArray[np.intp]) -> Ints:
    values = np.asarray(column, dtype=np.int64)
    if values.ndim == 0:
        return np.full(order.size, values, dtype=np.int64)
    return values[order] if values.size == order.size else values.copy()
