"""The guards that both roles share: tolerance, stabilisation window, rates, bounds.

Semantics of windows and rates are those of HPA `behavior`, so that people know them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from autoscaler.core.decision import Reason, Stage, StageName
from autoscaler.core.policy import DirectionBehavior, RateRule, Role, RolePolicy, RuleKind, SelectPolicy
from autoscaler.core.proposal import whole
from autoscaler.core.state import RoleState, Timed

_LEAST_WINDOW_S = 600.0
# Three ticks of the default interval.
_GROWTH_WINDOW_S = 40.0
# Replicas of the pool whose shrink has the longest window.
_DEAREST_SHRINK = 2
# How long changes of the replica count are remembered at least, to tell a turn.
CHANGES_KEPT_S = _LEAST_WINDOW_S
_NOISE = 1e-9


def tolerance(policy: RolePolicy, current: int, need: float, before: int, *, firm: bool = False) -> Stage:
    """Keep the current number when the need is within tolerance of it, unless it is a growth that is firm."""
    grows = before > current
    band = policy.behavior.up.tolerance_ratio if grows else policy.behavior.down.tolerance_ratio
    numbers = {"need": need, "current": float(current), "tolerance_ratio": band}
    if current in (before, 0) or whole(need) != before or abs(need / current - 1.0) > band + _NOISE:
        return Stage(StageName.TOLERANCE, before, before, Reason.OUTSIDE_TOLERANCE, "", numbers)
    detail = f"a need of {need:.2f} is within {band:.0%} of {current}"
    if grows and firm:
        detail += ", but cannot wait"
        return Stage(StageName.TOLERANCE, before, before, Reason.OUTSIDE_TOLERANCE, detail, numbers)
    return Stage(StageName.TOLERANCE, before, current, Reason.WITHIN_TOLERANCE, detail, numbers)


def growth_window_s(behavior: DirectionBehavior, role: Role, memory: RoleState, current: int, now: float) -> float:
    """Stabilisation window of growth; one that is not set is there for decode, and for a pool that has just shrunk.

    Decode's need is read from gauges of the moment, and a burst of half a minute is over before a replica has started
    for it. Prefill's is a mean over two minutes and grows at once, unless the pool has just shrunk: one that turns
    round was wrong a moment ago. An empty pool does not wait.
    """
    if behavior.window_s is not None:
        return behavior.window_s
    turns = any(item.value < 0 for item in memory.changes if item.at_s > now - CHANGES_KEPT_S)
    return _GROWTH_WINDOW_S if current > 0 and (role is Role.DECODE or turns) else 0.0


def shrink_window_s(behavior: DirectionBehavior, startup_time_s: float, replicas: int) -> float:
    """Stabilisation window of a shrink; one that is not set follows the startup time, but is ten minutes at least.

    Keeping an idle replica for about one startup time is the break-even rule of dynamic right-sizing (Lin et al. 2011).
    Where replicas start fast, noise rather than cost sets the window: shorter ones turn a pool round several times an
    hour on bursty traffic and save next to nothing. It is the longer, the larger a part of the pool a replica is:
    giving up one of n makes the load of the others `n / (n - 1)` times as high, and what a burst then lacks has to
    start first. Two wait twice as long before one goes, three a quarter longer, ten hardly.
    """
    if behavior.window_s is not None:
        return behavior.window_s
    known_s = max(startup_time_s, _LEAST_WINDOW_S)
    return known_s * (1.0 + 1.0 / (replicas - 1) ** 2) if replicas > 1 else known_s


def longest_window_s(policy: RolePolicy, startup_time_s: float) -> float:
    """How long proposals must be remembered for the windows of both directions."""
    up, down = policy.behavior.up, policy.behavior.down
    growth_s = _GROWTH_WINDOW_S if up.window_s is None else up.window_s
    return max(growth_s, shrink_window_s(down, startup_time_s, _DEAREST_SHRINK))


def stabilize(
    policy: RolePolicy,
    role: Role,
    memory: RoleState,
    since_s: float,
    current: int,
    before: int,
    now: float,
    startup_time_s: float,
) -> Stage:
    """Grow to the least, shrink to the most that was proposed within the window; no shrink before a window has passed.

    Args:
        policy: The pool's policy.
        role: Whose pool it is.
        memory: Earlier proposals and changes; the present proposal is `before`.
        since_s: When the memory began.
        current: Replicas asked for now.
        before: The number that comes in.
        now: Unix time.
        startup_time_s: Startup time in force.
    """
    up_s = growth_window_s(policy.behavior.up, role, memory, current, now)
    down_s = shrink_window_s(policy.behavior.down, startup_time_s, current)
    least = min([before, *_within(memory.proposals, now - up_s)])
    most = max([before, *_within(memory.proposals, now - down_s)])
    if before < current and now - since_s < down_s:
        most = max(most, current)
    after = min(max(current, least), most)
    numbers = {"least": float(least), "most": float(most), "up_window_s": up_s, "down_window_s": down_s}
    if after == before:
        return Stage(StageName.WINDOW, before, after, Reason.WINDOW_PASSED, "", numbers)
    span = up_s if before > current else down_s
    if before < current and now - since_s < down_s:
        detail = f"remembers only {now - since_s:.0f} s; shrinks after {span:.0f} s"
    else:
        detail = f"{after} was proposed within the last {span:.0f} s"
    return Stage(StageName.WINDOW, before, after, Reason.STABILIZED, detail, numbers)


def limit_rate(policy: RolePolicy, memory: RoleState, current: int, before: int, now: float) -> Stage:
    """Limit the change within each rule's period; HPA semantics, both directions counted."""
    behavior = policy.behavior.up if before > current else policy.behavior.down
    if before == current or (not behavior.rules and behavior.select is not SelectPolicy.DISABLED):
        return Stage(StageName.RATE, before, before, Reason.RATE_ALLOWED)
    if behavior.select is SelectPolicy.DISABLED:
        return Stage(StageName.RATE, before, current, Reason.RATE_LIMITED, "selectPolicy is Disabled in this direction")
    sign = 1 if before > current else -1
    limits = [(_limit(rule, memory, current, now, sign), rule) for rule in behavior.rules]
    furthest = (sign > 0) == (behavior.select is SelectPolicy.MAX)
    limit, rule = (max if furthest else min)(limits, key=lambda pair: pair[0])
    # A percentage of nothing is nothing, and would keep an empty pool empty for good.
    limit = max(limit, current, 1) if sign > 0 else min(limit, current)
    after = min(before, limit) if sign > 0 else max(before, limit)
    numbers = {"limit": float(limit), "value": float(rule.value), "period_s": rule.period_s}
    if after == before:
        return Stage(StageName.RATE, before, after, Reason.RATE_ALLOWED, "", numbers)
    unit = "pods" if rule.kind is RuleKind.PODS else "%"
    detail = f"at most {rule.value} {unit} within {rule.period_s:.0f} s"
    return Stage(StageName.RATE, before, after, Reason.RATE_LIMITED, detail, numbers)


