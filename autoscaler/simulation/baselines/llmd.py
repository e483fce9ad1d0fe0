"""The two KEDA recipes of llm-d: SLO-aware, and token-aware for prefill and decode apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoscaler.core.policy import Behavior, DirectionBehavior, RateRule, Role, RuleKind
from autoscaler.core.snapshot import Snapshot
from autoscaler.simulation.baselines import readings
from autoscaler.simulation.baselines.hpa import Metric, MetricType, controller, pods_per_period
from autoscaler.simulation.baselines.memory import Trail, recall
from autoscaler.simulation.baselines.site import Site
from autoscaler.simulation.run import Controller, Memory

_SLO_WINDOW_S = 45.0
_SLO_CLAMP = 2.0


@dataclass(frozen=True, slots=True)
class SloSettings:
    """Latency over its target, smoothed, against two thresholds.

    Attributes:
        up_ratio: Pressure above which the pool grows.
        down_ratio: Pressure below which it shrinks.
        down_window_s: Stabilisation of shrinking.
        per_role: TTFT drives prefill and TPOT decode; else the larger of both drives both, as the guide has it for its
            one pool.
    """

    up_ratio: float = 0.55
    down_ratio: float = 0.40
    down_window_s: float = 180.0
    per_role: bool = True


def slo_replicas(pressure: float, provisioned: int, ready: int, settings: SloSettings) -> int:
    """The guide's formula: pressure is discounted by the share of replicas that serve, while some do not yet."""
    discount = ready / provisioned if 0 < ready < provisioned else 1.0
    if pressure > settings.up_ratio:
        return provisioned + math.ceil(provisioned * (pressure * discount / settings.up_ratio - 1))
    if pressure < settings.down_ratio:
        return provisioned - math.floor(provisioned * (1 - pressure / settings.down_ratio))
    return provisioned


def slo_keda(site: Site, settings: SloSettings) -> Controller:
    """SLO-aware KEDA: `s = avg_45s(min(latency/target, 2))`, then HPA with the guide's behaviour.

    The guide queries P90 over a minute; here latencies are at the objective's percentile. What cannot be read counts
    as 0, as in the guide's query: an idle or unreadable pool looks perfect.
    """
    objectives = site.objectives
    behavior = Behavior(
        up=DirectionBehavior(30.0, (RateRule(RuleKind.PERCENT, 100, 60.0), RateRule(RuleKind.PODS, 4, 60.0))),
        down=DirectionBehavior(settings.down_window_s, (RateRule(RuleKind.PODS, 1, 120.0),)),
    )

    def control(snapshot: Snapshot, memory: Memory, now_s: float) -> Mapping[Role, int]:
        ttft = (readings.ttft_s(snapshot) or 0.0) / objectives.ttft.target_s
        tpot = (readings.tpot_s(snapshot) or 0.0) / objectives.tpot.target_s
        own = {Role.PREFILL: ttft, Role.DECODE: tpot}

        def metrics(snapshot: Snapshot, role: Role) -> Sequence[Metric]:
            raw = own.get(role, max(ttft, tpot)) if settings.per_role else max(ttft, tpot)
            trail = recall(memory, f"pressure {role}", Trail)
            trail.add(now_s, min(raw, _SLO_CLAMP), _SLO_WINDOW_S)
            pool = snapshot.pools[role]
            wanted = slo_replicas(trail.mean(now_s - _SLO_WINDOW_S) or 0.0, pool.current, pool.ready, settings)
            return (Metric(MetricType.AVERAGE_VALUE, float(wanted), 1.0),)

        return controller(metrics, behavior, site.bounds)(snapshot, memory, now_s)

    return control


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """Seconds of prefill backlog, and KV usage.

    Attributes:
        budget_ratio: Share of `TTFT target - prefill time of the mean prompt` that the backlog may take; the guide
            shaves it to 0.6-0.7 for the tail.
        kv_target_ratio: KV usage per decode replica.
        up_period_s: One pod a period when growing.
        down_period_s: One pod a period when shrinking.
    """

    budget_ratio: float = 0.65
    kv_target_ratio: float = 0.8
    up_period_s: float = 180.0
    down_period_s: float = 300.0


def prefill_velocity(site: Site) -> float:
    """Prompt tokens per second of one prefill replica: chunk size over its time alone, as the guide calibrates it."""
    engine = site.engines[Role.PREFILL]
    return engine.max_batched_tokens / (engine.prefill.request_ms(engine.max_batched_tokens) / 1e3)


def token_keda(site: Site, settings: TokenSettings) -> Controller:
    """Token-aware KEDA: `prefill = ceil(in-flight prompt tokens / V_P / T)`, `decode = ceil(sum of KV usage / 0.8)`.

    In-flight tokens come from the gateway there; here they are waiting and running requests times the mean uncached
    prompt. Decode is blind to TPOT, as published.
    """
    velocity = prefill_velocity(site)
    own_s = site.input_tokens * site.uncached_ratio / velocity
    budget_s = max(settings.budget_ratio * (site.objectives.ttft.target_s - own_s), 0.05)
    behavior = pods_per_period(
        (1, settings.up_period_s), (1, settings.down_period_s), up_window_s=0.0, down_window_s=300.0
    )

    def metrics(snapshot: Snapshot, role: Role) -> Sequence[Metric]:
        if role is not Role.PREFILL:
            return (Metric(MetricType.AVERAGE_VALUE, readings.kv_sum(snapshot, role), settings.kv_target_ratio),)
        waiting, running = readings.queue(snapshot, role), readings.running(snapshot, role)
        prompt = readings.mean_input_tokens(snapshot) or site.input_tokens
        if waiting is None or running is None:
            return (Metric(MetricType.AVERAGE_VALUE, None, budget_s),)
        backlog_s = (waiting + running) * prompt * readings.uncached_ratio(snapshot) / velocity
        return (Metric(MetricType.AVERAGE_VALUE, backlog_s, budget_s),)

    return controller(metrics, behavior, site.bounds)
