"""Decode that does prefill too: enough replicas that a mixed step stays inside the TPOT objective."""

from __future__ import annotations

from functools import partial

from autoscaler.core.decision import Reason
from autoscaler.core.proposal import Proposal, RoleContext, Term
from autoscaler.core.roles import decode_rules
from autoscaler.core.roles.staffing import decoding
from autoscaler.core.together import TogetherDemand

_NEEDED_TO_SHRINK = ("kv_utilization_mean", "running", "waiting", "offered_tokens_per_s")


def propose(ctx: RoleContext) -> Proposal:
    """Propose a decode pool that serves both phases; by rules while no capacity model can be trusted."""
    demand = ctx.insight.demand
    if not isinstance(demand, TogetherDemand):
        return decode_rules.propose(ctx)
    staff = partial(_staff, demand)
    return decoding(ctx, demand.work, staff, Reason.AGGREGATED_DEMAND, Reason.AGGREGATED_FORECAST, _NEEDED_TO_SHRINK)


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
