"""The switch in a decision: both arrangements sized side by side, one step taken, and what that means for the pools."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from autoscaler.core import switch, threshold
from autoscaler.core.arrangement import Comparison
from autoscaler.core.decision import Stage, SwitchDecision, SwitchStep
from autoscaler.core.lengths import lengths_now
from autoscaler.core.policy import Disaggregation, Role, ServicePolicy, SwitchPolicy
from autoscaler.core.prompts import Prompts, prompts_now
from autoscaler.core.proposal import Proposal, RoleContext, whole
from autoscaler.core.roles import together as both_phases
from autoscaler.core.signals import Scope
from autoscaler.core.snapshot import PoolState, Snapshot
from autoscaler.core.state import RoleState, State, SwitchState, ThresholdState
from autoscaler.core.supply import held_bounds
from autoscaler.core.together import both_arrangements, learn_together, load_now


@dataclass(frozen=True, slots=True)
class Switched:
    """What the switch makes of a decision.

    Attributes:
        decision: Where the switch should be; None while it cannot be told, for a pool cannot be read.
        memory: Its memory.
        threshold: Memory of the threshold.
        together: Memory of what one pool for both phases is asked for.
        contexts: The pools with the bounds that hold in this step.
        proposals: What they ask for, decode for both phases where it serves them.
    """

    decision: SwitchDecision | None
    memory: SwitchState
    threshold: ThresholdState
    together: RoleState
    contexts: dict[Role, RoleContext]
    proposals: dict[Role, Proposal]


def remembered(policy: ServicePolicy, snapshot: Snapshot, state: State, now: float) -> State:
    """The state with the memory of the switch that the policy has, begun where the stack shows it, and of no other.

    A change that the policy does not want any more is dropped, where that is still possible.

    What a switch or a threshold remembers would go on governing the pools of a policy that has none.
    """
    own = policy.switch
    kind = own.disaggregation if own is not None else None
    if kind in {None, Disaggregation.THRESHOLD} and state.switch != SwitchState():
        state = replace(state, switch=SwitchState())
    if kind is not Disaggregation.THRESHOLD and state.threshold != ThresholdState():
        state = replace(state, threshold=ThresholdState())
    begins = kind is not Disaggregation.THRESHOLD and state.switch.step is None
    if own is not None and begins and snapshot.disaggregated is not None:
        state = replace(state, switch=switch.begun(own, snapshot, now))
    if own is not None:
        state = replace(state, switch=switch.taken_back(own, state.switch, now))
    return state


def take_step(
    policy: ServicePolicy,
    snapshot: Snapshot,
    prompts: Prompts | None,
    contexts: Mapping[Role, RoleContext],
    proposals: Mapping[Role, Proposal],
    state: State,
    now: float,
) -> Switched | None:
    """Size both arrangements and take one step of the switch; None where the policy leaves it alone."""
    if policy.switch is None or not policy.roles.keys() >= {Role.PREFILL, Role.DECODE}:
        return None
    if unread(policy, snapshot):
        return _stand_still(contexts, proposals, state)
    if policy.switch.disaggregation is Disaggregation.THRESHOLD:
        return _take_threshold_step(policy, policy.switch, snapshot, prompts, contexts, proposals, state, now)
    insights = (contexts[Role.PREFILL].insight, contexts[Role.DECODE].insight)
    load, step = load_now(snapshot, prompts), state.switch.step or SwitchStep.ON
    kept = state.roles.get(Role.AGGREGATED, RoleState(since_s=state.started_at_s))
    kept, insight = learn_together(policy, snapshot, load, *insights, kept, step, now)
    together = replace(contexts[Role.DECODE], insight=insight)
    asked = both_phases.propose(together)
    comparison = both_arrangements(policy, load, *insights)
    # A change begins with what each pool would be asked for, forecast and headroom included.
    least = _least(contexts[Role.PREFILL], proposals[Role.PREFILL]), asked.replicas
    if comparison is not None:
        comparison = replace(
            comparison,
            prefill_replicas=max(comparison.prefill_replicas, float(least[0])),
            together_replicas=max(comparison.together_replicas, float(least[1])),
        )
    opens = state.switch.step is SwitchStep.OFF
    blocked = (
        _held(contexts, now)
        or _unjudged([asked, proposals[Role.PREFILL]] if opens and contexts[Role.PREFILL].pool.current else [asked])
        or _too_many(contexts[Role.PREFILL if opens else Role.DECODE], comparison, least)
    )
    payback_s = _payback_s(policy.switch, contexts, comparison)
    decided, memory = switch.advance(
        policy.switch, snapshot, comparison, state.switch, now, blocked=blocked, payback_s=payback_s, floors=least
    )
    in_force, wanted = dict(contexts), dict(proposals)
    if decided.step.decode_does_prefill and in_force[Role.DECODE].policy.propose is None:
        in_force[Role.DECODE], wanted[Role.DECODE] = together, asked
    for role, ctx in in_force.items():
        bounds = switch.narrowed(policy.switch, role, ctx.policy, ctx.pool, decided.step, now)
        in_force[role] = replace(ctx, policy=bounds)
    return Switched(decided, memory, ThresholdState(), kept, in_force, wanted)


def unread(policy: ServicePolicy, snapshot: Snapshot) -> str:
    """Names of the pools that cannot be read, where a switch lets another pool serve for them; empty elsewhere."""
    missing = policy.roles.keys() - snapshot.pools.keys() if policy.switch is not None else set()
    return " and ".join(sorted(missing))


def _stand_still(contexts: Mapping[Role, RoleContext], proposals: Mapping[Role, Proposal], state: State) -> Switched:
    """No step without both pools: none shrinks, and prefill does not grow where the switch keeps it from that."""
    in_force = {}
    for role, ctx in contexts.items():
        current, most = ctx.pool.current, ctx.policy.max_replicas
        least = max(ctx.policy.min_replicas, min(current, most))
        if role is Role.PREFILL and switch.prefill_stands(state.switch.step):
            least = most = current
        in_force[role] = replace(ctx, policy=replace(ctx.policy, min_replicas=least, max_replicas=most))
    kept = state.roles.get(Role.AGGREGATED, RoleState(since_s=state.started_at_s))
    return Switched(None, state.switch, state.threshold, kept, in_force, dict(proposals))


def stage(policy: SwitchPolicy, role: Role, pool: PoolState, state: State, before: int, now: float) -> Stage:
    """What the switch, or a move of the threshold, does to a pool's number."""
    if policy.disaggregation is Disaggregation.THRESHOLD:
        return threshold.stage(role, pool, threshold.step_of(policy, state.threshold, now), state.threshold, before)
    return switch.stage(policy, role, pool, state.switch, before)


