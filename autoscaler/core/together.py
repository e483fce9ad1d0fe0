"""One pool that does both phases: what it is asked for while disaggregation is off, or would be asked for if it were.

Both arrangements are sized at all times, so that a change of the switch starts from a forecast that is warm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from autoscaler.core import forecast, headroom
from autoscaler.core.arrangement import Comparison, Load, MixedPoint, compare, mixed_point
from autoscaler.core.capacity import EngineModel
from autoscaler.core.decision import SwitchStep
from autoscaler.core.learn import HARMLESS_WAIT, SIGNAL_WINDOW_S, Insight, excess_ratio, joining_s
from autoscaler.core.policy import Role, ServicePolicy
from autoscaler.core.prompts import Prompts
from autoscaler.core.signals import Scope
from autoscaler.core.snapshot import Snapshot
from autoscaler.core.state import RoleState

# A queue must be worked off within this time.
_DRAIN_S = 60.0


@dataclass(frozen=True, slots=True)
class TogetherDemand:
    """Work for a pool that does both phases.

    Attributes:
        work: Replicas needed at the set-point; the larger of the next two, and what drains the queue.
        by_rate: From the requests that arrive.
        by_residency: From the sequences that run or are in prefill.
        backlog: Replicas that work the queue off within a minute.
        point: Set-point of one replica.
        output_tokens: Mean output of a request.
    """

    work: float
    by_rate: float
    by_residency: float
    backlog: float
    point: MixedPoint
    output_tokens: float

    @property
    def supply_tokens_per_s(self) -> float:
        """Output tokens per second of one replica at its set-point."""
        return self.point.requests_per_s * self.output_tokens

    @property
    def lasting(self) -> float:
        """The work without the queue, which passes."""
        return max(self.by_rate, self.by_residency)


def load_now(snapshot: Snapshot, prompts: Prompts | None) -> Load | None:
    """The traffic as both arrangements see it, or None where the signals cannot tell."""
    prompt = snapshot.usable(Scope.SERVICE, "input_tokens_mean")
    output = snapshot.usable(Scope.SERVICE, "output_tokens_mean")
    if prompts is None or not prompt or prompt < 1 or not output:
        return None
    return Load(prompts.tokens_per_s / prompt, prompt, prompt * prompts.uncached_ratio, output)


def learn_together(
    policy: ServicePolicy,
    snapshot: Snapshot,
    load: Load | None,
    prefill: Insight,
    decode: Insight,
    memory: RoleState,
    step: SwitchStep,
    now: float,
) -> tuple[RoleState, Insight]:
    """Take one snapshot in for the pool that does, or would do, both phases."""
    model = _model(prefill, decode)
    demand = _demand(policy, snapshot, load, model) if model is not None and load is not None else None
    outlook = None
    if demand is not None and math.isfinite(demand.work):
        lead_s = decode.startup_time_s
        horizon_s = lead_s + policy.interval_s + SIGNAL_WINDOW_S / 2
        kept, outlook = forecast.observe(
            memory.forecast, demand.lasting, now, horizon_s, excess_ratio(Role.AGGREGATED, lead_s)
        )
        memory = replace(memory, forecast=kept)
    if step.decode_does_prefill:
        memory = replace(memory, headroom=_steer(policy, snapshot, memory.headroom, now, answered=decode.answered))
    insight = replace(decode, model=model, demand=demand, outlook=outlook, margin=memory.headroom.margin)
    return memory, insight


def _steer(
    policy: ServicePolicy, snapshot: Snapshot, steered: headroom.Headroom, now: float, *, answered: bool
) -> headroom.Headroom:
    """The pool answers for both objectives, but not for prompts that miss TTFT although nobody waits."""
    ttft = snapshot.usable(Scope.SERVICE, "ttft_attainment_ratio")
    tpot = snapshot.usable(Scope.SERVICE, "tpot_attainment_ratio")
    wait_s = snapshot.usable(Scope.DECODE, "queue_time_s")
    harmless_s = HARMLESS_WAIT * policy.objectives.ttft.target_s
    waits = wait_s is None or wait_s >= max(harmless_s, joining_s(policy, snapshot))
    if ttft is not None and wait_s is not None and wait_s < harmless_s:
        steered = headroom.note_unavoidable(steered, 1.0 - ttft, now)
    avoidable = min(ttft + steered.unavoidable_ratio, 1.0) if ttft is not None and waits else None
    attained = min((share for share in (avoidable, tpot) if share is not None), default=None)
    return headroom.steer(steered, attained, policy.objectives.attainment_ratio, now, answered=answered)


def both_arrangements(policy: ServicePolicy, load: Load | None, prefill: Insight, decode: Insight) -> Comparison | None:
    """GPUs that each arrangement needs now; None without traffic or without trusted models of both phases."""
    if load is None or load.request_rate <= 0 or prefill.model is None or decode.model is None:
        return None
    gpus = (policy.roles[Role.PREFILL].gpus_per_replica, policy.roles[Role.DECODE].gpus_per_replica)
    return compare(prefill.model, decode.model, gpus, load, policy.objectives)


def _model(prefill: Insight, decode: Insight) -> EngineModel | None:
    if prefill.model is None or decode.model is None:
        return None
    return replace(decode.model, prefill=prefill.model.prefill)


def _demand(policy: ServicePolicy, snapshot: Snapshot, load: Load, model: EngineModel) -> TogetherDemand | None:
    running = snapshot.usable(Scope.DECODE, "running")
    waiting = snapshot.usable(Scope.DECODE, "waiting")
    if running is None or waiting is None:
        return None
    capacity = snapshot.usable(Scope.DECODE, "kv_capacity_tokens")
    if capacity:
        model = replace(model, kv_capacity_tokens=capacity)
    point = mixed_point(model, load, policy.objectives)
    if point.requests_per_s <= 0:
        return None
    queued = waiting + (snapshot.usable(Scope.PREFILL, "queue_depth") or 0.0)
    coming = snapshot.usable(Scope.PREFILL, "in_flight") or 0.0
    by_rate = load.request_rate / point.requests_per_s
    by_residency = (running + coming) / point.sequences
    backlog = queued / point.requests_per_s / _DRAIN_S
    work = max(by_rate, by_residency) + backlog
    return TogetherDemand(work, by_rate, by_residency, backlog, point, load.output_tokens)
