"""Synthetic loads with a known rate: Poisson arrivals, lengths drawn from a trace.

`lengths` is any trace; each request takes one of its rows, so prompt, answer and cached tokens stay together. A trace
of one request makes all requests alike: `Trace.of(0, 1000, 200)`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from autoscaler.simulation.traces.reshape import followed_by
from autoscaler.simulation.traces.trace import Floats, Trace, TraceError


def poisson(rate_per_s: float, duration_s: float, lengths: Trace, seed: int) -> Trace:
    """Poisson arrivals at a constant rate."""
    return _poisson(rate_per_s, duration_s, lengths, np.random.default_rng(seed), f"{rate_per_s:g}/s")


def steps(rates: Sequence[tuple[float, float]], lengths: Trace, seed: int) -> Trace:
    """A staircase: `rates` are pairs of requests per second and how many seconds they last."""
    rng = np.random.default_rng(seed)
    starts_s = np.cumsum([0.0, *(duration_s for _, duration_s in rates)])
    arrivals = [_arrivals(rate, duration_s, rng) for rate, duration_s in rates]
    shifted = [start_s + arrival_s for start_s, arrival_s in zip(starts_s[:-1], arrivals, strict=True)]
    return _with_lengths(np.concatenate([[], *shifted]), float(starts_s[-1]), lengths, rng, "steps")


def sine(
    mean_per_s: float, amplitude_ratio: float, period_s: float, duration_s: float, lengths: Trace, seed: int
) -> Trace:
    """A rate of `mean * (1 + amplitude * sin(2 pi t / period))`, made by thinning (Lewis and Shedler, 1979).

    Raises:
        TraceError: The amplitude is not between 0 and 1, so the rate would go below 0.
    """
    if not 0 <= amplitude_ratio <= 1:
        raise TraceError(f"a sine needs an amplitude ratio between 0 and 1, not {amplitude_ratio}")
    rng = np.random.default_rng(seed)
    candidates_s = _arrivals(mean_per_s * (1 + amplitude_ratio), duration_s, rng)
    rate_ratio = 1 + amplitude_ratio * np.sin(2 * math.pi * candidates_s / period_s)
    kept = rng.uniform(0, 1 + amplitude_ratio, candidates_s.size) < rate_ratio
    return _with_lengths(candidates_s[kept], duration_s, lengths, rng, "sine")


def mix_shift(before: Trace, after: Trace, rate_per_s: float, shift_at_s: float, duration_s: float, seed: int) -> Trace:
    """A constant request rate whose lengths come from `before` until `shift_at_s` and from `after` thenceforth."""
    rng = np.random.default_rng(seed)
    return followed_by(
        _poisson(rate_per_s, shift_at_s, before, rng, before.name),
        _poisson(rate_per_s, duration_s - shift_at_s, after, rng, after.name),
    )


def _poisson(rate_per_s: float, duration_s: float, lengths: Trace, rng: np.random.Generator, name: str) -> Trace:
    return _with_lengths(_arrivals(rate_per_s, duration_s, rng), duration_s, lengths, rng, name)


def _arrivals(rate_per_s: float, duration_s: float, rng: np.random.Generator) -> Floats:
    return np.sort(rng.uniform(0.0, duration_s, rng.poisson(rate_per_s * duration_s)))


def _with_lengths(arrival_s: Floats, duration_s: float, lengths: Trace, rng: np.random.Generator, name: str) -> Trace:
    if not len(lengths):
        raise TraceError(f"trace {lengths.name!r} has no requests to draw lengths from")
    rows = rng.integers(0, len(lengths), arrival_s.size)
    return Trace(
        name=name,
        arrival_s=arrival_s,
        input_tokens=lengths.input_tokens[rows],
        output_tokens=lengths.output_tokens[rows],
        cached_tokens=lengths.cached_tokens[rows],
        duration_s=duration_s,
    )