def _take_threshold_step(
    policy: ServicePolicy,
    switch_policy: SwitchPolicy,
    snapshot: Snapshot,
    prompts: Prompts | None,
    contexts: Mapping[Role, RoleContext],
    proposals: Mapping[Role, Proposal],
    state: State,
    now: float,
) -> Switched:
    """Size every threshold, take one step towards the best, and let decode ask for the short prompts too."""
    insights = (contexts[Role.PREFILL].insight, contexts[Role.DECODE].insight)
    if math.isinf(state.threshold.from_tokens):
        prompts = prompts_now(snapshot, SwitchStep.OFF)
    lengths, load = lengths_now(snapshot), load_now(snapshot, prompts)
    rates = [snapshot.usable(scope, "request_rate") or 0.0 for scope in (Scope.PREFILL, Scope.SERVICE)]
    load = replace(load, request_rate=max(rates)) if load is not None else None
    candidates = []
    models = (insights[0].model, insights[1].model)
    if load is not None and lengths is not None and models[0] is not None and models[1] is not None:
        gpus = (policy.roles[Role.PREFILL].gpus_per_replica, policy.roles[Role.DECODE].gpus_per_replica)
        candidates = [
            threshold.size(models[0], models[1], gpus, load, lengths, policy.objectives, tokens)
            for tokens in switch_policy.thresholds_tokens
        ]
        roles = (contexts[Role.PREFILL].policy, contexts[Role.DECODE].policy)
        candidates = [
            item for item in candidates if threshold.fits(item, roles) or item.tokens == state.threshold.tokens
        ]
    decided, memory = threshold.advance(
        switch_policy, snapshot, candidates, state.threshold, now, blocked=_held(contexts, now)
    )
    in_force, wanted = dict(contexts), dict(proposals)
    kept = state.roles.get(Role.AGGREGATED, RoleState(since_s=state.started_at_s))
    if memory.from_tokens > 0 and load is not None and lengths is not None:
        local = threshold.local_load(load, lengths, memory.from_tokens)
        kept, insight = learn_together(policy, snapshot, local, *insights, kept, SwitchStep.OFF, now)
        together = replace(contexts[Role.DECODE], insight=insight)
        if together.policy.propose is None:
            in_force[Role.DECODE], wanted[Role.DECODE] = together, both_phases.propose(together)
    return Switched(decided, state.switch, memory, kept, in_force, wanted)


