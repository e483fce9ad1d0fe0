"""What profilers write, as points: Dynamo's profiler and mocker, AIConfigurator, and a format of our own.

Fields and units as in ai-dynamo 1.5.1 (`profiler/utils/profile_{prefill,decode}.py`, `planner/monitoring/
perf_metrics.py`) and aiconfigurator 0.12.0 (`sdk/common.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails

from autoscaler.config.base import Strict
from autoscaler.config.document import Document, read_documents
from autoscaler.config.fields import keys_of
from autoscaler.config.problems import Problem, nearest
from autoscaler.config.profile_fit import DecodePoints, PrefillPoints
from autoscaler.config.profile_tables import Column, ProfileError, Table, read_bytes, read_table
from autoscaler.config.values import Duration
from autoscaler.config.wording import path_of, shorten, words_of

Mask = NDArray[np.bool_]

_ROUNDING = 1.05  # a batch that fills the cache is written as a hair more than all of it
_DYNAMO_FILES = (
    ("selected_prefill_interpolation/raw_data.npz", "prefill_raw_data.json"),
    ("selected_decode_interpolation/raw_data.npz", "decode_raw_data.json"),
)
_AICONFIGURATOR_FILE = "pareto.csv"


@dataclass(frozen=True, slots=True)
class Measured:
    """Points of a profile, as far as it has any.

    Attributes:
        prefill: Times of prefill passes.
        decode: Times of decode steps.
        kv_capacity_tokens: KV tokens that the profiled replica held.
        max_sequences: Largest batch that it accepted.
    """

    prefill: PrefillPoints | None = None
    decode: DecodePoints | None = None
    kv_capacity_tokens: float | None = None
    max_sequences: int | None = None


def read_measured(path: Path) -> Measured:
    """Read a profile: a file, or the folder that a profiler left.

    Raises:
        ProfileError: There is nothing usable in it.
    """
    if path.is_dir():
        return _folder(path)
    if path.suffix in (".yaml", ".yml"):
        return _own(path)
    return _table(read_table(path))


def _folder(folder: Path) -> Measured:
    prefill, decode = (
        next((folder / name for name in names if (folder / name).is_file()), None) for names in _DYNAMO_FILES
    )
    if prefill is not None or decode is not None:
        read_prefill = _table(read_table(prefill)) if prefill is not None else Measured()
        read_decode = _table(read_table(decode)) if decode is not None else Measured()
        return Measured(read_prefill.prefill, read_decode.decode, read_decode.kv_capacity_tokens)
    sweep = folder / _AICONFIGURATOR_FILE
    if not sweep.is_file():
        looked_for = ", ".join([*(name for names in _DYNAMO_FILES for name in names), _AICONFIGURATOR_FILE])
        raise ProfileError(f"{folder}: holds none of {looked_for}")
    return _table(read_table(sweep))


def _table(table: Table) -> Measured:
    columns = table.columns
    nested = [columns.get(phase) for phase in ("prefill", "decode")]
    if any(isinstance(part, dict) for part in nested):
        merged = {key: value for part in nested if isinstance(part, dict) for key, value in part.items()}
        return _dynamo(Table(table.path, merged))
    if table.has("(p)bs", "(d)bs"):
        return _aiconfigurator_pairs(table)
    if table.has("bs", "isl"):
        return _aiconfigurator_static(table)
    return _dynamo(table)


def _dynamo(table: Table) -> Measured:
    prefill = decode = capacity = None
    if table.has("prefill_isl"):
        prefill = _dynamo_prefill(table)
    if table.has("x_kv_usage"):
        capacity = float(table.numbers("max_kv_tokens", "tokens").reshape(-1)[0])
        decode = _dynamo_decode(table, capacity)
    elif table.has("decode_itl"):
        decode = _mocker_decode(table)
    if prefill is None and decode is None:
        found = ", ".join(table.columns) or "nothing"
        raise ProfileError(
            f"{table.path}: is of no profiler known here: it has {found}; prefill_isl and prefill_ttft, x_kv_usage, "
            "y_context_length, z_itl and max_kv_tokens, or AIConfigurator's columns are wanted"
        )
    return Measured(prefill, decode, capacity)


def _dynamo_prefill(table: Table) -> PrefillPoints:
    tokens = table.numbers("prefill_isl", "tokens")
    name = "prefill_ttft" if table.has("prefill_ttft") else "prefill_ttft_ms"
    time_ms = table.numbers(name, "a time in ms")
    table.together(tokens, time_ms)
    return PrefillPoints(tokens, np.zeros_like(tokens), np.ones_like(tokens), time_ms)


def _dynamo_decode(table: Table, capacity: float) -> DecodePoints:
    usage = table.numbers("x_kv_usage", "a share of the KV cache", most=_ROUNDING)
    context = table.numbers("y_context_length", "tokens")
    time_ms = table.numbers("z_itl", "a time in ms")
    table.together(usage, context, time_ms)
    kv_tokens = usage * capacity
    return DecodePoints(np.maximum(kv_tokens / context, 1.0), kv_tokens, time_ms)


def _mocker_decode(table: Table) -> DecodePoints:
    """The grid that Dynamo's mocker reads; corners with less than one sequence tell nothing."""
    resident = table.numbers("decode_active_kv_tokens", "tokens", zero=True)
    context = table.numbers("decode_context_length", "tokens")
    time_ms = table.numbers("decode_itl", "a time in ms")
    if time_ms.shape != (resident.size, context.size):
        raise ProfileError(
            f"{table.path}: decode_itl has the shape {time_ms.shape}; one time for each of {resident.size} "
            f"decode_active_kv_tokens and {context.size} decode_context_length is wanted"
        )
    kv_tokens, lengths = np.meshgrid(resident, context, indexing="ij")
    real = kv_tokens >= lengths
    return DecodePoints((kv_tokens / lengths)[real], kv_tokens[real], time_ms[real])


