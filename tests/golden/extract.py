"""Cut the hours out of the full traces: `python -m tests.golden.extract FOLDER`. Run once; what it writes is kept."""

from __future__ import annotations

import csv
import gzip
import io
import sys
from pathlib import Path

from autoscaler.simulation.traces import read_trace
from autoscaler.simulation.traces.reshape import between
from tests.golden.hours import HERE, HOUR_S, HOURS


def extract(folder: Path) -> None:
    """Write an hour of every trace that is not bundled."""
    for hour in HOURS:
        if hour.bundled:
            continue
        start_s = hour.from_hour * HOUR_S
        trace = between(read_trace(folder / f"{hour.name}.csv.gz"), start_s, start_s + HOUR_S)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        cached = [trace.cached_tokens] if trace.cached_tokens.any() else []
        writer.writerow(["arrival_s", "input_tokens", "output_tokens", *(["cached_tokens"] if cached else [])])
        rows = zip(trace.arrival_s, trace.input_tokens, trace.output_tokens, *cached, strict=True)
        writer.writerows([f"{arrival_s:.2f}", *counts] for arrival_s, *counts in rows)
        packed = gzip.compress(text.getvalue().encode(), mtime=0)
        (HERE / "traces" / f"{hour.name}.csv.gz").write_bytes(packed)


if __name__ == "__main__":
    extract(Path(sys.argv[1]))
