"""What proposals by capacity share: replicas for the work that is there now, and for what may come."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autoscaler.core.decision import Reason
from autoscaler.core.forecast import Outlook
from autoscaler.core.proposal import Proposal, RoleContext, Term, whole
from autoscaler.core.roles.common import idle
from autoscaler.core.roles.decode_rules import full, slow_steps

# What a pool must have to spare after a shrink, as a share of its need; and what the last of two must have besides.
_RESERVE_RATIO, _ALONE_RESERVE_RATIO = 0.08, 0.3

# A term out of an amount of work, the margin on it, its reason, and when the work is there, in words.
Staff = Callable[[float, float, Reason, str], Term]


def terms(ctx: RoleContext, work: float, staff: Staff, now: Reason, ahead: Reason) -> list[Term]:
    """Terms for present work (in replicas) and, where a forecast exists, for that of one lead time ahead."""
    outlook, margin = ctx.insight.outlook, ctx.insight.margin
    asked = [staff(work, margin, now, "now")]
    if outlook is not None:
        asked.append(staff(outlook.upper, margin, ahead, when(outlook)))
    return asked


def when(outlook: Outlook) -> str:
    """When the work that a forecast speaks of is there, and who says so, in words."""
    who = outlook.forecaster if outlook.lifted_by is None else f"{outlook.forecaster}, lifted by {outlook.lifted_by}"
    return f"at most in {outlook.horizon_s:.0f} s ({who.replace('_', ' ')})"


def with_reserve(ctx: RoleContext, asked: Sequence[Term]) -> tuple[Term, ...]:
    """The same terms, and where a shrink would leave hardly more than is needed, one that stops it short of that.

    A replica that is missed minutes after it was given back costs a cold start, and the wait for it. The smaller the
    pool, the more of it goes with one: of two the other must be left a quarter idle, of ten the nine hardly a tenth.
    """
    binding = max(asked, key=lambda term: term.need)
    ratio = reserve_ratio(ctx.pool.current)
    reserved = min(binding.need * (1.0 + ratio), float(ctx.pool.current))
    if whole(reserved) <= whole(binding.need):
        return tuple(asked)
    detail = f"{whole(binding.need)} would do, with less than {ratio:.0%} to spare: {binding.detail}"
    numbers = {"need": binding.need, "reserve_ratio": ratio, "current": float(ctx.pool.current)}
    return (*asked, Term(reserved, Reason.SHRINK_RESERVE, detail, numbers))


def reserve_ratio(replicas: int) -> float:
    """What must be to spare, as a share of the need, after a shrink of so many replicas."""
    return _RESERVE_RATIO + (_ALONE_RESERVE_RATIO / (replicas - 1) ** 2 if replicas > 1 else 0.0)


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
