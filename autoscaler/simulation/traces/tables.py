"""Traces as CSV: our own, Azure's and BurstGPT's, told apart by their header."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoscaler.simulation.traces.checks import MOST_TOKENS, refuse_first, replayable, tokens_wanted
from autoscaler.simulation.traces.trace import Floats, Ints, Trace, TraceError

# Years are held to what fits into nanoseconds: numpy turns others silently into wrong ones.
_TIMESTAMP = re.compile(
    r"(?P<local>(19[7-9]\d|2[01]\d\d)-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?)"
    r"(?P<zone>Z|(?P<sign>[+-])(?P<hours>\d\d)(:?(?P<minutes>\d\d))?)?",
    re.ASCII,
)


_QUOTE = '"'


def bare(cell: str) -> str:
    """A cell without the quotes that spreadsheets, R and pandas may put around any."""
    text = cell.strip()
    quoted = len(text) > 1 and text[0] == text[-1] == _QUOTE
    return text[1:-1].strip() if quoted else text


@dataclass(frozen=True, slots=True)
class CsvFormat:
    """Which columns of a CSV hold what.

    Attributes:
        title: Name for messages.
        arrival: Column of arrival times.
        input: Column of prompt lengths.
        output: Column of generated lengths.
        cached: Column of cached prompt tokens, which may be missing; empty where the format knows none.
        parse_arrival: From the column's texts, at least one, to seconds.
        from_first: Whether arrivals count from the first request, not from a zero of the file.
    """

    title: str
    arrival: str
    input: str
    output: str
    cached: str
    parse_arrival: Callable[[Sequence[str]], Floats]
    from_first: bool

    def fits(self, header: Sequence[str]) -> bool:
        """Whether a header has the columns that cannot be done without."""
        return set(self.columns) <= set(header)

    @property
    def columns(self) -> tuple[str, str, str]:
        """The columns that cannot be done without."""
        return self.arrival, self.input, self.output


def _seconds(texts: Sequence[str]) -> Floats:
    return np.array(texts, dtype=np.float64)


def _timestamps(texts: Sequence[str]) -> Floats:
    """Seconds from the earliest of some timestamps, which are in UTC where they name no zone."""
    found = [_TIMESTAMP.fullmatch(text.strip()) for text in texts]
    if None in found:
        raise ValueError("no timestamp")
    parts = [one for one in found if one is not None]
    offsets = np.array([_offset_min(one) for one in parts], dtype="timedelta64[m]")
    instants = np.array([one["local"] for one in parts], dtype="datetime64[ns]") - offsets
    since_first: Floats = (instants - instants.min()) / np.timedelta64(1, "s")
    return since_first


def _offset_min(timestamp: re.Match[str]) -> int:
    if timestamp["sign"] is None:
        return 0
    minutes = 60 * int(timestamp["hours"]) + int(timestamp["minutes"] or 0)
    return minutes if timestamp["sign"] == "+" else -minutes


def _whole(texts: Sequence[str]) -> Ints:
    return np.array(texts, dtype=np.int64)


CSV_FORMATS = (
    CsvFormat("plain", "arrival_s", "input_tokens", "output_tokens", "cached_tokens", _seconds, from_first=False),
    CsvFormat("Azure LLM inference", "TIMESTAMP", "ContextTokens", "GeneratedTokens", "", _timestamps, from_first=True),
    CsvFormat("BurstGPT", "Timestamp", "Request tokens", "Response tokens", "", _seconds, from_first=True),
)


def parse_csv(text: str, header: Sequence[str], csv_format: CsvFormat, title: str, *, where: str) -> Trace:
    """Make a trace of the rows below a header.

    Args:
        text: Content of the file, header included.
        header: Its columns.
        csv_format: What they mean.
        title: Name of the trace.
        where: The file, for messages.

    Raises:
        TraceError: A row is none, a value cannot be, or no request can be replayed.
    """
    rows = _Rows.of(text, header, where)
    if not rows.cells:
        raise TraceError(f"{where}: a {csv_format.title} header, but no request below it")
    arrival_s = rows.column(csv_format.arrival, csv_format.parse_arrival, "time")
    refuse_first(
        ~np.isfinite(arrival_s),
        rows.lines,
        lambda place: f"{csv_format.arrival} is {arrival_s[place]}; a finite number is wanted",
        where=where,
    )
    inputs = rows.tokens(csv_format.input)
    cached = rows.tokens(csv_format.cached) if csv_format.cached in header else np.zeros_like(inputs)
    return replayable(
        title,
        rows.lines,
        arrival_s - arrival_s.min() if csv_format.from_first else arrival_s,
        inputs,
        rows.tokens(csv_format.output),
        cached,
        where=where,
    )


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of a file, each with its line."""

    header: Sequence[str]
    lines: Sequence[int]
    cells: Sequence[Sequence[str]]
    where: str

    @classmethod
    def of(cls, text: str, header: Sequence[str], where: str) -> _Rows:
        lines, cells = [], []
        for number, line in enumerate(text.splitlines()[1:], start=2):
            if not line.strip():
                continue
            row = [bare(cell) for cell in line.split(",")] if _QUOTE in line else line.split(",")
            if len(row) != len(header):
                raise TraceError(f"{where}, line {number}: {len(row)} values for {len(header)} columns: {line[:120]!r}")
            lines.append(number)
            cells.append(row)
        return cls(header, lines, cells, where)

    def column(self, name: str, parse: Callable[[Sequence[str]], NDArray[Any]], wanted: str) -> NDArray[Any]:
        """The values of a column; refuses one that stands twice, and texts that are no values."""
        if self.header.count(name) > 1:
            raise TraceError(f"{self.where}, line 1: the column {name} stands there twice: remove one")
        place = self.header.index(name)
        texts = [row[place] for row in self.cells]
        try:
            return parse(texts)
        except (ValueError, OverflowError):
            line, text = next(
                (line, text) for line, text in zip(self.lines, texts, strict=True) if not _parses(parse, text)
            )
            raise TraceError(f"{self.where}, line {line}: {name} is {text[:60]!r}, which is no {wanted}") from None

    def tokens(self, name: str) -> Ints:
        """A column of lengths."""
        found: Ints = self.column(name, _whole, f"whole number up to {MOST_TOKENS:,}")
        refuse_first(
            (found < 0) | (found > MOST_TOKENS),
            self.lines,
            lambda place: tokens_wanted(name, found[place]),
            where=self.where,
        )
        return found


def _parses(parse: Callable[[Sequence[str]], NDArray[Any]], text: str) -> bool:
    try:
        parse([text])
    except (ValueError, OverflowError):
        return False
    return True