def _limit(rule: RateRule, memory: RoleState, current: int, now: float, sign: int) -> int:
    start = current - sum(_within(memory.changes, now - rule.period_s))
    if rule.kind is RuleKind.PODS:
        return int(start) + sign * rule.value
    factor = start * (1 + sign * rule.value / 100)
    return math.ceil(factor) if sign > 0 else math.trunc(factor)


def bound(policy: RolePolicy, before: int) -> Stage:
    """Keep the number inside the policy's bounds."""
    low, high = policy.min_replicas, policy.max_replicas
    numbers = {"min": float(low), "max": float(high)}
    who = f"schedule {policy.schedule}" if policy.schedule else "the policy"
    if before > high:
        return Stage(StageName.BOUNDS, before, high, Reason.AT_MAX, f"{who} allows at most {high}", numbers)
    if before < low:
        return Stage(StageName.BOUNDS, before, low, Reason.AT_MIN, f"{who} wants at least {low}", numbers)
    inside = f"{who} allows {low} to {high}" if policy.schedule else ""
    return Stage(StageName.BOUNDS, before, before, Reason.WITHIN_BOUNDS, inside, numbers)


def _within(history: Iterable[Timed], after_s: float) -> list[int]:
    return [int(item.value) for item in history if item.at_s > after_s]
