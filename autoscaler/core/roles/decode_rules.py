"""Decode by rules: KV utilisation to its set-point, room for those who wait, step on TPOT."""

from __future__ import annotations

from autoscaler.core.decision import Reason
from autoscaler.core.proposal import Proposal, RoleContext, Term
from autoscaler.core.roles.common import first_replica, idle, latency_step
from autoscaler.core.signals import Scope

# Set-point of KV utilisation without a capacity model: room for the fluctuation of a batch before blocks run out.
KV_TARGET_RATIO = 0.8
# Sequences per replica assumed for waiting requests when nothing runs that could tell.
_UNKNOWN_BATCH = 8.0

# Utilisation at which a pod admits nothing more.
_KV_FULL_RATIO = 0.97
# Sequences per replica below which splitting a batch cannot make its steps much shorter.
_SPLITTABLE_BATCH = 4.0

_NEEDED_TO_SHRINK = ("kv_utilization_mean", "running", "waiting")


def propose(ctx: RoleContext) -> Proposal:
    """Propose a decode pool from KV utilisation, waiting requests and TPOT."""
    calm = idle(ctx, "running", "waiting")
    if calm is not None:
        return Proposal((calm,))
    terms = (_kv(ctx), _waiting(ctx), _steps(ctx), full(ctx), first_replica(ctx, "waiting"))
    return Proposal(tuple(term for term in terms if term is not None), ctx.missing(*_NEEDED_TO_SHRINK))


def full(ctx: RoleContext) -> Term | None:
    """Hold while some pod is out of KV blocks: a mean hides one hot engine, which a smaller pool would heat further."""
    fullest, preempted = ctx.usable("kv_utilization_max"), ctx.usable("preemption_rate")
    if (fullest is None or fullest < _KV_FULL_RATIO) and not preempted:
        return None
    detail = f"the fullest pod is at {fullest or 0:.0%} KV, {preempted or 0:.2g} requests/s are preempted"
    numbers = {"kv_utilization_max": fullest or 0.0, "preemption_rate": preempted or 0.0}
    return Term(float(ctx.pool.current), Reason.KV_FULL, detail, numbers)


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
    """Room for requests that wait for it, and not for their KV, at the batch of a replica whose KV is full."""
    waiting, ready = ctx.usable("waiting"), ctx.pool.ready
    if waiting is None or ready == 0:
        return None
    waiting -= ctx.usable("waiting_for_kv") or 0.0
    if waiting <= ready:
        return None
    running, mean = ctx.usable("running"), ctx.usable("kv_utilization_mean")
    batch = max(running / ready / mean, 1.0) if running and mean else _UNKNOWN_BATCH
    return Term(
        ready + waiting / batch,
        Reason.DECODE_WAITING,
        f"{waiting:.0f} wait beside {ready} replicas that can carry {batch:.3g} each",
        {"waiting": waiting, "batch": batch, "ready": float(ready)},
    )


def _steps(ctx: RoleContext) -> Term | None:
    """As `slow_steps`, where batches can still be split after the step; what there is stays until they are far smaller.

    Else a pool whose TPOT no number of replicas mends would grow and shrink by turns.
    """
    observed, target_s = ctx.usable("tpot_s", Scope.SERVICE), ctx.objectives.tpot.target_s
    running = ctx.usable("running") or 0.0
    if observed is None or observed <= target_s or running < _SPLITTABLE_BATCH / 2 * max(ctx.pool.ready, 1):
        return None
    grown = slow_steps(ctx)
    if grown is not None and running >= _SPLITTABLE_BATCH * grown.need:
        return grown
    detail = f"{observed:.3g} s against a target of {target_s:.3g} s, but {running:.0f} sequences are too few to split"
    return Term(
        float(ctx.pool.current), Reason.TPOT_OVER_TARGET, detail, {"observed_s": observed, "target_s": target_s}
    )


def slow_steps(ctx: RoleContext) -> Term | None:
    """A step more while TPOT is over its target and batches are large enough that splitting them shortens steps."""
    observed = ctx.usable("tpot_s", Scope.SERVICE)
    running = ctx.usable("running")
    if observed is None or running is None or running < _SPLITTABLE_BATCH * max(ctx.pool.ready, 1):
        return None
    return latency_step(ctx, observed, ctx.objectives.tpot.target_s, Reason.TPOT_OVER_TARGET)
