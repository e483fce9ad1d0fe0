"""Mooncake's traces: JSON lines with the prefixes of each prompt, which tell what a cache holds."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np

from autoscaler.simulation.traces.checks import MOST_TOKENS, replayable, tokens_wanted
from autoscaler.simulation.traces.trace import Trace, TraceError

MOONCAKE_BLOCK_TOKENS = 512
"""Prompt tokens behind one entry of `hash_ids` (kvcache-ai/Mooncake, FAST25-release)."""


@dataclass(frozen=True, slots=True)
class _Request:
    line: int
    arrival_ms: float
    input_tokens: int
    output_tokens: int
    prefixes: Sequence[int | str]


def parse_mooncake(text: str, title: str, *, where: str) -> Trace:
    """Make a trace of JSON lines; arrivals become seconds from the first request.

    Args:
        text: Content of the file, at least one line.
        title: Name of the trace.
        where: The file, for messages.

    Raises:
        TraceError: A line is no request, or none can be replayed.
    """
    lines = enumerate(text.splitlines(), start=1)
    requests = [_request(line, number, where) for number, line in lines if line.strip()]
    requests.sort(key=lambda request: request.arrival_ms)
    arrival_s = np.array([request.arrival_ms for request in requests], dtype=np.float64) / 1000
    return replayable(
        title,
        [request.line for request in requests],
        arrival_s - arrival_s[0],
        np.array([request.input_tokens for request in requests], dtype=np.int64),
        np.array([request.output_tokens for request in requests], dtype=np.int64),
        np.array(list(_cached_tokens(requests)), dtype=np.int64),
        where=where,
    )


def _request(line: str, number: int, where: str) -> _Request:
    try:
        entry = json.loads(line)
        return _Request(
            number,
            _finite(float(entry["timestamp"])),
            _tokens(entry, "input_length"),
            _tokens(entry, "output_length"),
            _prefixes(entry.get("hash_ids")),
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise TraceError(
            f"{where}, line {number}: no Mooncake request: {line[:120]!r} ({type(error).__name__}: {error}). "
            "Needed are timestamp in ms, input_length and output_length; hash_ids tell what is cached"
        ) from error


def _finite(timestamp: float) -> float:
    if not math.isfinite(timestamp):
        raise ValueError(f"timestamp is {timestamp}; a finite number is wanted")
    return timestamp


def _tokens(entry: dict[str, Any], key: str) -> int:
    tokens = int(entry[key])
    if not 0 <= tokens <= MOST_TOKENS:
        raise ValueError(tokens_wanted(key, tokens))
    return tokens


def _prefixes(given: Any) -> Sequence[int | str]:
    """The prefixes of a prompt; a null is how some writers spell that there are none."""
    if given is None:
        return ()
    if not isinstance(given, list) or not all(isinstance(prefix, int | str) for prefix in given):
        raise TypeError(f"hash_ids is {str(given)[:60]}; a list of numbers is wanted")
    return given


def _cached_tokens(requests: Iterable[_Request]) -> Iterable[int]:
    """Tokens of each prompt that earlier requests left in an infinite fleet-wide cache.

    An entry of `hash_ids` names a whole prefix, not a block's content, so the first unknown entry ends the hit.
    """
    seen: set[int | str] = set()
    for request in requests:
        hits = sum(1 for _ in takewhile(seen.__contains__, request.prefixes))
        seen.update(request.prefixes)
        yield min(hits * MOONCAKE_BLOCK_TOKENS, request.input_tokens)