def _held(contexts: Mapping[Role, RoleContext], now: float) -> str:
    """An operator's word, for which no change may begin; empty where there is none."""
    for role, ctx in contexts.items():
        if held_bounds(ctx.policy, ctx.pool.current, now) is not ctx.policy:
            return f"{role} is held by the operator"
    return ""


def _least(prefill: RoleContext, proposal: Proposal) -> int:
    """Prefill replicas to open with; an empty pool that nothing can be said of begins with the policy's least."""
    return proposal.replicas if proposal.terms else prefill.policy.min_replicas


def _unjudged(proposals: Sequence[Proposal]) -> str:
    """Why no change may begin from pools of which no signal tells what they need; empty where each can be judged."""
    blind = next((proposal for proposal in proposals if not proposal.terms), None)
    if blind is None:
        return ""
    missing = "; ".join(f"{name} is {problem}" for name, problem in blind.missing.items())
    return f"what it would take cannot be told: {missing}"


def _too_many(grows: RoleContext, comparison: Comparison | None, least: tuple[int, int]) -> str:
    """Why a change may not begin that this pool has to grow for: bounds that it would not fit into."""
    needs = (comparison.prefill_replicas, comparison.together_replicas) if comparison is not None else least
    need = needs[0] if grows.role is Role.PREFILL else needs[1]
    if math.isinf(need):
        return f"no number of {grows.role} replicas would meet the objectives"
    replicas, most = whole(need), grows.policy.max_replicas
    return f"it would take {replicas} {grows.role} replicas, and the policy allows {most}" if replicas > most else ""


def _payback_s(policy: SwitchPolicy, contexts: Mapping[Role, RoleContext], comparison: Comparison | None) -> float:
    """Time in which the cheaper arrangement saves what a change costs: new replicas held beside the old ones."""
    if comparison is None:
        return 0.0
    saving_gpus = abs(comparison.apart_gpus - comparison.together_gpus)
    if not math.isfinite(saving_gpus) or saving_gpus <= 0:
        return 0.0
    opens = comparison.apart_gpus < comparison.together_gpus
    ctx = contexts[Role.PREFILL if opens else Role.DECODE]
    needed = comparison.prefill_replicas if opens else comparison.together_replicas
    extra_gpus = max(needed - ctx.pool.current, 0.0) * ctx.policy.gpus_per_replica
    held_s = ctx.insight.startup_time_s + (policy.observe_s if opens else policy.lease_s)
    return extra_gpus * held_s / saving_gpus
