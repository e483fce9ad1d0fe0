"""AIBrix PodAutoscaler, strategies KPA and APA, one object per role, defects included.

Source: vllm-project/aibrix, `pkg/controller/podautoscaler`, 2025-10 to 2026; defaults of `context.go`. Shipped
behaviour that surprises: both take the mean over pods, which KPA then treats as a total; a shrink takes the smallest
recommendation of the cooldown window, so that the window deepens it; the panic mode's hold is not kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from autoscaler.core.policy import Role
from autoscaler.core.snapshot import PoolState, Snapshot
from autoscaler.simulation.baselines import readings
from autoscaler.simulation.baselines.memory import Trail, recall
from autoscaler.simulation.baselines.site import Site
from autoscaler.simulation.run import Controller, Memory

_MAX_RATE = 2.0  # at most doubled or halved at once


@dataclass(frozen=True, slots=True)
class AibrixSettings:
    """Targets per pod, windows, and what surrounds the algorithms.

    Attributes:
        prefill_target: Requests waiting and running per prefill pod.
        kv_target_ratio: KV usage per decode pod.
        stable_window_s: Window of KPA's stable mean.
        panic_window_s: Window of KPA's panic mean, and of APA's.
        panic_ratio: Panic over stable mean from which KPA panics.
        tolerance_ratio: Deviation that APA tolerates, either way.
        down_cooldown_s: Window of recommendations that a shrink looks back on.
    """

    prefill_target: float = 4.0
    kv_target_ratio: float = 0.5
    stable_window_s: float = 180.0
    panic_window_s: float = 60.0
    panic_ratio: float = 2.0
    tolerance_ratio: float = 0.1
    down_cooldown_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Means:
    """A metric's mean over pods, averaged over both windows."""

    stable: float
    panic: float


Algorithm = Callable[[Means, PoolState, float, AibrixSettings], int]


def kpa_replicas(means: Means, pool: PoolState, target: float, settings: AibrixSettings) -> int:
    """`ceil(mean/target)` with no number of pods in it, within half and double the present size."""
    most, least = max(1, math.ceil(_MAX_RATE * pool.current)), math.floor(pool.current / _MAX_RATE)

    def limited(value: float) -> int:
        return min(max(math.ceil(value / target), least), most)

    in_panic = means.stable <= 0 or means.panic / means.stable > settings.panic_ratio
    desired = max(limited(means.stable), limited(means.panic)) if in_panic else limited(means.stable)
    value = means.panic if in_panic else means.stable
    return _guarded(desired, value, pool, target, lambda adjusted: math.ceil(adjusted / target))


def apa_replicas(means: Means, pool: PoolState, target: float, settings: AibrixSettings) -> int:
    """`ceil(n * mean/target)` outside the tolerance, within half and double the present size."""
    ratio = means.panic / target
    if 1 - settings.tolerance_ratio <= ratio <= 1 + settings.tolerance_ratio:
        return pool.current
    scaled = math.ceil(pool.current * ratio)
    if ratio > 1:
        desired = min(scaled, math.ceil(_MAX_RATE * pool.current))
    else:
        desired = max(scaled, math.floor(pool.current / _MAX_RATE))
    return _guarded(desired, means.panic, pool, target, lambda adjusted: math.ceil(pool.current * adjusted / target))


def _guarded(desired: int, value: float, pool: PoolState, target: float, again: Callable[[float], int]) -> int:
    """Count starting pods as idle when growing and as on target when shrinking; never beyond the first wish."""
    if not pool.starting or desired == pool.current:
        return desired
    ready = pool.current - pool.starting
    if desired > pool.current:
        return min(max(again(value * ready / pool.current), pool.current), desired)
    return max(min(again((value * ready + target * pool.starting) / pool.current), pool.current), desired)


def aibrix(site: Site, settings: AibrixSettings, algorithm: Algorithm) -> Controller:
    """A PodAutoscaler per role: concurrency for prefill, KV usage for decode."""

    def control(snapshot: Snapshot, memory: Memory, now_s: float) -> Mapping[Role, int]:
        wanted = {}
        for role, pool in snapshot.pools.items():
            wanted[role] = pool.current
            value, target = _metric(snapshot, role, settings)
            if value is None:
                continue
            samples = recall(memory, f"aibrix samples {role}", Trail)
            samples.add(now_s, value, settings.stable_window_s)
            means = Means(
                stable=samples.mean(now_s - settings.stable_window_s) or 0.0,
                panic=samples.mean(now_s - settings.panic_window_s) or 0.0,
            )
            recommended = site.bounds[role].clamp(algorithm(means, pool, target, settings))
            history = recall(memory, f"aibrix history {role}", Trail)
            history.add(now_s, recommended, settings.down_cooldown_s)
            shrinks = recommended < pool.current
            wanted[role] = int(min(history.since(-math.inf))) if shrinks else recommended
        return wanted

    return control


def kpa(site: Site, settings: AibrixSettings) -> Controller:
    """Knative's autoscaler as AIBrix adapted it."""
    return aibrix(site, settings, kpa_replicas)


def apa(site: Site, settings: AibrixSettings) -> Controller:
    """AIBrix's own: HPA's formula with separate tolerances and rate limits."""
    return aibrix(site, settings, apa_replicas)


def _metric(snapshot: Snapshot, role: Role, settings: AibrixSettings) -> tuple[float | None, float]:
    if role is not Role.PREFILL:
        return readings.kv_mean(snapshot, role), settings.kv_target_ratio
    waiting, running, pods = (
        readings.queue(snapshot, role),
        readings.running(snapshot, role),
        readings.pods(snapshot, role),
    )
    if waiting is None or running is None or not pods:
        return None, settings.prefill_target
    return (waiting + running) / pods, settings.prefill_target
