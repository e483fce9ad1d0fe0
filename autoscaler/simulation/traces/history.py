"""Requests that fit what a monitoring system remembers of them: counts, length histograms, cache shares, step by step.

What metrics have lost cannot come back, and `reconstruct` says so: when within a step each request came, and which
prompt length went with which answer length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from autoscaler.simulation.traces.trace import Floats, Ints, Trace, TraceError

_SPREAD = 0.8
"""Standard deviation of the logarithm of lengths where only their mean is known; real traces have 0.7 to 1.1."""
_MOST_CORRECTION = 2.0
_SPARSE = 0.5  # below this share of known steps a replay is a guess


@dataclass(frozen=True, slots=True, eq=False)
class LengthHistory:
    """Lengths of prompts or answers, step by step.

    Attributes:
        mean_tokens: Mean length, shape (steps,); NaN where unknown.
        bounds: Upper bounds of the histogram's buckets, ascending, shape (buckets,); the last may be infinite. Empty
            where the stack exports no histogram.
        counts: Requests per step and bucket, not cumulative, shape (steps, buckets).
    """

    mean_tokens: Floats
    bounds: Floats
    counts: Floats

    @classmethod
    def of_means(cls, mean_tokens: Floats) -> LengthHistory:
        """Lengths of which only the mean is known."""
        return cls(mean_tokens, np.zeros(0), np.zeros((mean_tokens.size, 0)))


@dataclass(frozen=True, slots=True, eq=False)
class LoadHistory:
    """The load of a service, step by step; all arrays begin with a dimension of (steps,).

    Attributes:
        step_s: Length of a step.
        requests_per_s: Requests per second within the step; NaN where unknown.
        inputs: Prompt lengths.
        outputs: Answer lengths.
        uncached_ratio: Share of prompt tokens that no prefix cache held; NaN where unknown.
    """

    step_s: float
    requests_per_s: Floats
    inputs: LengthHistory
    outputs: LengthHistory
    uncached_ratio: Floats

    @property
    def coverage_ratio(self) -> float:
        """Share of the steps whose request rate is known."""
        return float(np.isfinite(self.requests_per_s).mean()) if self.requests_per_s.size else 0.0


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """A load made of a history.

    Attributes:
        trace: The requests.
        coverage_ratio: Share of the time that the history knows; the rest has no requests.
        remarks: What was measured, what was assumed and what is lost.
    """

    trace: Trace
    coverage_ratio: float
    remarks: tuple[str, ...]


def reconstruct(history: LoadHistory, seed: int, *, name: str = "prometheus") -> Reconstruction:
    """Make requests that have the history's counts, lengths and cache shares. The same seed makes the same requests.

    Each step has as many requests as were counted, at random times within it, as a Poisson process of that count has.
    Lengths are drawn from the step's histogram, evenly on a logarithmic scale within a bucket, and scaled to its mean.

    Raises:
        TraceError: There is no request in the history.
    """
    rng = np.random.default_rng(seed)
    rate = np.nan_to_num(history.requests_per_s)
    totals = np.floor(np.concatenate(([0.0], np.cumsum(rate * history.step_s))) + 0.5).astype(np.int64)
    counts = np.diff(totals)
    if not counts.sum():
        raise TraceError(
            f"{name}: the history of {rate.size * history.step_s / 3600:.3g} h holds no request "
            f"({history.coverage_ratio:.0%} of it is known): is the time right, and do the labels match?"
        )
    step = np.repeat(np.arange(counts.size), counts)
    arrival_s = (step + rng.random(step.size)) * history.step_s
    order = np.argsort(arrival_s, kind="stable")
    inputs = _lengths(history.inputs, counts, rng)
    outputs = _lengths(history.outputs, counts, rng)
    known = np.isfinite(history.uncached_ratio)
    usual = float(np.average(history.uncached_ratio[known])) if known.any() else 1.0
    uncached = np.clip(np.where(known, history.uncached_ratio, usual), 0.0, 1.0)
    cached = np.floor(inputs * (1.0 - uncached[step])).astype(np.int64)
    trace = Trace.of(
        arrival_s[order], inputs[order], outputs[order], cached[order], name=name, duration_s=rate.size * history.step_s
    )
    return Reconstruction(trace, history.coverage_ratio, tuple(_remarks(history, len(trace))))


def _lengths(lengths: LengthHistory, counts: Ints, rng: np.random.Generator) -> Ints:
    """A length for each request, step after step."""
    every = lengths.counts.sum(axis=0)
    known = np.isfinite(lengths.mean_tokens)
    usual = float(np.average(lengths.mean_tokens[known])) if known.any() else math.nan
    drawn = []
    for place in np.flatnonzero(counts).tolist():
        row = lengths.counts[place] if lengths.counts[place].sum() > 0 else every
        mean = float(lengths.mean_tokens[place]) if known[place] else usual
        drawn.append(_draw(row, lengths.bounds, mean, int(counts[place]), rng))
    return np.maximum(np.rint(np.concatenate(drawn)), 1.0).astype(np.int64)


def _draw(row: Floats, bounds: Floats, mean: float, count: int, rng: np.random.Generator) -> Floats:
    if not row.size or row.sum() <= 0:
        if not math.isfinite(mean):
            raise TraceError("nothing is known of the lengths of prompts or answers: no mean and no histogram")
        return mean * np.exp(_SPREAD * rng.standard_normal(count) - _SPREAD * _SPREAD / 2.0)
    low, high = _edges(bounds)
    bucket = np.searchsorted(np.cumsum(row) / row.sum(), rng.random(count), side="right")
    bucket = np.minimum(bucket, row.size - 1)
    drawn: Floats = low[bucket] * (high[bucket] / low[bucket]) ** rng.random(count)
    if not math.isfinite(mean):
        return drawn
    ratio = np.where(high > low, high / low, math.e)
    middle = np.where(high > low, (high - low) / np.log(ratio), low)  # mean of a log-uniform bucket
    return drawn * float(np.clip(mean / (row @ middle / row.sum()), 1.0 / _MOST_CORRECTION, _MOST_CORRECTION))


def _edges(bounds: Floats) -> tuple[Floats, Floats]:
    """Lower and upper edges of the buckets, above 0; an endless last bucket ends at twice its start."""
    low = np.maximum(np.concatenate(([0.0], bounds[:-1])), 1.0)
    high = np.where(np.isfinite(bounds), np.maximum(bounds, low), 2.0 * low)
    return low, high


def _remarks(history: LoadHistory, requests: int) -> list[str]:
    hours = history.requests_per_s.size * history.step_s / 3600
    made = f"{requests:,} requests over {hours:.4g} h were reconstructed from metrics: as many per {history.step_s:g} s"
    remarks = [f"{made} as finished then. When each came within that time is random, so shorter bursts are smoothed."]
    for what, lengths in (("Prompt", history.inputs), ("Answer", history.outputs)):
        if lengths.bounds.size:
            remarks.append(f"{what} lengths were drawn from the histogram of each step and scaled to its mean.")
        else:
            remarks.append(f"{what} lengths: only their mean is exported, so a usual spread around it was assumed.")
    remarks.append("Which prompt length went with which answer length is lost; they were drawn independently.")
    if np.isfinite(history.uncached_ratio).any():
        remarks.append("The share of prompt tokens that a prefix cache held is as measured, the same for all requests.")
    else:
        remarks.append("No cache share is exported, so every prompt token counts as computed: the need is overstated.")
    if history.coverage_ratio < 1.0:
        doubt = " That is too little to build on." if history.coverage_ratio < _SPARSE else ""
        remarks.append(f"{1.0 - history.coverage_ratio:.1%} of the time has no data; it has no requests here.{doubt}")
    return remarks