def _aiconfigurator_static(table: Table) -> Measured:
    """Rows of single runs: a prefill pass of `bs` prompts, and a decode step half-way through the output."""
    if not table.has("context_latency"):
        raise ProfileError(
            f"{table.path}: rows of an aggregated arrangement do not tell the phases apart; "
            "use those of a disaggregated one, or of static runs"
        )
    prompt, output = table.numbers("isl", "tokens"), table.numbers("osl", "tokens", zero=True)
    batch = table.numbers("bs", "sequences")
    prefill_ms = table.numbers("context_latency", "a time in ms", zero=True)
    step_ms = table.numbers("tpot", "a time in ms", zero=True)
    table.together(prompt, output, batch, prefill_ms, step_ms)
    did_prefill, did_decode = prefill_ms > 0, step_ms > 0
    prefill = PrefillPoints(prompt, _cached(table, prompt), batch, prefill_ms)
    kv_tokens = batch * (prompt + output / 2)
    return Measured(
        _only_prefill(prefill, did_prefill) if did_prefill.any() else None,
        DecodePoints(batch[did_decode], kv_tokens[did_decode], step_ms[did_decode]) if did_decode.any() else None,
    )


def _aiconfigurator_pairs(table: Table) -> Measured:
    """Rows of disaggregated arrangements; those with the parallelism of the first, which is the best one, count.

    Prefill times follow from the rate of a worker: `ttft` has an allowance for waiting in it.
    """
    prompt, output = table.numbers("isl", "tokens"), table.numbers("osl", "tokens")
    prompts, sequences = table.numbers("(p)bs", "prompts"), table.numbers("(d)bs", "sequences")
    rate, step_ms = table.numbers("(p)seq/s/worker", "prompts per second"), table.numbers("tpot", "a time in ms")
    table.together(prompt, output, prompts, sequences, rate, step_ms)
    prefill = PrefillPoints(prompt, _cached(table, prompt), prompts, prompts / rate * 1e3)
    alike = _like_first(table, "(d)parallel", sequences.size)
    kv_tokens = sequences * (prompt + output / 2)
    return Measured(
        _only_prefill(prefill, _like_first(table, "(p)parallel", prompts.size)),
        DecodePoints(sequences[alike], kv_tokens[alike], step_ms[alike]),
    )


def _like_first(table: Table, name: str, size: int) -> Mask:
    values = table.columns.get(name)
    if not isinstance(values, list):
        return np.ones(size, dtype=bool)
    return np.array([value == values[0] for value in values], dtype=bool)


