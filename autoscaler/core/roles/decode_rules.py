"""Decode by rules: KV utilisation to its set-point, room for those who wait, step on TPOT."""

from __future__ import annotations

from autoscaler.core.decision import Reason
from autoscaler.core.proposal import Proposal, RoleContext, Term
from autoscaler.core.roles.common import idle, latency_step
from autoscaler.core.signals import Scope

# Set-point of KV utilisation without a capacity model: room for the fluctuation of a batch before blocks run out.
KV_TARGET_RATIO = 0.8
# Sequences per replica assumed for waiting requests when nothing runs that could tell.
_UNKNOWN_BATCH = 8.0

_NEEDED_TO_SHRINK = ("kv_utilization_mean", "running", "waiting")


def propose(ctx: RoleContext) -> Proposal:
    """Propose a decode pool from KV utilisation, waiting requests and TPOT."""
    calm = idle(ctx, "running", "waiting")
    if calm is not None:
        return Proposal((calm,))
    terms = [term for term in (_kv(ctx), _waiting(ctx), _tpot(ctx)) if term is not None]
    return Proposal(tuple(terms), ctx.missing(*_NEEDED_TO_SHRINK))


def _kv(ctx: RoleContext) -> Term | None:
    mean = ctx.usable("kv_utilization_mean")
    if mean is None:
        return None
    ready = ctx.pool.ready
    return Term(
        ready * mean / KV_TARGET_RATIO,
        Reason.KV_UTILIZATION,
        f"{ready} replicas at {mean:.0%} of their KV, to be at {KV_TARGET_RATIO:.0%}",
        {"kv_utilization_mean": mean, "ready": float(ready), "target_ratio": KV_TARGET_RATIO},
    )


def _waiting(ctx: RoleContext) -> Term | None:
    """Room for requests that wait for decode, at the batch that replicas carry now."""
    waiting, running, ready = ctx.usable("waiting"), ctx.usable("running"), ctx.pool.ready
    if waiting is None or ready == 0 or waiting <= ready:
        return None
    batch = max((running or 0.0) / ready, 1.0) if running else _UNKNOWN_BATCH
    return Term(
        ready + waiting / batch,
        Reason.DECODE_WAITING,
        f"{waiting:.0f} wait beside {ready} replicas that carry {batch:.3g} each",
        {"waiting": waiting, "batch": batch, "ready": float(ready)},
    )


def _tpot(ctx: RoleContext) -> Term | None:
    observed = ctx.usable("tpot_s", Scope.SERVICE)
    if observed is None:
        return None
    return latency_step(ctx, observed, ctx.objectives.tpot.target_s, Reason.TPOT_OVER_TARGET)
