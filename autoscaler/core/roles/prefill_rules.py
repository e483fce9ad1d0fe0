"""Prefill by rules: drain the queue inside the TTFT budget, keep replicas busy but not full, step on TTFT."""

from __future__ import annotations

from autoscaler.core.attribution import Bottleneck
from autoscaler.core.decision import Reason
from autoscaler.core.policy import Objectives
from autoscaler.core.proposal import Proposal, RoleContext, Term
from autoscaler.core.roles.common import first_replica, idle, latency_step
from autoscaler.core.signals import Scope

# Busy share of a replica at which queueing stays short of a typical TTFT budget (M/D/1: mean wait = service time).
BUSY_TARGET_RATIO = 0.7
# Most that prefill itself, and the transfer, may take off the wait budget, as shares of the TTFT target: beyond that it
# is they that miss the target, and replicas cannot shorten them.
_MOST_PREFILL_SHARE, _MOST_TRANSFER_SHARE, _MOST_STEP_SHARE = 0.5, 0.2, 0.1

_NEEDED_TO_SHRINK = ("queue_depth", "in_flight", "offered_tokens_per_s")


def wait_budget_s(ctx: RoleContext, objectives: Objectives) -> float:
    """Part of the TTFT target that a request may spend waiting for prefill, in seconds.

    What prefill itself, the KV transfer and the decode pool's first token take is spent already.
    """
    target_s = objectives.ttft.target_s
    prefill_s = ctx.usable("prefill_time_s") or 0.0
    if prefill_s >= target_s:
        return prefill_s
    transfer_s = ctx.snapshot.usable(Scope.SERVICE, "kv_transfer_time_s") or 0.0
    step_s = ctx.snapshot.usable(Scope.DECODE, "step_time_s") or 0.0
    return (
        target_s
        - min(prefill_s, _MOST_PREFILL_SHARE * target_s)
        - min(transfer_s, _MOST_TRANSFER_SHARE * target_s)
        - min(step_s, _MOST_STEP_SHARE * target_s)
    )


def propose(ctx: RoleContext) -> Proposal:
    """Propose a prefill pool from queue, busy share and TTFT."""
    calm = idle(ctx, "queue_depth", "in_flight")
    if calm is not None:
        return Proposal((calm,))
    terms = [_busy(ctx), stuck(ctx), first_replica(ctx, "queue_depth", "offered_tokens_per_s")]
    if ctx.attribution.bottleneck not in {Bottleneck.DECODE, Bottleneck.TRANSFER}:
        terms += [_backlog(ctx), _ttft(ctx)]
    return Proposal(tuple(term for term in terms if term is not None), ctx.missing(*_NEEDED_TO_SHRINK))


def stuck(ctx: RoleContext) -> Term | None:
    """Hold while requests wait and none is served.

    What is offered is told by what is served and by how the queue grows: of a queue that stands still, nothing.
    """
    queue = ctx.usable("queue_depth") or 0.0
    if queue < 1 or all(ctx.usable(name) != 0 for name in ("offered_tokens_per_s", "request_rate")):
        return None
    detail = f"{queue:.0f} requests wait and none is served: does prefill hang?"
    return Term(float(ctx.pool.current), Reason.PREFILL_BACKLOG, detail, {"queue_depth": queue})


def _backlog(ctx: RoleContext) -> Term | None:
    """Replicas that serve what arrives and drain what waits inside the wait budget."""
    queue, rate, ready = ctx.usable("queue_depth"), ctx.usable("request_rate"), ctx.pool.ready
    if queue is None or ready == 0 or queue <= ready:
        return None
    if rate is None:
        why = f"{queue:.0f} requests wait, and how many arrive is unknown: no replica less"
        return Term(float(ctx.pool.current), Reason.PREFILL_BACKLOG, why, {"queue_depth": queue})
    service_s = ctx.usable("prefill_time_s")
    if not service_s:
        why = f"{queue:.0f} requests wait, and how long one takes is unknown: one replica more"
        return Term(ctx.pool.current + 1.0, Reason.PREFILL_BACKLOG, why, {"queue_depth": queue})
    budget_s = wait_budget_s(ctx, ctx.objectives)
    need = (rate + queue / budget_s) * service_s
    return Term(
        need,
        Reason.PREFILL_BACKLOG,
        f"{queue:.0f} waiting must drain in {budget_s:.2g} s while {rate:.3g} requests/s arrive; "
        f"one replica takes {service_s:.3g} s for a request",
        {"queue_depth": queue, "request_rate": rate, "service_s": service_s, "wait_budget_s": budget_s},
    )


def _busy(ctx: RoleContext) -> Term | None:
    """Replicas at which the observed work keeps each one busy for the target share."""
    in_flight, ready = ctx.usable("in_flight"), ctx.pool.ready
    rate, service_s = ctx.usable("request_rate"), ctx.usable("prefill_time_s")
    if rate is not None and service_s is not None:
        work, how = rate * service_s, f"{rate:.3g} requests/s x {service_s:.3g} s"
    elif in_flight is not None:
        work, how = min(in_flight, float(ready)), f"{in_flight:.3g} requests in prefill"
    else:
        return None
    return Term(
        work / BUSY_TARGET_RATIO,
        Reason.PREFILL_THROUGHPUT,
        f"{how} is {work:.3g} busy replicas, each to be busy {BUSY_TARGET_RATIO:.0%}",
        {"busy_replicas": work, "target_ratio": BUSY_TARGET_RATIO},
    )


def _ttft(ctx: RoleContext) -> Term | None:
    """A step while TTFT is over target and prefill, not decode or the fabric, holds requests up."""
    observed = ctx.usable("ttft_s", Scope.SERVICE)
    queue = ctx.usable("queue_depth")
    if observed is None or queue is None or queue < 1:
        return None
    return latency_step(ctx, observed, ctx.objectives.ttft.target_s, Reason.TTFT_OVER_TARGET)
