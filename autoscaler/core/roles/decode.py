"""Decode by capacity: enough replicas that each stays at the batch which the TPOT objective allows."""

from __future__ import annotations

from autoscaler.core.decision import Reason
from autoscaler.core.demand import DecodeDemand
from autoscaler.core.proposal import Proposal, RoleContext, Term
from autoscaler.core.roles import decode_rules
from autoscaler.core.roles.common import idle
from autoscaler.core.roles.decode_rules import full

_NEEDED_TO_SHRINK = ("kv_utilization_mean", "running", "waiting")


def propose(ctx: RoleContext) -> Proposal:
    """Propose a decode pool; by rules while no capacity model can be trusted."""
    demand = ctx.insight.demand
    if not isinstance(demand, DecodeDemand):
        return decode_rules.propose(ctx)
    calm = idle(ctx, "running", "waiting")
    if calm is not None:
        return Proposal((calm,))
    terms = [_staff(demand, demand.work, max(ctx.insight.margin, 1.0), Reason.DECODE_DEMAND, "is asked for now")]
    if ctx.insight.outlook is not None:
        outlook = ctx.insight.outlook
        when = f"may be asked for in {outlook.horizon_s:.0f} s ({outlook.forecaster.replace('_', ' ')})"
        terms.append(
            _staff(demand, outlook.at_least(ctx.insight.margin), ctx.insight.margin, Reason.DECODE_FORECAST, when)
        )
    out_of_blocks = full(ctx)
    if out_of_blocks is not None:
        terms.append(out_of_blocks)
    return Proposal(tuple(terms), ctx.missing(*_NEEDED_TO_SHRINK))


def _staff(demand: DecodeDemand, work: float, margin: float, reason: Reason, when: str) -> Term:
    point = demand.point
    return Term(
        work * margin,
        reason,
        f"work for {work:.2f} replicas {when}; with {margin - 1:+.0%} headroom, each at "
        f"{point.sequences:.0f} sequences and {point.kv_utilization_ratio:.0%} KV ({point.limit} binds)",
        {
            "work": work,
            "margin": margin,
            "sequences": point.sequences,
            "step_s": point.step_s,
            "by_rate": demand.by_rate,
            "by_residency": demand.by_residency,
            "by_transfer": demand.by_transfer,
        },
    )
