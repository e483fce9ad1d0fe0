"""A run as it went: load, latencies, replicas and what was needed, bin by bin; what charts are drawn from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from autoscaler.core.policy import Role
from autoscaler.report.run import RunTimeline
from autoscaler.simulation.clairvoyant.bound import ROLES
from autoscaler.simulation.clairvoyant.demand import SLOT_S, slot_loads
from autoscaler.simulation.clairvoyant.levels import optimal_stays
from autoscaler.simulation.clairvoyant.schedule import Schedule
from autoscaler.simulation.clairvoyant.shed import shed
from autoscaler.simulation.clairvoyant.work import work_of
from autoscaler.simulation.config import ServiceConfig
from autoscaler.simulation.counters import Floats
from autoscaler.simulation.results import ReplicaSpan, Results
from autoscaler.simulation.traces import Trace

BIN_S = 300.0
_MOST_BINS = 600
_P95 = 95.0


def bin_length_s(duration_s: float) -> float:
    """Five minutes, or as many times that as keeps long loads drawable."""
    return BIN_S * max(math.ceil(duration_s / BIN_S / _MOST_BINS), 1)


def bin_edges_s(duration_s: float) -> Floats:
    """Where the bins of a load begin and end; the last ends with the load, up to half a bin longer or shorter."""
    bin_s = bin_length_s(duration_s)
    edges_s = bin_s * np.arange(max(round(duration_s / bin_s), 1) + 1, dtype=np.float64)
    edges_s[-1] = duration_s if duration_s > 0 else bin_s
    return edges_s


def _bin_of(at_s: Floats, edges_s: Floats) -> npt.NDArray[np.int64]:
    return np.minimum(np.searchsorted(edges_s, at_s, "right") - 1, edges_s.size - 2)


def timeline_of(results: Results, trace: Trace, gpus_per_replica: Mapping[Role, float]) -> RunTimeline:
    """Cut a run into bins."""
    requests, edges_s = results.requests, bin_edges_s(trace.duration_s)
    bins, lengths_s = edges_s.size - 1, np.diff(edges_s)
    place = _bin_of(requests.arrival_s, edges_s)
    arrived = np.bincount(place, minlength=bins).astype(np.float64)
    in_time = np.bincount(place[requests.in_time], minlength=bins).astype(np.float64)
    served = ~np.isnan(requests.ttft_s)  # of the others nobody can tell where they would have been prefilled
    answered = np.bincount(place[served], minlength=bins).astype(np.float64)
    apart = np.bincount(place[served & requests.disaggregated], minlength=bins).astype(np.float64)
    tokens = np.bincount(place, trace.input_tokens[: place.size], minlength=bins)
    some = np.where(arrived > 0, arrived, np.nan)
    roles = [role for role in Role if role in results.gpu_hours_by_role]
    held = {role: _present(_lives(results, role, ready=False), edges_s) for role in roles}
    return RunTimeline(
        bin_s=bin_length_s(trace.duration_s),
        at_s=edges_s[:-1],
        requests_per_s=arrived / lengths_s,
        input_tokens_per_s=tokens / lengths_s,
        ttft_p95_s=_percentile(place, requests.ttft_s, bins),
        tpot_p95_s=_percentile(place, requests.tpot_s, bins),
        in_time_ratio=in_time / some,
        missed=arrived - in_time,
        apart_ratio=apart / np.where(answered > 0, answered, np.nan),
        ready={role: _present(_lives(results, role, ready=True), edges_s) for role in roles},
        gpus=sum((gpus_per_replica[role] * count for role, count in held.items()), np.zeros(bins)),
    )


def clairvoyant_need(
    config: ServiceConfig, trace: Trace, *, startup_s: float, attainment_ratio: float
) -> Mapping[Role, Floats]:
    """Replicas that a schedule which knows the load keeps, per bin of `timeline_of`; empty without two pools.

    The schedule is the estimated optimum whose cost a replay states as the bound.
    """
    if not set(ROLES) <= set(config.pools):
        return {}
    loads = slot_loads(work_of(config, trace))
    gpus = {role: config.pools[role].gpus_per_replica for role in ROLES}
    stays = {role: optimal_stays(load.replicas(), SLOT_S, startup_s) for role, load in loads.items()}
    kept = shed(stays, loads, gpus, requests=len(trace) * (1.0 - attainment_ratio), startup_s=startup_s)
    schedule = Schedule.of(kept, SLOT_S, dict.fromkeys(ROLES, startup_s))
    edges_s = bin_edges_s(trace.duration_s)
    slots_s = SLOT_S * np.arange(max(math.ceil(edges_s[-1] / SLOT_S), 1))
    first = np.searchsorted(slots_s, edges_s[:-1])
    return {role: np.maximum.reduceat(schedule.serving(role, slots_s), first).astype(np.float64) for role in ROLES}


def _percentile(place: npt.NDArray[np.int64], values: Floats, bins: int) -> Floats:
    """The 95th percentile of each bin's values."""
    known = np.isfinite(values)
    order = np.lexsort((values[known], place[known]))
    sorted_values, counts = values[known][order], np.bincount(place[known], minlength=bins)
    ends = np.cumsum(counts)
    rank = ends - counts + np.ceil(_P95 / 100 * counts).astype(np.int64) - 1
    return np.array(
        [sorted_values[at] if count else np.nan for at, count in zip(rank, counts, strict=True)], dtype=np.float64
    )


def _lives(results: Results, role: Role, *, ready: bool) -> tuple[Floats, Floats]:
    """When replicas began to serve, or to hold GPUs, and when they ended."""

    def began(span: ReplicaSpan) -> float | None:
        return span.ready_s if ready else span.scheduled_s

    found = [
        (start_s, results.duration_s if span.removed_s is None else span.removed_s)
        for span in results.replicas
        if span.role is role and (start_s := began(span)) is not None
    ]
    lives = np.array(found, dtype=np.float64).reshape(-1, 2)
    return lives[:, 0], lives[:, 1]


def _present(lives: tuple[Floats, Floats], edges_s: Floats) -> Floats:
    """How many were there on average, bin by bin."""
    started_s, ended_s = lives
    there_s = np.array(
        [
            float(np.maximum(np.minimum(ended_s, until_s) - np.maximum(started_s, from_s), 0.0).sum())
            for from_s, until_s in pairwise(edges_s.tolist())
        ]
    )
    present: Floats = there_s / np.diff(edges_s)
    return present
