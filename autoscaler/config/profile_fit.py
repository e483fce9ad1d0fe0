"""From measured points to the constants of the timing model: least squares on relative errors, nothing negative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from autoscaler.core.capacity import DecodeStep, PrefillTime

Column = NDArray[np.float64]

# Batches up to this many sequences may follow constants of their own: few enough to touch only some of the experts.
_SPLITS = (4, 8, 16, 32)
# A piece needs more points than constants, and two pieces must be this much better than one.
_LEAST_POINTS_A_PIECE = 4
_WORTH_A_SECOND_PIECE = 0.6
# Below this, one piece is as good as measurements are.
_GOOD_ERROR_RATIO = 0.05


@dataclass(frozen=True, slots=True)
class PrefillPoints:
    """Times of prefill passes, each of `requests` prompts alike.

    Attributes:
        prompt_tokens: Tokens of each prompt.
        cached_tokens: Those of them that a prefix cache held.
        requests: Prompts in the pass.
        time_ms: Time of the pass.
    """

    prompt_tokens: Column
    cached_tokens: Column
    requests: Column
    time_ms: Column


@dataclass(frozen=True, slots=True)
class DecodePoints:
    """Times of decode steps.

    Attributes:
        sequences: Sequences in the batch.
        kv_tokens: Tokens that they hold together.
        time_ms: Time of the step.
    """

    sequences: Column
    kv_tokens: Column
    time_ms: Column


@dataclass(frozen=True, slots=True)
class PrefillFit:
    """Prefill timing and its mean relative error on the points."""

    timing: PrefillTime
    error_ratio: float


@dataclass(frozen=True, slots=True)
class DecodeFit:
    """Decode timing and its mean relative error on the points."""

    timing: DecodeStep
    error_ratio: float


def fit_prefill(points: PrefillPoints) -> PrefillFit:
    """Fit `a + b*u + c*(L^2 - cached^2)`.

    Points of one length only cannot tell the parts apart; all of the time is then taken as proportional to tokens.
    """
    uncached = points.requests * (points.prompt_tokens - points.cached_tokens)
    squares = points.requests * (points.prompt_tokens**2 - points.cached_tokens**2)
    columns = [np.ones_like(uncached), uncached, squares]
    usable = (0, 1, 2) if len(np.unique(points.prompt_tokens)) > 1 else (1,)
    (a, b, c), error = _fit(columns, points.time_ms, usable)
    return PrefillFit(PrefillTime(a, b, c), error)


def fit_decode(points: DecodePoints) -> DecodeFit:
    """Fit `d0 + d1*B + d2*KV`, in two pieces by batch size where that is much better (mixture of experts).

    Points of one context length only cannot tell sequences from tokens; what grows is then taken to grow with tokens.
    """
    whole, error = _decode_piece(points, np.ones_like(points.time_ms, dtype=bool))
    best, least = whole, error
    for split in _SPLITS if error > _GOOD_ERROR_RATIO else ():
        few = points.sequences <= split
        if min(few.sum(), (~few).sum()) < _LEAST_POINTS_A_PIECE:
            continue
        (small, small_error), (large, large_error) = _decode_piece(points, few), _decode_piece(points, ~few)
        joint = float((small_error * few.sum() + large_error * (~few).sum()) / few.size)
        if joint < min(least, _WORTH_A_SECOND_PIECE * error):
            best = DecodeStep(large.d0_ms, large.d1_ms_per_sequence, large.d2_ms_per_kv_token, small, split)
            least = joint
    return DecodeFit(best, least)


def _decode_piece(points: DecodePoints, mask: NDArray[np.bool_]) -> tuple[DecodeStep, float]:
    sequences, kv_tokens = points.sequences[mask], points.kv_tokens[mask]
    contexts = np.unique(np.round(kv_tokens / sequences))
    columns = [np.ones_like(sequences), sequences, kv_tokens]
    (d0, d1, d2), error = _fit(columns, points.time_ms[mask], (0, 1, 2) if len(contexts) > 1 else (0, 2))
    return DecodeStep(d0, d1, d2), error


def _fit(columns: Sequence[Column], time_ms: Column, usable: Sequence[int]) -> tuple[tuple[float, float, float], float]:
    """Non-negative constants of the columns with the least squared relative error, and its mean.

    Exact for so few columns: the optimum is the unconstrained one of some subset of them.
    """
    scaled = np.stack(columns, axis=1) / time_ms[:, None]
    units = np.linalg.norm(scaled, axis=0)
    units[units == 0] = 1.0
    best, least = np.zeros(3), np.inf
    for size in range(1, len(usable) + 1):
        for subset in combinations(usable, size):
            part = scaled[:, subset] / units[list(subset)]
            found, *_ = np.linalg.lstsq(part, np.ones_like(time_ms), rcond=None)
            loss = float(np.sum((part @ found - 1.0) ** 2))
            if (found >= 0).all() and loss < least:
                best, least = np.zeros(3), loss
                best[list(subset)] = found / units[list(subset)]
    error = float(np.mean(np.abs(scaled @ best - 1.0)))
    return (float(best[0]), float(best[1]), float(best[2])), error
