"""What a run came to, in one form for both simulators."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autoscaler.core.policy import Objectives

_SCALARS = ("preemptions", "gpu_hours", "duration_s", "took_s")
_CHANGE = [("at_s", "f8"), ("role", "U16"), ("before", "i8"), ("after", "i8")]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """One run; the arrays hold one entry per request, in order of (arrival, prompt, answer).

    Attributes:
        ttft_s: Time to first token; NaN without one.
        tpot_s: Mean gap between tokens; NaN for a single token.
        finished: Whether the request got all its tokens.
        preemptions: How often a request was thrown out of a batch for want of KV blocks.
        gpu_hours: Starting and draining workers included.
        changes: Replica counts that were changed: (time in s, role, before, after).
        duration_s: Simulated time that GPUs were paid for.
        took_s: Wall time of the simulation alone.
    """

    ttft_s: Floats
    tpot_s: Floats
    finished: npt.NDArray[np.bool_]
    preemptions: int
    gpu_hours: float
    changes: tuple[tuple[float, str, int, int], ...]
    duration_s: float
    took_s: float

    def attainment(self, objectives: Objectives) -> float:
        """Share of all requests that finished inside both objectives; a single token has no TPOT to miss."""
        in_time = (self.ttft_s <= objectives.ttft.target_s) & ~(self.tpot_s > objectives.tpot.target_s)
        return float((self.finished & in_time).mean())


def keep(outcome: Outcome, path: Path) -> None:
    """Write a run to a file, whole or not at all."""
    fresh = path.with_suffix(".fresh.npz")
    np.savez_compressed(
        fresh,
        ttft_s=outcome.ttft_s,
        tpot_s=outcome.tpot_s,
        finished=outcome.finished,
        scalars=np.array([getattr(outcome, name) for name in _SCALARS]),
        changes=np.array(list(outcome.changes), dtype=_CHANGE),
    )
    fresh.replace(path)


def recall(path: Path) -> Outcome:
    """Read a run that was kept."""
    with np.load(path) as kept:
        preemptions, gpu_hours, duration_s, took_s = kept["scalars"].tolist()
        return Outcome(
            kept["ttft_s"],
            kept["tpot_s"],
            kept["finished"],
            int(preemptions),
            gpu_hours,
            tuple(kept["changes"].tolist()),
            duration_s,
            took_s,
        )


def request_order(arrival_s: Floats, input_tokens: Ints, output_tokens: Ints) -> npt.NDArray[np.intp]:
    """Order in which both simulators' requests match; arrivals are compared to the microsecond."""
    microseconds = np.round(arrival_s * 1e6)
    return np.lexsort((output_tokens, input_tokens, microseconds))


def quantile(values: Floats, share: float) -> float:
    """A quantile over what is known; NaN without anything."""
    known = values[~np.isnan(values)]
    return float(np.quantile(known, share)) if known.size else float("nan")
