"""The loads: one hour or less each, from traces whose licences allow it, and steady ones with the same lengths."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from autoscaler.simulation.traces import (
    Trace,
    between,
    bundled_trace,
    clip_lengths,
    jitter,
    poisson,
    read_trace,
    sine,
    times,
)
from benchmarks.nvidia.scene import MAX_MODEL_TOKENS

SEED = 1
_MOST_INPUT, _MOST_OUTPUT = 32_000, 8_000
_HOUR_S = 3600.0


class MissingTracesError(SystemExit):
    """A load needs a trace that is not in the repository."""


def load(name: str) -> Trace:
    """Make a load.

    Raises:
        MissingTracesError: Its trace is not bundled, and the environment variable TRACES names no folder with it.
    """
    trace = clip_lengths(LOADS[name](), max_input_tokens=_MOST_INPUT, max_output_tokens=_MOST_OUTPUT)
    first_s = float(trace.arrival_s[0])  # NVIDIA's simulator starts its clock with the first request
    return replace(trace, arrival_s=trace.arrival_s - first_s, duration_s=trace.duration_s - first_s)


def _shared(name: str) -> Trace:
    folder = os.environ.get("TRACES")
    path = Path(folder or ".") / f"{name}.csv.gz"
    if folder is None or not path.exists():
        raise MissingTracesError(f"set TRACES to the folder that holds {name}.csv.gz; README.md says where it is from")
    return read_trace(path)


def _azure(factor: float) -> Callable[[], Trace]:
    return lambda: between(times(bundled_trace(), factor, SEED), 0.0, _HOUR_S)


def _steady(rate_per_s: float) -> Callable[[], Trace]:
    return lambda: poisson(rate_per_s, 1200.0, bundled_trace(), SEED)


def _excerpt(name: str, factor: float, start_h: float) -> Callable[[], Trace]:
    return lambda: times(between(_shared(name), start_h * _HOUR_S, (start_h + 1.0) * _HOUR_S), factor, SEED)


def _mooncake(factor: float) -> Callable[[], Trace]:
    # Arrivals are quantised to 3 s in the source.
    return lambda: times(between(jitter(_shared("mooncake_conversation"), 3.0, SEED), 0.0, _HOUR_S), factor, SEED)


def _dynamo_sine() -> Trace:
    """The load of NVIDIA's planner benchmark: 5 to 45 requests/s within 10 min, prompts of 3000, answers of 300."""
    return sine(25.0, 0.8, 600.0, 1800.0, Trace.of(0.0, 3000, 300), SEED)


LOADS: Mapping[str, Callable[[], Trace]] = {
    **{f"steady-{rate}": _steady(float(rate)) for rate in (12, 20, 21, 28, 34)},
    **{f"azure2023-conv-x{factor}": _azure(factor) for factor in (1, 2, 3, 4, 8)},
    "servegen-r1-x2": _excerpt("servegen_deepseek_r1_day", 2.0, 19.5),
    "servegen-r1-x3": _excerpt("servegen_deepseek_r1_day", 3.0, 19.5),
    "mooncake-conversation-x1": _mooncake(1.0),
    "azure2024-code-x4": _excerpt("azure2024_code_day3_recon", 4.0, 12.75),
    "dynamo-sine": _dynamo_sine,
}

assert _MOST_INPUT + _MOST_OUTPUT < MAX_MODEL_TOKENS  # noqa: S101 - a longer request would be refused by one side only
