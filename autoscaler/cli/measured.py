"""What the history of a service says by itself: GPUs used, objectives missed, how much of it is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from autoscaler.cli.history import LOAD, gpus_used
from autoscaler.config import ScalingPolicy
from autoscaler.core.policy import Objectives, Role
from autoscaler.core.signals import Scope
from autoscaler.report.assessment import Assessment, Curves, Ground, Price, Risk, Used
from autoscaler.simulation.timeline import bin_edges_s, bin_length_s
from autoscaler.simulation.traces import Trace
from autoscaler.simulation.traces.history import Reconstruction
from autoscaler.sources.history import Floats, History, Name

WANTED: tuple[Name, ...] = (
    *LOAD,
    (Scope.SERVICE, "ttft_s"),
    (Scope.SERVICE, "tpot_s"),
    (Scope.SERVICE, "ttft_attainment_ratio"),
    (Scope.SERVICE, "tpot_attainment_ratio"),
    (Scope.PREFILL, "prefill_time_s"),
    (Scope.DECODE, "step_time_s"),
    (Scope.DECODE, "running"),
    (Scope.DECODE, "kv_utilization_mean"),
)
"""Signals that an assessment asks the history for."""
_LENGTHS = (
    (0.5, "neither prompt nor answer lengths have a histogram"),
    (0.75, "one of prompt and answer lengths has a histogram"),
    (1.0, "prompt and answer lengths have histograms"),
)


def measured_of(document: ScalingPolicy, history: History, made: Reconstruction, price: Price) -> Assessment:
    """What the history says by itself.

    Args:
        document: The policy of the service.
        history: What was recorded.
        made: The load that was made of it.
        price: What a GPU-hour costs.
    """
    policy = document.core()
    gpus = {role: pool.gpus_per_replica for role, pool in policy.roles.items()}
    used, missed = _used(history, gpus), risk_of(history, policy.objectives)
    return Assessment(
        service=document.service,
        objectives=policy.objectives,
        start_s=history.start_s,
        end_s=float(history.at_s[-1]),
        price=price,
        used=used,
        risk=_risk(history, missed),
        grounds=tuple(_data_grounds(history, used, made)),
        remarks=made.remarks,
        curves=_curves(history, gpus, missed, made.trace),
    )


def risk_of(history: History, objectives: Objectives) -> Mapping[str, Floats]:
    """Per objective and step, 1 where it was missed and 0 where it was met; NaN where that cannot be told.

    The share of requests inside the target decides; where the stack exports none, the percentile does.
    """
    found = {}
    for name, objective in (("ttft", objectives.ttft), ("tpot", objectives.tpot)):
        share = history.signal(Scope.SERVICE, f"{name}_attainment_ratio")
        latency_s = history.signal(Scope.SERVICE, f"{name}_s")
        missed = np.where(np.isfinite(share), share < objective.percentile_ratio, latency_s > objective.target_s)
        found[name] = np.where(np.isfinite(share) | np.isfinite(latency_s), missed.astype(np.float64), np.nan)
    return found


def _used(history: History, gpus: Mapping[Role, float]) -> Used:
    held = gpus_used(history, gpus)
    known = np.isfinite(held)
    if not known.any():
        return Used(None, 0.0)
    hours = history.at_s.size * history.step_s / 3600.0
    counts = {role: count[np.isfinite(count)] for role, count in history.asked_for.items()}
    counts = {role: count for role, count in counts.items() if count.size}
    return Used(
        float(held[known].mean()) * hours,
        float(known.mean()),
        {role: float(count.mean()) for role, count in counts.items()},
        {role: int(count.max()) for role, count in counts.items()},
    )


def _risk(history: History, missed: Mapping[str, Floats]) -> Risk:
    step_h = history.step_s / 3600.0
    each = np.vstack(list(missed.values()))
    known = np.isfinite(each).any(axis=0)
    return Risk(
        hours=float((np.nan_to_num(each).max(axis=0) > 0).sum()) * step_h,
        known_hours=float(known.sum()) * step_h,
        ttft_hours=float(np.nansum(missed["ttft"])) * step_h,
        tpot_hours=float(np.nansum(missed["tpot"])) * step_h,
    )


def _data_grounds(history: History, used: Used, made: Reconstruction) -> list[Ground]:
    hours = history.at_s.size * history.step_s / 3600.0
    days = hours / 24.0
    lengths = sum(known is not None for known in (history.inputs, history.outputs))
    return [
        Ground("span", _span_ratio(days), f"{hours:.3g} h were looked at; a week holds every day's shape"),
        Ground("load", made.coverage_ratio, f"the request rate is known for {made.coverage_ratio:.1%} of the time"),
        Ground("usage", used.coverage_ratio, f"replica counts are known for {used.coverage_ratio:.1%} of the time"),
        Ground("lengths", *_LENGTHS[lengths]),
    ]


def _span_ratio(days: float) -> float:
    """Half as good as a week is a day, which has a night; hours are little."""
    return days / 2.0 if days < 1.0 else min(0.5 + (days - 1.0) / 12.0, 1.0)


def _curves(history: History, gpus: Mapping[Role, float], missed: Mapping[str, Floats], trace: Trace) -> Curves:
    """The history in bins as long as those of a replay."""
    edges_s = bin_edges_s(trace.duration_s)
    bins, start_s = edges_s.size - 1, history.start_s
    middle_s = history.at_s - history.step_s / 2 - start_s
    place = np.minimum(np.searchsorted(edges_s, middle_s, "right") - 1, bins - 1)

    def binned(values: Floats, how: Callable[[Floats], float] = lambda found: float(found.mean())) -> Floats:
        kept = [values[(place == at) & np.isfinite(values)] for at in range(bins)]
        return np.array([how(found) if found.size else np.nan for found in kept], dtype=np.float64)

    any_missed = np.where(
        np.isfinite(missed["ttft"]) | np.isfinite(missed["tpot"]),
        np.fmax(np.nan_to_num(missed["ttft"]), np.nan_to_num(missed["tpot"])),
        np.nan,
    )
    return Curves(
        at_s=start_s + edges_s[:-1],
        bin_s=bin_length_s(trace.duration_s),
        used_gpus=binned(gpus_used(history, gpus)),
        needed_gpus=np.zeros(0),
        policy_gpus=np.zeros(0),
        requests_per_s=binned(history.signal(Scope.SERVICE, "request_rate")),
        ttft_s=binned(history.signal(Scope.SERVICE, "ttft_s")),
        tpot_s=binned(history.signal(Scope.SERVICE, "tpot_s")),
        at_risk=binned(any_missed, lambda found: float(found.max())),
    )
