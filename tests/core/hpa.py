"""HPA's normalisation with `behavior`, written down from its controller as an oracle for our window, rates and bounds.

Follows `normalizeDesiredReplicasWithBehaviors` of Kubernetes 1.3x: stabilise, limit the rate, then bounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    percent: bool
    value: int
    period_s: float


@dataclass(frozen=True, slots=True)
class Side:
    """One direction of `behavior`; `select` is Max, Min or Disabled."""

    window_s: float
    rules: tuple[Rule, ...]
    select: str


Event = tuple[float, int]


def normalise(
    now: float,
    current: int,
    wanted: int,
    recommendations: Sequence[Event],
    added: Sequence[Event],
    removed: Sequence[Event],
    up: Side,
    down: Side,
    bounds: tuple[int, int],
) -> int:
    """Replicas that HPA would write; histories are (time, number), changes as magnitudes."""
    up_wanted, down_wanted = wanted, wanted
    for at_s, recommended in recommendations:
        if at_s > now - up.window_s:
            up_wanted = min(up_wanted, recommended)
        if at_s > now - down.window_s:
            down_wanted = max(down_wanted, recommended)
    number = current
    number = max(number, up_wanted)
    number = min(number, down_wanted)

    if number > current:
        limit = _up_limit(now, current, added, removed, up)
        return max(min(number, max(limit, current), bounds[1]), bounds[0])
    if number < current:
        limit = _down_limit(now, current, added, removed, down)
        return min(max(number, min(limit, current), bounds[0]), bounds[1])
    return min(max(number, bounds[0]), bounds[1])


def _up_limit(now: float, current: int, added: Sequence[Event], removed: Sequence[Event], side: Side) -> int:
    if side.select == "Disabled":
        return current
    limits = []
    for rule in side.rules:
        start = current - _sum(added, now - rule.period_s) + _sum(removed, now - rule.period_s)
        limits.append(math.ceil(start * (1 + rule.value / 100)) if rule.percent else start + rule.value)
    return min(limits) if side.select == "Min" else max(limits)


def _down_limit(now: float, current: int, added: Sequence[Event], removed: Sequence[Event], side: Side) -> int:
    if side.select == "Disabled":
        return current
    limits = []
    for rule in side.rules:
        start = current + _sum(removed, now - rule.period_s) - _sum(added, now - rule.period_s)
        limits.append(int(start * (1 - rule.value / 100)) if rule.percent else start - rule.value)
    return max(limits) if side.select == "Min" else min(limits)


def _sum(events: Sequence[Event], after_s: float) -> int:
    return sum(count for at_s, count in events if at_s > after_s)
