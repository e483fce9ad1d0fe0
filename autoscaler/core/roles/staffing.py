"""What proposals by capacity share: replicas for the work that is there now, and for what may come."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autoscaler.core.decision import Reason
from autoscaler.core.proposal import Proposal, RoleContext, Term
from autoscaler.core.roles.common import idle
from autoscaler.core.roles.decode_rules import full, slow_steps

# A term out of an amount of work, the margin on it, its reason, and when the work is there, in words.
Staff = Callable[[float, float, Reason, str], Term]


def terms(ctx: RoleContext, work: float, staff: Staff, now: Reason, ahead: Reason) -> list[Term]:
    """Terms for present work (in replicas) and, where a forecast exists, for that of one lead time ahead."""
    outlook, margin = ctx.insight.outlook, ctx.insight.margin
    asked = [staff(work, margin, now, "now")]
    if outlook is not None:
        when = f"at most in {outlook.horizon_s:.0f} s ({outlook.forecaster.replace('_', ' ')})"
        asked.append(staff(outlook.upper, margin, ahead, when))
    return asked


def decoding(
    ctx: RoleContext, work: float, staff: Staff, now: Reason, ahead: Reason, needed_to_shrink: Sequence[str]
) -> Proposal:
    """The proposal of a pool that decodes, whatever it does besides: idle, by its work, or out of KV blocks."""
    calm = idle(ctx, "running", "waiting")
    if calm is not None:
        return Proposal((calm,))
    asked = terms(ctx, work, staff, now, ahead)
    out_of_blocks = full(ctx)
    if out_of_blocks is not None:
        # Work is known in sum; that one engine drowns while others idle shows in latency alone.
        asked += [out_of_blocks, *filter(None, [slow_steps(ctx)])]
    return Proposal(tuple(asked), ctx.missing(*needed_to_shrink))
