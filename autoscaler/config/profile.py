"""What a profiler measured of one replica, as the timing model: read, fitted, and refused where it cannot be true."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autoscaler.config.profile_fit import (
    DecodeFit,
    DecodePoints,
    PrefillFit,
    PrefillPoints,
    fit_decode,
    fit_prefill,
)
from autoscaler.config.profile_formats import read_measured
from autoscaler.config.profile_tables import ProfileError
from autoscaler.core.capacity import DecodeStep, PrefillTime

_LEAST_POINTS = 3
# A model that misses its own points by this much on average explains nothing.
_MOST_ERROR_RATIO = 0.3
# Beyond any engine: a prompt token in less, a step in less or more.
_LEAST_PREFILL_US_PER_TOKEN, _MOST_PREFILL_US_PER_TOKEN = 0.3, 100_000.0
_LEAST_STEP_MS, _MOST_STEP_MS = 0.2, 10_000.0
_LEAST_KV_TOKENS, _MOST_KV_TOKENS = 100.0, 1e9


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known from a profile.

    Attributes:
        source: The file and how well the model fits it, in words.
        prefill: Prefill timing; None where it has none.
        decode: Decode timing; None where it has none.
        kv_capacity_tokens: KV tokens of the profiled replica; None where it does not say.
        max_sequences: Its largest batch; None where it does not say.
    """

    source: str
    prefill: PrefillTime | None
    decode: DecodeStep | None
    kv_capacity_tokens: float | None
    max_sequences: int | None


def read_profile(path: Path) -> Profile:
    """Read a profile and fit the timing model to it.

    Args:
        path: A file (.yaml of our own; .npz, .json of Dynamo's profiler; .csv, .json of AIConfigurator), or the folder
            that a profiler left.

    Raises:
        ProfileError: It cannot be read, or cannot be true.
    """
    found = read_measured(path)
    if found.kv_capacity_tokens is not None and not _LEAST_KV_TOKENS <= found.kv_capacity_tokens <= _MOST_KV_TOKENS:
        raise ProfileError(f"{path}: a KV capacity of {found.kv_capacity_tokens:g} tokens is none that a replica has")
    prefill = _prefill(found.prefill, path) if found.prefill is not None else None
    decode = _decode(found.decode, path) if found.decode is not None else None
    return Profile(
        f"profile {path.name} ({_error(prefill, decode)})",
        prefill.timing if prefill is not None else None,
        decode.timing if decode is not None else None,
        found.kv_capacity_tokens,
        found.max_sequences,
    )


def _error(prefill: PrefillFit | None, decode: DecodeFit | None) -> str:
    parts = {"prefill": prefill, "decode": decode}
    return ", ".join(f"{name} within {fit.error_ratio:.1%}" for name, fit in parts.items() if fit is not None)


def _prefill(points: PrefillPoints, path: Path) -> PrefillFit:
    _check_count(points.time_ms.size, "prefill", path)
    us_per_token = points.time_ms * 1e3 / (points.requests * points.prompt_tokens)
    fastest, slowest = float(us_per_token.min()), float(us_per_token[points.prompt_tokens.argmax()])
    if fastest < _LEAST_PREFILL_US_PER_TOKEN or slowest > _MOST_PREFILL_US_PER_TOKEN:
        wrong = fastest if fastest < _LEAST_PREFILL_US_PER_TOKEN else slowest
        raise ProfileError(f"{path}: {wrong:.3g} us per prompt token is beyond any engine; is the unit of time ms?")
    fit = fit_prefill(points)
    _check_error(fit.error_ratio, "prefill", path)
    if fit.timing.b_ms_per_token == 0 and fit.timing.c_ms_per_token2 == 0:
        raise ProfileError(f"{path}: prefill takes as long for any prompt; are the columns mixed up?")
    return fit


def _decode(points: DecodePoints, path: Path) -> DecodeFit:
    _check_count(points.time_ms.size, "decode", path)
    shortest, longest = float(points.time_ms.min()), float(points.time_ms.max())
    if shortest < _LEAST_STEP_MS or longest > _MOST_STEP_MS:
        wrong = shortest if shortest < _LEAST_STEP_MS else longest
        raise ProfileError(f"{path}: a decode step of {wrong:.3g} ms is beyond any engine; is the unit of time ms?")
    fit = fit_decode(points)
    _check_error(fit.error_ratio, "decode", path)
    pieces = [fit.timing] if fit.timing.small_batch is None else [fit.timing, fit.timing.small_batch]
    if any(piece.d1_ms_per_sequence == 0 and piece.d2_ms_per_kv_token == 0 for piece in pieces):
        raise ProfileError(f"{path}: decode steps take as long at any load; are the columns mixed up?")
    return fit


def _check_count(count: int, phase: str, path: Path) -> None:
    if count < _LEAST_POINTS:
        raise ProfileError(f"{path}: has {count} {phase} points; {_LEAST_POINTS} at least are needed to fit a model")


def _check_error(error_ratio: float, phase: str, path: Path) -> None:
    if error_ratio > _MOST_ERROR_RATIO:
        raise ProfileError(f"{path}: the {phase} times follow no engine's model: it misses them by {error_ratio:.0%}")
