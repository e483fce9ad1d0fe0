"""Reading request traces: our own CSV, and the published formats of Azure, BurstGPT and Mooncake.

The format is told by the first line, so a file may carry any name; `.gz` is unpacked on the way. Requests without a
prompt or an answer failed where the trace was taken (BurstGPT keeps them); they are left out: nothing can replay them.
"""

from __future__ import annotations

import difflib
import gzip
import zlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from autoscaler.simulation.traces.mooncake import parse_mooncake
from autoscaler.simulation.traces.tables import CSV_FORMATS, bare, parse_csv
from autoscaler.simulation.traces.trace import Trace, TraceError


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
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise TraceError(
            f"{where}: cannot unpack: {error}; a trace is UTF-8 text, with gzip only if named .gz"
        ) from error
    if not text.strip():
        raise TraceError(f"{where}: the trace is empty")
    first_line, _, _ = text.partition("\n")
    if first_line.lstrip().startswith("{"):
        return parse_mooncake(text, title, where=where)
    header = [bare(cell) for cell in first_line.split(",")]
    for csv_format in CSV_FORMATS:
        if csv_format.fits(header):
            return parse_csv(text, header, csv_format, title, where=where)
    known = "; ".join(f"{one.title} ({', '.join(one.columns)})" for one in CSV_FORMATS)
    raise TraceError(
        f"{where}: no known trace format: the first line is {first_line[:120]!r}{_lacks(header)}. "
        f"Supported are CSV with a header: {known}; "
        "and Mooncake JSON lines (timestamp, input_length, output_length, hash_ids)"
    )


def _lacks(header: Sequence[str]) -> str:
    """Which column is wrong in a header that is nearly one that is known; empty for one that is like none."""
    nearest = min(CSV_FORMATS, key=lambda one: len(set(one.columns) - set(header)))
    missing = [column for column in nearest.columns if column not in header]
    if len(missing) == len(nearest.columns):
        return ""
    others = [cell for cell in header if cell not in nearest.columns]
    hints = []
    for column in missing:
        near = difflib.get_close_matches(column, others, n=1)
        hints.append(f"{column} (written {near[0]}?)" if near else column)
    return f", which lacks {' and '.join(hints)} to be {nearest.title}"
