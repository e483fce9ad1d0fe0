"""Rules shared by both roles when no capacity model is trusted yet."""

from __future__ import annotations

from autoscaler.core.decision import Reason
from autoscaler.core.proposal import RoleContext, Term
from autoscaler.core.signals import Scope

# Latency is a cliff, never proportional to load: HeteroScale answers it in fixed steps, and so do we.
_SEVERE_RATIO = 1.2
_MODERATE_STEP_RATIO = 0.10
_SEVERE_STEP_RATIO = 0.20


def latency_step(ctx: RoleContext, observed_s: float, target_s: float, reason: Reason) -> Term | None:
    """Ask for a fixed step more while latency is over its target; hold while the last step's replicas are starting.

    Steps as in HeteroScale (arXiv 2508.19559): 10 % over the target, 20 % when it is missed by a fifth or more.
    """
    if observed_s <= target_s:
        return None
    if ctx.pool.starting > 0:
        waits = (
            f"{observed_s:.3g} s against a target of {target_s:.3g} s, but {ctx.pool.starting} replicas are starting"
        )
        return Term(float(ctx.pool.current), reason, waits, {"observed_s": observed_s, "target_s": target_s})
    step = _SEVERE_STEP_RATIO if observed_s >= _SEVERE_RATIO * target_s else _MODERATE_STEP_RATIO
    need = ctx.pool.current + max(step * ctx.pool.current, 1.0)
    return Term(
        need,
        reason,
        f"{observed_s:.3g} s against a target of {target_s:.3g} s: {step:.0%} more, at least one",
        {"observed_s": observed_s, "target_s": target_s, "step_ratio": step},
        firm=True,
    )


def first_replica(ctx: RoleContext, *names: str) -> Term | None:
    """One replica for a pool that has none while there is work for it; every other rule multiplies by what is ready."""
    if ctx.pool.current > 0 or not any(ctx.usable(name) for name in names):
        return None
    return Term(1.0, Reason.FIRST_REPLICA, "there is work and no replica")


def idle(ctx: RoleContext, *names: str) -> Term | None:
    """Recognise a pool without any work; latency averages are undefined then and must not block a shrink."""
    values = [ctx.usable(name) for name in names]
    if any(value is None or value > 0 for value in values):
        return None
    rate = ctx.usable("request_rate", Scope.SERVICE)
    if rate is None or rate > 0:
        return None
    return Term(0.0, Reason.IDLE, "no request waits, runs or arrives", {"request_rate": rate})
