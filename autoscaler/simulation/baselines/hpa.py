"""Kubernetes HorizontalPodAutoscaler v2: proposals by metric type, then stabilisation and rate limits.

Source: the HPA controller of Kubernetes 1.3x, defaults from its flags; it starts with the current size as its first
recommendation. Metrics here are pool aggregates, so that no ready pod is without a sample, and no loading one has one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from autoscaler.core.policy import Behavior, DirectionBehavior, RateRule, Role, RuleKind, SelectPolicy
from autoscaler.core.snapshot import PoolState, Snapshot
from autoscaler.simulation.baselines.memory import Trail, recall
from autoscaler.simulation.baselines.site import Bounds
from autoscaler.simulation.run import Controller, Memory

TOLERANCE_RATIO = 0.1
DOWNSCALE_WINDOW_S = 300.0

_REMEMBER_S = 3600.0
_UNLIMITED = 1_000_000


class MetricType(StrEnum):
    """How a metric's value relates to its target."""

    PODS = "Pods"
    VALUE = "Value"
    AVERAGE_VALUE = "AverageValue"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric that was read. `value` is a mean over pods for `PODS`, else the metric itself; None if unreadable."""

    type: MetricType
    value: float | None
    target: float


@dataclass(slots=True)
class HpaMemory:
    """Recommendations and changes of one HPA."""

    recommended: Trail = field(default_factory=Trail)
    changed: Trail = field(default_factory=Trail)


def default_behavior(*, up_window_s: float = 0.0, down_window_s: float = DOWNSCALE_WINDOW_S) -> Behavior:
    """What HPA fills in where `behavior` names windows only."""
    four_pods = RateRule(RuleKind.PODS, 4, 15.0)
    everything = RateRule(RuleKind.PERCENT, 100, 15.0)
    return Behavior(
        up=DirectionBehavior(up_window_s, (four_pods, everything), tolerance_ratio=TOLERANCE_RATIO),
        down=DirectionBehavior(down_window_s, (everything,), tolerance_ratio=TOLERANCE_RATIO),
    )


def pods_per_period(
    up: tuple[int, float], down: tuple[int, float], *, up_window_s: float, down_window_s: float
) -> Behavior:
    """A `behavior` with one pod rule a direction, as recipes write it: (pods, period in seconds)."""
    return Behavior(
        up=DirectionBehavior(up_window_s, (RateRule(RuleKind.PODS, *up),), tolerance_ratio=TOLERANCE_RATIO),
        down=DirectionBehavior(down_window_s, (RateRule(RuleKind.PODS, *down),), tolerance_ratio=TOLERANCE_RATIO),
    )


def hpa_step(
    memory: HpaMemory,
    now_s: float,
    pool: PoolState,
    metrics: Sequence[Metric],
    behavior: Behavior | None,
    bounds: Bounds,
) -> int:
    """One sync of an HPA.

    Args:
        memory: Its past; extended.
        now_s: Time.
        pool: The scale target.
        metrics: Current metrics; the largest proposal wins, and no shrink while one cannot be read.
        behavior: Windows and rates; None for an HPA without `behavior`.
        bounds: Replica bounds.
    """
    current = pool.current
    if current == 0 and bounds.least != 0:
        return 0
    memory.recommended.start(now_s, current)
    if bounds.clamp(current) != current:
        return bounds.clamp(current)
    proposals = [propose(metric, pool, behavior) for metric in metrics if metric.value is not None]
    if not proposals:
        return current
    wanted = max(proposals)
    if len(proposals) < len(metrics) and wanted < current:
        return current
    if behavior is None:
        number = _without_behavior(memory, now_s, current, wanted)
    else:
        number = _stabilize_and_limit(memory, now_s, current, wanted, behavior)
    memory.recommended.add(now_s, wanted, _REMEMBER_S)
    number = bounds.clamp(number)
    if number != current:
        memory.changed.add(now_s, number - current, _REMEMBER_S)
    return number


def propose(metric: Metric, pool: PoolState, behavior: Behavior | None = None) -> int:
    """Replicas that one readable metric asks for; the current ones inside the tolerance."""
    assert metric.value is not None  # noqa: S101 - callers leave unreadable metrics out
    if metric.type is MetricType.AVERAGE_VALUE:
        if pool.current and _near(metric.value / (metric.target * pool.current), behavior):
            return pool.current
        return math.ceil(metric.value / metric.target)
    ratio = metric.value / metric.target
    if metric.type is MetricType.VALUE:
        if _near(ratio, behavior):
            return pool.current
        return math.ceil(ratio * pool.ready) if pool.current else math.ceil(ratio)
    return _propose_by_pods(ratio, pool, behavior)


def _propose_by_pods(ratio: float, pool: PoolState, behavior: Behavior | None) -> int:
    """Pods that load run without a sample: idle to a pool that would grow, at target to one that would shrink.

    Pods that found no node are pending: idle to a pool that would grow, not there to one that would shrink.
    """
    pending = min(pool.unschedulable, pool.starting)
    loading = pool.starting - pending
    if not loading and not (ratio > 1 and pending):
        return pool.current if _near(ratio, behavior) else math.ceil(ratio * pool.ready)
    counted = pool.ready + loading + (pending if ratio > 1 else 0)
    filled = (ratio * pool.ready + (loading if ratio < 1 else 0)) / counted
    if _near(filled, behavior) or (ratio > 1 > filled):
        return pool.current
    number = math.ceil(filled * counted)
    return max(number, pool.current) if filled > 1 else min(number, pool.current)


def _near(ratio: float, behavior: Behavior | None) -> bool:
    if behavior is None:
        return 1 - TOLERANCE_RATIO <= ratio <= 1 + TOLERANCE_RATIO
    return 1 - behavior.down.tolerance_ratio <= ratio <= 1 + behavior.up.tolerance_ratio


def _without_behavior(memory: HpaMemory, now_s: float, current: int, wanted: int) -> int:
    """Shrink to the most recommended within five minutes; at most double, or to four, in a sync."""
    stable = max([wanted, *memory.recommended.since(now_s - DOWNSCALE_WINDOW_S)])
    return int(min(stable, max(2 * current, 4)))


def _stabilize_and_limit(memory: HpaMemory, now_s: float, current: int, wanted: int, behavior: Behavior) -> int:
    up_s, down_s = behavior.up.window_s or 0.0, behavior.down.window_s or 0.0
    least = min([wanted, *memory.recommended.since(now_s - up_s)])
    most = max([wanted, *memory.recommended.since(now_s - down_s)])
    number = int(min(max(current, least), most))
    if number > current:
        return min(number, max(_limit(memory, now_s, current, behavior.up, 1), current))
    if number < current:
        return max(number, min(_limit(memory, now_s, current, behavior.down, -1), current))
    return current


def _limit(memory: HpaMemory, now_s: float, current: int, side: DirectionBehavior, sign: int) -> int:
    if side.select is SelectPolicy.DISABLED:
        return current
    if not side.rules:
        return current + sign * _UNLIMITED
    limits = []
    for rule in side.rules:
        start = current - int(sum(memory.changed.since(now_s - rule.period_s)))
        if rule.kind is RuleKind.PODS:
            limits.append(start + sign * rule.value)
        else:
            share = start * (1 + sign * rule.value / 100)
            limits.append(math.ceil(share) if sign > 0 else math.trunc(share))
    furthest = (sign > 0) == (side.select is SelectPolicy.MAX)
    return max(limits) if furthest else min(limits)


MetricsOf = Callable[[Snapshot, Role], Sequence[Metric]]


def controller(metrics_of: MetricsOf, behavior: Behavior | None, bounds: Mapping[Role, Bounds]) -> Controller:
    """One HPA per pool."""

    def control(snapshot: Snapshot, memory: Memory, now_s: float) -> Mapping[Role, int]:
        return {
            role: hpa_step(
                recall(memory, f"hpa {role}", HpaMemory),
                now_s,
                pool,
                metrics_of(snapshot, role),
                behavior,
                bounds[role],
            )
            for role, pool in snapshot.pools.items()
        }

    return control
