"""Decode by capacity: enough replicas that each stays at the batch which the TPOT objective allows."""

from __future__ import annotations

from functools import partial

from autoscaler.core.decision import Reason
from autoscaler.core.demand import DecodeDemand
from autoscaler.core.proposal import Proposal, RoleContext, Term
from autoscaler.core.roles import decode_rules
from autoscaler.core.roles.staffing import decoding

_NEEDED_TO_SHRINK = ("kv_utilization_mean", "running", "waiting")


def propose(ctx: RoleContext) -> Proposal:
    """Propose a decode pool; by rules while no capacity model can be trusted."""
    demand = ctx.insight.demand
    if not isinstance(demand, DecodeDemand):
        return decode_rules.propose(ctx)
    staff = partial(_staff, demand)
    return decoding(ctx, demand.work, staff, Reason.DECODE_DEMAND, Reason.DECODE_FORECAST, _NEEDED_TO_SHRINK)


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
