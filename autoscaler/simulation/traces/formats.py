"""Reading request traces: our own CSV, and the published formats of Azure, BurstGPT and Mooncake.

The format is told by the first line, so a file may carry any name; `.gz` is unpacked on the way. Requests without a
prompt or an answer failed where the trace was taken (BurstGPT keeps them); they are left out: nothing can replay them.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import takewhile
from pathlib import Path

import numpy as np

from autoscaler.simulation.traces.trace import Floats, Ints, Trace, TraceError

MOONCAKE_BLOCK_TOKENS = 512
"""Prompt tokens behind one entry of `hash_ids` (kvcache-ai/Mooncake, FAST25-release)."""


@dataclass(frozen=True, slots=True)
class _CsvFormat:
    """Which columns of a CSV hold what.

    Attributes:
        title: Name for messages.
        arrival: Column of arrival times.
        input: Column of prompt lengths.
        output: Column of generated lengths.
        cached: Column of cached prompt tokens, which may be missing; empty where the format knows none.
        parse_arrival: From the column's texts, at least one, to seconds.
    """

    title: str
    arrival: str
    input: str
    output: str
    cached: str
    parse_arrival: Callable[[Sequence[str]], Floats]

    def fits(self, header: Sequence[str]) -> bool:
        """Whether a header has the columns that cannot be done without."""
        return {self.arrival, self.input, self.output} <= set(header)


def _seconds(texts: Sequence[str]) -> Floats:
    return np.array(texts, dtype=np.float64)


def _seconds_from_first(texts: Sequence[str]) -> Floats:
    seconds = _seconds(texts)
    first_s: float = seconds.min()
    return seconds - first_s


def _timestamps_from_first(texts: Sequence[str]) -> Floats:
    instants = np.array([text.removesuffix("+00:00") for text in texts], dtype="datetime64[ns]")
    since_first: Floats = (instants - instants.min()) / np.timedelta64(1, "s")
    return since_first


_CSV_FORMATS = (
    _CsvFormat("plain", "arrival_s", "input_tokens", "output_tokens", "cached_tokens", _seconds),
    _CsvFormat("Azure LLM inference", "TIMESTAMP", "ContextTokens", "GeneratedTokens", "", _timestamps_from_first),
    _CsvFormat("BurstGPT", "Timestamp", "Request tokens", "Response tokens", "", _seconds_from_first),
)


def read_trace(path: Path | str) -> Trace:
    """Read a trace file; arrivals become seconds from the first request.

    A plain CSV keeps its own zero, so that a trace may begin with a pause.

    Args:
        path: CSV or JSON lines, packed with gzip if the name ends in `.gz`.

    Raises:
        TraceError: The file cannot be read, is of no known format, or holds a bad row.
    """
    file = Path(path)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise TraceError(f"cannot read trace {file}: {error.strerror or error}") from error
    return _parse(data, file.name, where=str(file))


def bundled_trace(name: str = "azure2023_conv") -> Trace:
    """A trace that ships with the package.

    Args:
        name: `azure2023_conv`, one hour of Azure's 2023 conversation service, or `azure2024_morning`, four hours in
            which a day's load comes up, reconstructed from Azure's 2024 data (both CC BY 4.0).
    """
    file = f"{name}.csv.gz"
    data = resources.files("autoscaler.simulation").joinpath("data", file).read_bytes()
    return _parse(data, file, where=f"bundled {file}")


def _parse(data: bytes, name: str, *, where: str) -> Trace:
    title = name.removesuffix(".gz").removesuffix(".csv").removesuffix(".jsonl")
    try:
        text = (gzip.decompress(data) if name.endswith(".gz") else data).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise TraceError(
            f"{where}: cannot unpack: {error}; a trace is UTF-8 text, with gzip only if named .gz"
        ) from error
    first_line, _, _ = text.partition("\n")
    if first_line.lstrip().startswith("{"):
        return _parse_mooncake(text, title, where=where)
    header = [cell.strip() for cell in first_line.split(",")]
    for csv_format in _CSV_FORMATS:
        if csv_format.fits(header):
            return _parse_csv(text, header, csv_format, title, where=where)
    known = "; ".join(f"{f.title} ({f.arrival}, {f.input}, {f.output})" for f in _CSV_FORMATS)
    raise TraceError(
        f"{where}: no known trace format: the first line is {first_line[:120]!r}. "
        f"Supported are CSV with a header: {known}; "
        "and Mooncake JSON lines (timestamp, input_length, output_length, hash_ids)"
    )


def _parse_csv(text: str, header: Sequence[str], csv_format: _CsvFormat, title: str, *, where: str) -> Trace:
    rows = _rows(text, header, where=where)
    if not rows:
        raise TraceError(f"{where}: a {csv_format.title} header, but no request below it")
    place = {name: index for index, name in enumerate(header)}

    def column(name: str) -> list[str]:
        return [row[place[name]] for row in rows]

    try:
        arrival_s = csv_format.parse_arrival(column(csv_format.arrival))
        input_tokens = _whole(column(csv_format.input))
        output_tokens = _whole(column(csv_format.output))
        has_cached = csv_format.cached in place
        cached_tokens = _whole(column(csv_format.cached)) if has_cached else np.zeros_like(input_tokens)
    except ValueError as error:
        raise TraceError(
            f"{where}: {csv_format.title} trace with a value that is no number or time: {error}"
        ) from error
    return _replayable(title, arrival_s, input_tokens, output_tokens, cached_tokens, where=where)


def _rows(text: str, header: Sequence[str], *, where: str) -> list[list[str]]:
    rows = []
    for number, line in enumerate(text.splitlines()[1:], start=2):
        if not line.strip():
            continue
        row = line.split(",")
        if len(row) != len(header):
            raise TraceError(f"{where}, line {number}: {len(row)} values for {len(header)} columns: {line[:120]!r}")
        rows.append(row)
    return rows


def _whole(texts: Sequence[str]) -> Ints:
    return np.array(texts, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _MooncakeRequest:
    arrival_ms: float
    input_tokens: int
    output_tokens: int
    prefixes: Sequence[int]


def _parse_mooncake(text: str, title: str, *, where: str) -> Trace:
    lines = enumerate(text.splitlines(), start=1)
    requests = [_mooncake_request(line, f"{where}, line {number}") for number, line in lines if line.strip()]
    requests.sort(key=lambda request: request.arrival_ms)
    arrival_s = np.array([request.arrival_ms for request in requests], dtype=np.float64) / 1000
    return _replayable(
        title,
        arrival_s - arrival_s[0],
        np.array([request.input_tokens for request in requests], dtype=np.int64),
        np.array([request.output_tokens for request in requests], dtype=np.int64),
        np.array(list(_cached_tokens(requests)), dtype=np.int64),
        where=where,
    )


def _mooncake_request(line: str, where: str) -> _MooncakeRequest:
    try:
        entry = json.loads(line)
        return _MooncakeRequest(
            float(entry["timestamp"]),
            int(entry["input_length"]),
            int(entry["output_length"]),
            entry.get("hash_ids", ()),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise TraceError(
            f"{where}: no Mooncake request: {line[:120]!r} ({type(error).__name__}: {error}). "
            "Needed are timestamp in ms, input_length and output_length; hash_ids tell what is cached"
        ) from error


def _cached_tokens(requests: Iterable[_MooncakeRequest]) -> Iterable[int]:
    """Tokens of each prompt that earlier requests left in an infinite fleet-wide cache.

    An entry of `hash_ids` names a whole prefix, not a block's content, so the first unknown entry ends the hit.
    """
    seen: set[int] = set()
    for request in requests:
        hits = sum(1 for _ in takewhile(seen.__contains__, request.prefixes))
        seen.update(request.prefixes)
        yield min(hits * MOONCAKE_BLOCK_TOKENS, request.input_tokens)


def _replayable(title: str, arrival_s: Floats, inputs: Ints, outputs: Ints, cached: Ints, *, where: str) -> Trace:
    served = (inputs > 0) & (outputs > 0)
    if not served.any():
        raise TraceError(f"{where}: no request with a prompt and an answer")
    try:
        return Trace.of(arrival_s[served], inputs[served], outputs[served], cached[served], name=title)
    except TraceError as error:
        raise TraceError(f"{where}: {error}") from error
