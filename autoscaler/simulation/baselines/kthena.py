"""Kthena's AutoscalingPolicy for disaggregated roles: each role by its metrics, then a band for their ratio.

Source: volcano-sh/kthena, `pkg/autoscaler/algorithm` and the webhook's defaults, 2026.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from autoscaler.core.policy import RatioBand, Role
from autoscaler.core.snapshot import PoolState, Snapshot
from autoscaler.simulation.baselines import readings
from autoscaler.simulation.baselines.memory import Trail, recall
from autoscaler.simulation.baselines.site import Bounds, Site
from autoscaler.simulation.baselines.threshold import requests_per_s
from autoscaler.simulation.run import Controller, Memory

_PERIOD_S = 15.0
_FRESH_S = 1e-6  # a sample that is exactly as old as the period still counts


@dataclass(frozen=True, slots=True)
class KthenaSettings:
    """Targets per pod, behaviour, and the band.

    Attributes:
        queue_target: Waiting requests per pod.
        kv_target_ratio: KV usage.
        tolerance_ratio: Deviation that is not worth an action.
        down_window_s: A role shrinks to the most recommended within this time.
        panic_ratio: Recommended over current replicas from which growth is unlimited.
        panic_hold_s: How long that lasts; nothing shrinks meanwhile.
        band_width_ratio: Limits of prefill per decode, as a factor either side of what the profiled load needs.
    """

    queue_target: float = 2.0
    kv_target_ratio: float = 0.7
    tolerance_ratio: float = 0.1
    down_window_s: float = 300.0
    panic_ratio: float = 2.0
    panic_hold_s: float = 60.0
    band_width_ratio: float = 2.0


@dataclass(slots=True)
class _RoleMemory:
    recommended: Trail = field(default_factory=Trail)
    corrected: Trail = field(default_factory=Trail)
    panic_until_s: float = -math.inf


def recommend(mean: float, target: float, pool: PoolState, tolerance_ratio: float) -> int:
    """Replicas for one metric; starting pods join the denominator when the role would grow."""
    ratio = mean / target
    if pool.starting == 0 or ratio < 1:
        return pool.current if abs(ratio - 1) <= tolerance_ratio else math.ceil(ratio * pool.ready)
    diluted = ratio * pool.ready / (pool.ready + pool.starting)
    if abs(diluted - 1) <= tolerance_ratio or diluted < 1:
        return pool.current
    return max(math.ceil(ratio * pool.ready), pool.current)


def enforce_band(prefill: int, decode: int, bounds: Mapping[Role, Bounds], band: RatioBand) -> tuple[int, int] | None:
    """Nearest pair inside the band: more prefill if it is short; more decode if there is too much prefill.

    Only bounds in the way make a role smaller. One role at zero is raised to one, both at zero stay. None where bounds
    and band leave no pair.
    """
    if prefill == 0 and decode == 0:
        return 0, 0
    prefill, decode = max(prefill, 1), max(decode, 1)
    if band.holds(prefill, decode):
        return prefill, decode
    limits = bounds[Role.PREFILL], bounds[Role.DECODE]
    start = limits[1].clamp(max(decode, math.ceil(prefill / band.max_ratio - 1e-9)))
    upwards = range(start, limits[1].most + 1)
    downwards = range(start - 1, max(limits[1].least, 1) - 1, -1)
    for candidate in (*upwards, *downwards):
        least = max(limits[0].least, math.ceil(band.min_ratio * candidate - 1e-9))
        most = min(limits[0].most, math.floor(band.max_ratio * candidate + 1e-9))
        if least <= most:
            return min(max(prefill, least), most), candidate
    return None


def kthena(site: Site, settings: KthenaSettings) -> Controller:
    """Metrics, tolerance, behaviour and bounds per role, then the ratio; nothing moves while a role has no data."""
    rates = requests_per_s(site)
    balance = rates[Role.DECODE] / rates[Role.PREFILL]
    band = RatioBand(balance / settings.band_width_ratio, balance * settings.band_width_ratio)

    def control(snapshot: Snapshot, memory: Memory, now_s: float) -> Mapping[Role, int]:
        current = {role: pool.current for role, pool in snapshot.pools.items()}
        recommended = {role: _recommended(site, settings, snapshot, role) for role in current}
        if any(count is None for count in recommended.values()):
            return current
        corrected = {
            role: _corrected(recall(memory, f"kthena {role}", _RoleMemory), now_s, current[role], count, settings)
            for role, count in recommended.items()
            if count is not None
        }
        bounded = {role: site.bounds[role].clamp(count) for role, count in corrected.items()}
        pair = enforce_band(bounded[Role.PREFILL], bounded[Role.DECODE], site.bounds, band)
        return {Role.PREFILL: pair[0], Role.DECODE: pair[1]} if pair is not None else current

    return control


def _recommended(site: Site, settings: KthenaSettings, snapshot: Snapshot, role: Role) -> int | None:
    pool, pods = snapshot.pools[role], readings.pods(snapshot, role)
    waiting, kv = readings.queue(snapshot, role), readings.kv_mean(snapshot, role)
    metrics = [(kv, settings.kv_target_ratio)]
    if waiting is not None and pods:
        metrics.append((waiting / pods, settings.queue_target))
    wishes = [recommend(mean, target, pool, settings.tolerance_ratio) for mean, target in metrics if mean is not None]
    return site.bounds[role].clamp(max(wishes)) if wishes else None


def _corrected(memory: _RoleMemory, now_s: float, current: int, recommended: int, settings: KthenaSettings) -> int:
    """Behaviour with the webhook's defaults: up by one or to double in 15 s, down to the window's maximum."""
    memory.recommended.start(now_s, current)
    if recommended >= settings.panic_ratio * current:
        memory.panic_until_s = now_s + settings.panic_hold_s
    if now_s <= memory.panic_until_s:
        corrected = max(recommended, current)
    elif recommended > current:
        past = int(min([current, *memory.corrected.since(now_s - _PERIOD_S - _FRESH_S)]))
        corrected = max(min(recommended, max(past + 1, 2 * past)), current)
    else:
        most = int(max([recommended, *memory.recommended.since(now_s - settings.down_window_s)]))
        corrected = min(most, current)
    memory.recommended.add(now_s, recommended, settings.down_window_s)
    memory.corrected.add(now_s, corrected, settings.down_window_s)
    return corrected
