"""Prefill by capacity: enough replicas that the wait for prefill fits into what the TTFT target leaves for it."""

from __future__ import annotations

from functools import partial

from autoscaler.core.attribution import Bottleneck
from autoscaler.core.decision import Reason
from autoscaler.core.demand import PrefillDemand
from autoscaler.core.proposal import Proposal, RoleContext, Term
from autoscaler.core.queueing import servers_for
from autoscaler.core.roles import prefill_rules, staffing
from autoscaler.core.roles.common import idle
from autoscaler.core.roles.prefill_rules import wait_budget_s

# (ca^2 + cs^2) / 2: arrivals a little burstier than Poisson, prompt lengths about as spread as exponential ones.
_VARIABILITY = 1.1
# A backlog that outlives the capacity already ordered must drain within this time.
_DRAIN_S = 60.0

_NEEDED_TO_SHRINK = ("queue_depth", "offered_tokens_per_s")


def propose(ctx: RoleContext) -> Proposal:
    """Propose a prefill pool; by rules while no capacity model can be trusted."""
    demand = ctx.insight.demand
    if not isinstance(demand, PrefillDemand):
        return prefill_rules.propose(ctx)
    calm = idle(ctx, "queue_depth", "in_flight")
    if calm is not None:
        return Proposal((calm,))
    staff = partial(_staff, ctx, demand)
    terms = staffing.terms(ctx, demand.work, staff, Reason.PREFILL_DEMAND, Reason.PREFILL_FORECAST)
    backlog = _backlog(ctx, demand)
    if backlog is not None:
        terms.append(backlog)
    return Proposal(staffing.with_reserve(ctx, terms), ctx.missing(*_NEEDED_TO_SHRINK))


def _staff(ctx: RoleContext, demand: PrefillDemand, work: float, margin: float, reason: Reason, when: str) -> Term:
    """Replicas for an amount of work so that the wait fits the budget at the objective's share of requests."""
    budget_s = wait_budget_s(ctx, ctx.objectives)
    share = max(ctx.objectives.ttft.percentile_ratio, ctx.objectives.attainment_ratio)
    wanted = work * margin
    need, utilization = servers_for(wanted, demand.service_s, budget_s, share, _VARIABILITY)
    return Term(
        need,
        reason,
        f"work for {work:.2f} replicas {when}; with {margin - 1:+.0%} headroom at {utilization:.0%} busy, "
        f"so that {share:.1%} wait less than {budget_s:.2g} s",
        {
            "work": work,
            "margin": margin,
            "utilization_ratio": utilization,
            "service_s": demand.service_s,
            "wait_budget_s": budget_s,
        },
    )


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