def _cached(table: Table, prompt: Column) -> Column:
    if not table.has("prefix"):
        return np.zeros_like(prompt)
    cached = table.numbers("prefix", "tokens", zero=True)
    table.together(prompt, cached)
    return np.minimum(cached, prompt)


def _only_prefill(points: PrefillPoints, mask: Mask) -> PrefillPoints:
    return PrefillPoints(
        points.prompt_tokens[mask], points.cached_tokens[mask], points.requests[mask], points.time_ms[mask]
    )


_Time = Annotated[float, Duration(0.000_01, 600, "70ms")]


class _PrefillPoint(Strict):
    prompt_tokens: int = Field(alias="promptTokens", ge=1, le=10_000_000)
    cached_tokens: int = Field(default=0, alias="cachedTokens", ge=0)
    requests: int = Field(default=1, ge=1, le=100_000)
    time_s: _Time = Field(alias="time")


class _DecodePoint(Strict):
    sequences: int = Field(ge=1, le=100_000)
    context_tokens: int = Field(alias="contextTokens", ge=1, le=10_000_000)
    time_s: _Time = Field(alias="time")


_POINTS: dict[str | int, type[Strict]] = {"prefill": _PrefillPoint, "decode": _DecodePoint}


class _OwnProfile(Strict):
    api_version: Literal["pd-autoscaler.io/v1alpha1"] = Field(alias="apiVersion")
    kind: Literal["EngineProfile"]
    kv_capacity_tokens: float | None = Field(default=None, alias="kvCapacityTokens", gt=0)
    max_sequences: int | None = Field(default=None, alias="maxSequences", ge=1)
    prefill: tuple[_PrefillPoint, ...] = Field(default=(), strict=False)
    decode: tuple[_DecodePoint, ...] = Field(default=(), strict=False)


def _own(path: Path) -> Measured:
    documents, problems = read_documents(
        read_bytes(path), str(path), holds="profile", keys=", ".join(keys_of(_OwnProfile))
    )
    if problems or len(documents) != 1:
        raise ProfileError(str(problems[0]) if problems else f"{path}: holds {len(documents)} documents; one is wanted")
    try:
        found = _OwnProfile.model_validate(documents[0].data)
    except ValidationError as error:
        found_wrong = error.errors(include_url=False)
        # A misspelt key is why another one is missing.
        first = next((one for one in found_wrong if one["type"] == "extra_forbidden"), found_wrong[0])
        raise ProfileError(str(_problem(first, documents[0]))) from None
    prefill, decode = found.prefill, found.decode
    if not prefill and not decode:
        raise ProfileError(f"{path}: has neither prefill nor decode points")
    too_cached = next((point for point in prefill if point.cached_tokens >= point.prompt_tokens), None)
    if too_cached is not None:
        raise ProfileError(f"{path}: cachedTokens {too_cached.cached_tokens} is not less than promptTokens")
    return Measured(_own_prefill(prefill), _own_decode(decode), found.kv_capacity_tokens, found.max_sequences)


def _problem(detail: ErrorDetails, document: Document) -> Problem:
    loc, kind = detail["loc"], detail["type"]
    place, line = path_of(loc), document.line_of(loc)
    if kind == "extra_forbidden":
        model = _POINTS.get(loc[0], _OwnProfile) if len(loc) > 1 else _OwnProfile
        keys = keys_of(model)
        near = nearest(str(loc[-1]), keys)
        return Problem(place, "is no key of this place", None, ", ".join(keys), near, document.file, line)
    written = document.written(loc)
    message, allowed, near = words_of(kind, detail.get("ctx", {}), detail, written)
    value = shorten(written or "''") if written is not None and kind != "missing" else None
    return Problem(place, message, value, allowed, near, document.file, line)


def _own_prefill(points: tuple[_PrefillPoint, ...]) -> PrefillPoints | None:
    if not points:
        return None
    rows = np.array([(p.prompt_tokens, p.cached_tokens, p.requests, p.time_s * 1e3) for p in points], dtype=np.float64)
    return PrefillPoints(rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3])


def _own_decode(points: tuple[_DecodePoint, ...]) -> DecodePoints | None:
    if not points:
        return None
    rows = np.array([(p.sequences, p.sequences * p.context_tokens, p.time_s * 1e3) for p in points], dtype=np.float64)
    return DecodePoints(rows[:, 0], rows[:, 1], rows[:, 2])
