"""A run as it went, bin by bin: what charts of it are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.core.policy import Role
from autoscaler.report.charts.series import Floats


@dataclass(frozen=True, slots=True, eq=False)
class RunTimeline:
    """One run, bin by bin; arrays have shape (bins,). NaN where nothing arrived.

    Attributes:
        bin_s: Length of a bin.
        at_s: Where each bin begins, in seconds of the trace.
        requests_per_s: Arrivals.
        input_tokens_per_s: Prompt tokens that arrived.
        ttft_p95_s: 95th percentile of TTFT of the bin's arrivals.
        tpot_p95_s: 95th percentile of TPOT.
        in_time_ratio: Share of the bin's arrivals inside both objectives.
        missed: Requests outside an objective.
        apart_ratio: Share of the bin's answered requests that a prefill replica prefilled.
        ready: Replicas that serve, per role, mean over the bin.
        gpus: GPUs held, by starting and draining replicas too.
    """

    bin_s: float
    at_s: Floats
    requests_per_s: Floats
    input_tokens_per_s: Floats
    ttft_p95_s: Floats
    tpot_p95_s: Floats
    in_time_ratio: Floats
    missed: Floats
    apart_ratio: Floats
    ready: Mapping[Role, Floats]
    gpus: Floats
