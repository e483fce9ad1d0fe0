"""What proposals by capacity share: replicas for the work that is there now, and for what may come."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autoscaler.core.decision import Reason
from autoscaler.core.proposal import Proposal, RoleContext, Term, whole
from autoscaler.core.roles.common import idle
from autoscaler.core.roles.decode_rules import full, slow_steps

# What a pool must have to spare after a shrink, as a share of its need.
_RESERVE_RATIO = 0.05

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


def with_reserve(ctx: RoleContext, asked: Sequence[Term]) -> tuple[Term, ...]:
    """The same terms, and where a shrink would leave hardly more than is needed, one that stops it short of that.

    A replica that is missed minutes after it was given back costs a cold start, and the wait for it.
    """
    binding = max(asked, key=lambda term: term.need)
    reserved = min(binding.need * (1.0 + _RESERVE_RATIO), float(ctx.pool.current))
    if whole(reserved) <= whole(binding.need):
        return tuple(asked)
    detail = f"{whole(binding.need)} would do, with less than {_RESERVE_RATIO:.0%} to spare: {binding.detail}"
    numbers = {"need": binding.need, "reserve_ratio": _RESERVE_RATIO, "current": float(ctx.pool.current)}
    return (*asked, Term(reserved, Reason.SHRINK_RESERVE, detail, numbers))


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
    return Proposal(with_reserve(ctx, asked), ctx.missing(*needed_to_shrink))
