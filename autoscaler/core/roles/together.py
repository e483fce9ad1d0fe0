"""Decode that does prefill too: enough replicas that a mixed step stays inside the TPOT objective."""

from __future__ import annotations

from autoscaler.core.decision import Reason
from autoscaler.core.proposal import Proposal, RoleContext, Term
from autoscaler.core.roles import decode_rules
from autoscaler.core.roles.common import idle
from autoscaler.core.roles.decode_rules import full
from autoscaler.core.together import TogetherDemand

_NEEDED_TO_SHRINK = ("kv_utilization_mean", "running", "waiting", "offered_tokens_per_s")


def propose(ctx: RoleContext) -> Proposal:
    """Propose a decode pool that serves both phases; by rules while no capacity model can be trusted."""
    demand = ctx.insight.demand
    if not isinstance(demand, TogetherDemand):
        return decode_rules.propose(ctx)
    calm = idle(ctx, "running", "waiting")
    if calm is not None:
        return Proposal((calm,))
    terms = [_staff(demand, demand.work, max(ctx.insight.margin, 1.0), Reason.AGGREGATED_DEMAND, "is asked for now")]
    if ctx.insight.outlook is not None:
        outlook = ctx.insight.outlook
        when = f"may be asked for in {outlook.horizon_s:.0f} s ({outlook.forecaster.replace('_', ' ')})"
        terms.append(
            _staff(demand, outlook.at_least(ctx.insight.margin), ctx.insight.margin, Reason.AGGREGATED_FORECAST, when)
        )
    out_of_blocks = full(ctx)
    if out_of_blocks is not None:
        terms.append(out_of_blocks)
    return Proposal(tuple(terms), ctx.missing(*_NEEDED_TO_SHRINK))


def _staff(demand: TogetherDemand, work: float, margin: float, reason: Reason, when: str) -> Term:
    point = demand.point
    return Term(
        work * margin,
        reason,
        f"work of both phases for {work:.2f} replicas {when}; with {margin - 1:+.0%} headroom, each at "
        f"{point.sequences:.0f} sequences and {point.step_s * 1e3:.0f} ms a mixed step",
        {
            "work": work,
            "margin": margin,
            "sequences": point.sequences,
            "step_s": point.step_s,
            "by_rate": demand.by_rate,
            "by_residency": demand.by_residency,
            "backlog": demand.backlog,
        },
    )
