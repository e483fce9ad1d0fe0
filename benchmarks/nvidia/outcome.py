"""What a run came to, in one form for both simulators."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autoscaler.core.policy import Objectives

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


def request_order(arrival_s: Floats, input_tokens: Ints, output_tokens: Ints) -> npt.NDArray[np.intp]:
    """Order in which both simulators' requests match; arrivals are compared to the microsecond."""
    microseconds = np.round(arrival_s * 1e6)
    return np.lexsort((output_tokens, input_tokens, microseconds))


def quantile(values: Floats, share: float) -> float:
    """A quantile over what is known; NaN without anything."""
    known = values[~np.isnan(values)]
    return float(np.quantile(known, share)) if known.size else float("nan")
