"""Prefill by capacity: enough replicas that the wait for prefill fits into what the TTFT target leaves for it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from autoscaler.core.attribution import Bottleneck
from autoscaler.core.decision import Reason
from autoscaler.core.demand import PrefillDemand
from autoscaler.core.proposal import Proposal, RoleContext, Term, whole
from autoscaler.core.queueing import servers_for
from autoscaler.core.roles import prefill_rules, staffing
from autoscaler.core.roles.common import idle
from autoscaler.core.roles.prefill_rules import stuck, wait_budget_s

# Squared coefficients of variation of arrivals, a little burstier than Poisson, and of prompts: no less than so, about
# as spread as exponential ones, for not all of what makes them differ is seen.
_ARRIVAL_SCV, _LEAST_SERVICE_SCV = 1.1, 1.1
# A backlog that outlives the capacity already ordered must drain within this time.
_DRAIN_S = 60.0
# Share of requests that may be expected to wait too long, in budgets of misses: whole replicas, windows and the reserve
# keep what comes true far below. It rises with the square of the share unspent, which takes hours to be known.
_MISSED_BUDGETS, _UNSPENT_BUDGETS, _MOST_MISSED_RATIO = 1.0, 17.0, 0.3
# Power of the share unspent by which the slack of full passes is given up: it is for ramps, of which hours without a
# miss are the only sign that none is near. With a lower power days miss more for the same GPUs.
_SLACK_POWER = 4
# Most of what full passes do that is ever planned with. Loose objectives would allow more, and a pool that is full to
# the brim has nothing for an hour that is busier than the ones before.
_BUSIEST_RATIO = 0.95
# Where so much of the budget is unspent that prefill is planned nearly full, no growth is held as within tolerance from
# this share of what full passes do: nothing is left that could stand for a replica, and waits grow many times faster
# than load.
_MOSTLY_UNSPENT_RATIO, _FULL_RATIO = 0.5, 0.9
# Unspent share from which on a reader wants to know that it is why.
_WORTH_SAYING = 0.05

_NEEDED_TO_SHRINK = ("queue_depth", "offered_tokens_per_s")


def propose(ctx: RoleContext) -> Proposal:
    """Propose a prefill pool; by rules while no capacity model can be trusted."""
    demand = ctx.insight.demand
    if not isinstance(demand, PrefillDemand):
        return prefill_rules.propose(ctx)
    calm = idle(ctx, "queue_depth", "in_flight")
    if calm is not None:
        return Proposal((calm,))
    outlook = ctx.insight.outlook
    terms = [_staff(ctx, demand, (demand.work,), Reason.PREFILL_DEMAND, "now")]
    if outlook is not None:
        terms.append(_staff(ctx, demand, outlook.levels, Reason.PREFILL_FORECAST, staffing.when(outlook)))
    terms += filter(None, (_backlog(ctx, demand), stuck(ctx)))
    return Proposal(staffing.with_reserve(ctx, terms), ctx.missing(*_NEEDED_TO_SHRINK))


def missed_ratio(ctx: RoleContext) -> float:
    """Share of requests that may be expected to wait too long."""
    share = max(ctx.objectives.ttft.percentile_ratio, ctx.objectives.attainment_ratio)
    budgets = _MISSED_BUDGETS + _UNSPENT_BUDGETS * ctx.insight.unspent_ratio**2
    return min(budgets * (1.0 - share), _MOST_MISSED_RATIO)


def _staff(ctx: RoleContext, demand: PrefillDemand, levels: Sequence[float], reason: Reason, when: str) -> Term:
    """Replicas for work at levels that are equally likely, so that few enough are expected to wait too long."""
    budget_s, margin, share = wait_budget_s(ctx, ctx.objectives), ctx.insight.margin, missed_ratio(ctx)
    kept = 1.0 - demand.slack_ratio * ctx.insight.unspent_ratio**_SLACK_POWER
    mean = statistics.fmean(levels)
    work, expected, service_s = levels[-1] * kept, mean * kept, demand.service_s * kept
    wanted = [level * kept * margin for level in levels]
    service_scv = max(demand.service_scv, _LEAST_SERVICE_SCV)
    variability = (_ARRIVAL_SCV + service_scv) / 2.0
    need, missed = servers_for(wanted, service_s, budget_s, share, variability, service_scv)
    full = mean * (1.0 - demand.slack_ratio) * margin
    least = full / _BUSIEST_RATIO
    spare = f" and {1 - _BUSIEST_RATIO:.0%} of full passes is spare" if least > need else ""
    need = max(need, least)
    busy = expected * margin / max(whole(need), 1)
    return Term(
        need,
        reason,
        f"work for {work:.2f} replicas {when}; with {margin - 1:+.0%} headroom at {busy:.0%} busy: planned so "
        f"that {share:.1%} at most wait {budget_s:.2g} s or longer{spare}{_why_so_many(ctx.insight.unspent_ratio)}",
        {
            "work": work,
            "expected_work": expected,
            "margin": margin,
            "utilization_ratio": busy,
            "service_s": service_s,
            "service_scv": service_scv,
            "prompts_per_pass": demand.prompts_per_pass,
            "wait_budget_s": budget_s,
            "missed_ratio": share,
            "expected_missed_ratio": missed,
            "least_replicas": least,
        },
        firm=ctx.insight.unspent_ratio > _MOSTLY_UNSPENT_RATIO and full > _FULL_RATIO * ctx.pool.current,
    )


def _why_so_many(unspent_ratio: float) -> str:
    return f", for {unspent_ratio:.0%} of the error budget is unspent" if unspent_ratio >= _WORTH_SAYING else ""


def _backlog(ctx: RoleContext, demand: PrefillDemand) -> Term | None:
    """What the capacity in place will not have drained when newly ordered replicas serve."""
    if ctx.attribution.bottleneck in {Bottleneck.DECODE, Bottleneck.TRANSFER}:
        return None
    lead_s, supply = ctx.insight.startup_time_s, float(ctx.pool.current)
    left_s = demand.backlog_s - (supply - demand.work) * lead_s
    if demand.backlog_s <= supply * wait_budget_s(ctx, ctx.objectives) or left_s <= 0:
        return None
    return Term(
        demand.work + left_s / _DRAIN_S,
        Reason.PREFILL_BACKLOG,
        f"{demand.backlog_s:.0f} replica-seconds wait; {left_s:.0f} will be left in {lead_s:.0f} s and are to drain in "
        f"{_DRAIN_S:.0f} s",
        {"work": demand.work, "backlog_s": demand.backlog_s, "left_s": left_s, "drain_s": _DRAIN_S},
    )
