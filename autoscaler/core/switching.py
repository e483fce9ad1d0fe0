"""The switch in a decision: both arrangements sized side by side, one step taken, and what that means for the pools."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from autoscaler.core import switch
from autoscaler.core.arrangement import Comparison
from autoscaler.core.decision import SwitchDecision, SwitchStep
from autoscaler.core.policy import Role, ServicePolicy, SwitchPolicy
from autoscaler.core.prompts import Prompts
from autoscaler.core.proposal import Proposal, RoleContext, whole
from autoscaler.core.roles import together as both_phases
from autoscaler.core.snapshot import Snapshot
from autoscaler.core.state import RoleState, State, SwitchState
from autoscaler.core.supply import held_bounds
from autoscaler.core.together import both_arrangements, learn_together, load_now


@dataclass(frozen=True, slots=True)
class Switched:
    """What the switch makes of a decision.

    Attributes:
        decision: Where the switch should be.
        memory: Its memory.
        together: Memory of what one pool for both phases is asked for.
        contexts: The pools with the bounds that hold in this step.
        proposals: What they ask for, decode for both phases where it serves them.
    """

    decision: SwitchDecision
    memory: SwitchState
    together: RoleState
    contexts: dict[Role, RoleContext]
    proposals: dict[Role, Proposal]


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
    if policy.switch is None or not contexts.keys() >= {Role.PREFILL, Role.DECODE}:
        return None
    insights = (contexts[Role.PREFILL].insight, contexts[Role.DECODE].insight)
    load, step = load_now(snapshot, prompts), state.switch.step or SwitchStep.ON
    kept = state.roles.get(Role.AGGREGATED, RoleState(since_s=state.started_at_s))
    kept, insight = learn_together(policy, snapshot, load, *insights, kept, step, now)
    together = replace(contexts[Role.DECODE], insight=insight)
    asked = both_phases.propose(together)
    comparison = both_arrangements(policy, load, *insights)
    if comparison is not None:
        # A change begins with what each pool would be asked for, forecast and headroom included.
        comparison = replace(
            comparison,
            prefill_replicas=max(comparison.prefill_replicas, float(proposals[Role.PREFILL].replicas)),
            together_replicas=max(comparison.together_replicas, float(asked.replicas)),
        )
    blocked, payback_s = _blocked(contexts, comparison, now), _payback_s(policy.switch, contexts, comparison)
    decided, memory = switch.advance(
        policy.switch, snapshot, comparison, state.switch, now, blocked=blocked, payback_s=payback_s
    )
    in_force, wanted = dict(contexts), dict(proposals)
    if decided.step.decode_does_prefill and in_force[Role.DECODE].policy.propose is None:
        in_force[Role.DECODE], wanted[Role.DECODE] = together, asked
    for role, ctx in in_force.items():
        bounds = switch.narrowed(policy.switch, role, ctx.policy, ctx.pool, decided.step)
        in_force[role] = replace(ctx, policy=bounds)
    return Switched(decided, memory, kept, in_force, wanted)


def _blocked(contexts: Mapping[Role, RoleContext], comparison: Comparison | None, now: float) -> str:
    """Why a change may not begin: an operator's word, or bounds that it would not fit into."""
    for role, ctx in contexts.items():
        if held_bounds(ctx.policy, ctx.pool.current, now) is not ctx.policy:
            return f"{role} is held by the operator"
    if comparison is None:
        return ""
    needs = {Role.PREFILL: whole(comparison.prefill_replicas), Role.DECODE: whole(comparison.together_replicas)}
    for role, need in needs.items():
        most = contexts[role].policy.max_replicas
        if need > most:
            return f"it would take {need} {role} replicas, and the policy allows {most}"
    return ""


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
