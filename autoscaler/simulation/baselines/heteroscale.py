"""HeteroScale (ByteDance, arXiv 2508.19559): both pools follow decode throughput at a fixed ratio."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.core.capacity import decode_point
from autoscaler.core.policy import Role
from autoscaler.core.signals import Scope
from autoscaler.core.snapshot import Snapshot
from autoscaler.simulation.baselines import readings
from autoscaler.simulation.baselines.memory import recall
from autoscaler.simulation.baselines.site import Site
from autoscaler.simulation.baselines.threshold import requests_per_s
from autoscaler.simulation.run import Controller, Memory


@dataclass(frozen=True, slots=True)
class HeteroScaleSettings:
    """Proportional control on decode tokens per second, with steps on latency.

    The paper leaves the numbers to each service; deadband and severe breach follow a published port of it.

    Attributes:
        utilization_ratio: Share of a decode replica's profiled tokens per second that is the target.
        deadband_ratio: Relative change of the wish that is not worth an action.
        moderate_step_ratio: Growth when TBT exceeds its target.
        severe_ratio: TBT over its target from which the larger step applies.
        severe_step_ratio: The larger step.
        up_cooldown_s: Shortest time from a change to growth.
        down_cooldown_s: Shortest time from a change to shrinking.
    """

    utilization_ratio: float = 0.7
    deadband_ratio: float = 0.1
    moderate_step_ratio: float = 0.1
    severe_ratio: float = 1.2
    severe_step_ratio: float = 0.2
    up_cooldown_s: float = 60.0
    down_cooldown_s: float = 300.0


@dataclass(slots=True)
class _Last:
    changed_s: float = -math.inf


def heteroscale(site: Site, settings: HeteroScaleSettings) -> Controller:
    """Decode `TPS / target`, prefill by the ratio that the profiled load needs; both act or neither does.

    Served tokens saturate when decode starves; then only the latency steps grow the pools. Registration of early
    replicas and placement are not modelled.
    """
    rates = requests_per_s(site)
    prefill_per_decode = rates[Role.DECODE] / rates[Role.PREFILL]
    resident = site.input_tokens + site.output_tokens / 2
    point = decode_point(site.engines[Role.DECODE], site.objectives.tpot.target_s, resident)
    target = settings.utilization_ratio * point.tokens_per_s

    def control(snapshot: Snapshot, memory: Memory, now_s: float) -> Mapping[Role, int]:
        current = {role: pool.current for role, pool in snapshot.pools.items()}
        tokens_per_s = snapshot.usable(Scope.DECODE, "generation_tokens_per_s")
        if tokens_per_s is None:
            return current
        last = recall(memory, "heteroscale", _Last)
        breach = (readings.tpot_s(snapshot) or 0.0) / site.objectives.tpot.target_s
        wish = decode_replicas(tokens_per_s / target, current[Role.DECODE], breach, settings)
        decode = site.bounds[Role.DECODE].clamp(wish)
        prefill = site.bounds[Role.PREFILL].clamp(math.ceil(decode * prefill_per_decode))
        wanted = {Role.DECODE: decode, Role.PREFILL: prefill}
        grows = any(count > current[role] for role, count in wanted.items())
        cooldown_s = settings.up_cooldown_s if grows else settings.down_cooldown_s
        if all(count == current[role] for role, count in wanted.items()) or now_s - last.changed_s < cooldown_s:
            return current
        last.changed_s = now_s
        return wanted

    return control


def decode_replicas(need: float, current: int, breach: float, settings: HeteroScaleSettings) -> int:
    """Decode replicas: the need outside the deadband, or a step up when TBT exceeds its target.

    Args:
        need: Throughput over the target of one replica.
        current: Replicas now.
        breach: TBT over its target.
        settings: Deadband and steps.
    """
    step = 0.0
    if breach > 1.0:
        step = settings.severe_step_ratio if breach > settings.severe_ratio else settings.moderate_step_ratio
    stepped = current + math.ceil(current * step)
    if abs(need / current - 1.0) <= settings.deadband_ratio:
        return stepped
    proportional = math.ceil(need)
    return max(proportional, stepped) if step else proportional
