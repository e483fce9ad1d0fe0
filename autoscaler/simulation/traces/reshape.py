"""Making other loads of one trace: more or less of it, a part of it, smoother, shorter.

Nothing here compresses time: that would also compress ramps relative to startup times, and flatter every autoscaler.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from autoscaler.simulation.traces.trace import Trace, TraceError

DEFAULT_SHIFT_S = 120.0
"""How far `times` moves a copy: past the bursts of a conversation trace, well inside its daily swing."""


def times(trace: Trace, factor: float, seed: int, *, shift_s: float = DEFAULT_SHIFT_S) -> Trace:
    """Multiply the rate of a trace by superposing copies of it, each moved cyclically by its own random offset.

    The first copy stays in place. A broken factor keeps a random selection of the next larger superposition, so that
    the number of requests is `round(len(trace) * factor)`.

    Args:
        trace: The load to multiply.
        factor: How many times as many requests; above 0.
        seed: Random seed; the same one makes the same trace.
        shift_s: Largest offset in either direction. Small offsets keep ramps, large ones flatten them.

    Raises:
        TraceError: The factor is not above 0, or so small that no request is left.
    """
    if not (math.isfinite(factor) and factor > 0):
        raise TraceError(
            f"cannot make {factor} times trace {trace.name!r}: the factor must be above 0; nothing is slice"
        )
    kept = round(len(trace) * factor)
    if kept == 0 and len(trace):
        raise TraceError(f"{factor:g} times the {len(trace)} requests of trace {trace.name!r} leaves none to play")
    rng = np.random.default_rng(seed)
    copies = math.ceil(factor)
    offsets_s = rng.uniform(-shift_s, shift_s, copies - 1)
    moved_s = (trace.arrival_s[None, :] + offsets_s[:, None]) % max(trace.duration_s, math.ulp(0.0))
    superposed = Trace.of(
        np.concatenate((trace.arrival_s, moved_s.ravel())),
        np.tile(trace.input_tokens, copies),
        np.tile(trace.output_tokens, copies),
        np.tile(trace.cached_tokens, copies),
        name=f"{trace.name} x{factor:g}",
        duration_s=trace.duration_s,
    )
    if kept == len(superposed):
        return superposed
    return superposed.select(np.sort(rng.choice(len(superposed), kept, replace=False)))


def between(trace: Trace, start_s: float, end_s: float) -> Trace:
    """The requests of [start_s, end_s), on a clock that starts at `start_s`.

    Raises:
        TraceError: The interval is empty or begins before the trace.
    """
    if not 0 <= start_s < end_s:
        raise TraceError(f"cannot cut trace {trace.name!r} from {start_s} s to {end_s} s: needs 0 <= start < end")
    rows = (trace.arrival_s >= start_s) & (trace.arrival_s < end_s)
    part = trace.select(rows)
    return replace(part, arrival_s=part.arrival_s - start_s, duration_s=min(end_s, trace.duration_s) - start_s)


def jitter(trace: Trace, width_s: float, seed: int) -> Trace:
    """Move each arrival by its own uniform random delay in [0, width_s), for traces with quantised arrivals.

    Mooncake's, for instance, are quantised to 3 s; its bursts mean nothing before.
    """
    delays_s = np.random.default_rng(seed).uniform(0.0, width_s, len(trace))
    return Trace.of(
        trace.arrival_s + delays_s,
        trace.input_tokens,
        trace.output_tokens,
        trace.cached_tokens,
        name=trace.name,
        duration_s=trace.duration_s + width_s,
    )


def clip_lengths(trace: Trace, *, max_input_tokens: int, max_output_tokens: int) -> Trace:
    """Shorten prompts and answers to what an engine accepts; cached tokens shrink with their prompt."""
    input_tokens = np.minimum(trace.input_tokens, max_input_tokens)
    return replace(
        trace,
        input_tokens=input_tokens,
        output_tokens=np.minimum(trace.output_tokens, max_output_tokens),
        cached_tokens=np.minimum(trace.cached_tokens, input_tokens),
    )


def with_idle_tail(trace: Trace, tail_s: float) -> Trace:
    """The same trace with `tail_s` seconds of no arrivals at its end."""
    return replace(trace, duration_s=trace.duration_s + tail_s)


def followed_by(first: Trace, second: Trace) -> Trace:
    """One trace after the other; with two loads of one rate, a shift of the mix at constant rate."""
    return Trace(
        name=f"{first.name}, then {second.name}",
        arrival_s=np.concatenate((first.arrival_s, first.duration_s + second.arrival_s)),
        input_tokens=np.concatenate((first.input_tokens, second.input_tokens)),
        output_tokens=np.concatenate((first.output_tokens, second.output_tokens)),
        cached_tokens=np.concatenate((first.cached_tokens, second.cached_tokens)),
        duration_s=first.duration_s + second.duration_s,
    )
