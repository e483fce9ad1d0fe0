"""The one door: `decide(policy, snapshot, state, now) -> (decision, state)`.

Pure: same inputs, same decision. The daemon, recommend, replay, the simulator and every test come through here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from autoscaler.core import coupling, stages, switch, switching
from autoscaler.core.attribution import attribute
from autoscaler.core.decision import Decision, Evidence, Reason, RoleDecision, Stage, StageName, SwitchStep
from autoscaler.core.joint import take_joint_steps
from autoscaler.core.learn import learn
from autoscaler.core.policy import Role, ServicePolicy
from autoscaler.core.prompts import prompts_now
from autoscaler.core.proposal import Proposal, RoleContext, whole
from autoscaler.core.roles import decode, prefill
from autoscaler.core.signals import Scope
from autoscaler.core.snapshot import Snapshot
from autoscaler.core.state import RoleState, State, Timed
from autoscaler.core.switching import take_step

# Work below this share of its mean over a quarter of an hour, by more than a replica, is no ebb but a break.
_COLLAPSED_RATIO = 0.2
# Discovery and scrape of a replica that has just become ready may take so long.
_FIRST_SCRAPE_S = 120.0

_POLICIES: Mapping[Role, Callable[[RoleContext], Proposal]] = {
    Role.PREFILL: prefill.propose,
    Role.DECODE: decode.propose,
}


def decide(policy: ServicePolicy, snapshot: Snapshot, state: State, now: float) -> tuple[Decision, State]:
    """Decide the replica counts of one service.

    Args:
        policy: What the user wants.
        snapshot: What is known of the service now.
        state: What the last decision remembered.
        now: Unix time in seconds, steady.

    Returns:
        The decision and the state to pass to the next one.
    """
    started_at_s = state.started_at_s if state.started_at_s is not None else now
    state = switching.remembered(policy, snapshot, replace(state, started_at_s=started_at_s), now)
    ready = snapshot.pools[Role.DECODE].ready if Role.DECODE in snapshot.pools else 0
    attribution = attribute(snapshot, policy.objectives, ready)
    memories = dict(state.roles)
    contexts: dict[Role, RoleContext] = {}
    prompts = prompts_now(snapshot, state.switch.step or SwitchStep.ON, state.threshold.from_tokens)
    for role, role_policy in policy.roles.items():
        if role in snapshot.pools:
            memories[role], insight = learn(policy, role, snapshot, attribution, prompts, state, now)
            contexts[role] = RoleContext(
                role, role_policy, policy.objectives, snapshot.pools[role], snapshot, insight, attribution
            )
    proposals = {role: (context.policy.propose or _POLICIES[role])(context) for role, context in contexts.items()}
    switched = take_step(policy, snapshot, prompts, contexts, proposals, state, now)
    if switched is not None:
        contexts, proposals = switched.contexts, switched.proposals
        memories[Role.AGGREGATED] = switched.together
        state = replace(state, switch=switched.memory, threshold=switched.threshold)
    for role, proposal in proposals.items():
        blind_since_s = memories[role].unusable_since_s if memories[role].unusable_since_s is not None else now
        memories[role] = replace(memories[role], unusable_since_s=None if proposal.terms else blind_since_s)
    state = replace(state, roles=memories)
    short = {role for role, context in contexts.items() if _short(policy, context, proposals[role], contexts)}

    steps = {
        role: _own_steps(policy, ctx, proposals[role], short - {role}, state, now) for role, ctx in contexts.items()
    }
    shortages = take_joint_steps(policy, contexts, snapshot, state, steps, now)
    decisions = {role: _conclude(contexts[role], tuple(taken)) for role, taken in steps.items()}
    remembered = {
        role: replace(_remember(policy, ctx, state, decisions[role], now), shortage=shortages[role])
        for role, ctx in contexts.items()
    }
    state = replace(state, decided_at_s=now, roles={**memories, **remembered})
    undecided = {
        role: snapshot.pool_errors.get(role, "its replica count is unknown")
        for role in policy.roles
        if role not in contexts
    }
    moved = switched.decision if switched is not None else None
    decision = Decision(
        policy.service, snapshot.at_s, policy.mode, decisions, snapshot.signals, undecided, attribution, moved
    )
    return decision, state


def _short(policy: ServicePolicy, ctx: RoleContext, proposal: Proposal, contexts: Mapping[Role, RoleContext]) -> bool:
    """Whether a pool lacks replicas now, and could get them without those of another pool.

    A forecast alone is no shortage, nor is what lies beyond the pool's maximum. Under a budget that is used up, the
    other pool's surplus is what this one waits for.
    """
    forecasts = {Reason.PREFILL_FORECAST, Reason.DECODE_FORECAST, Reason.AGGREGATED_FORECAST}
    need = max((term.need for term in proposal.terms if term.reason not in forecasts), default=0.0)
    if min(whole(need), ctx.policy.max_replicas) <= ctx.pool.current:
        return False
    one_more = {role: context.pool.current + (role is ctx.role) for role, context in contexts.items()}
    policies = {role: context.policy for role, context in contexts.items()}
    pools = {role: context.pool for role, context in contexts.items()}
    return coupling.in_budget(policy.budget_gpus, policies, pools, one_more)


def _own_steps(
    policy: ServicePolicy, ctx: RoleContext, proposal: Proposal, others_short: set[Role], state: State, now: float
) -> list[Stage]:
    """The steps of one pool on its own: proposal, signals, tolerance, window, rate, bounds."""
    current, memory = ctx.pool.current, state.roles[ctx.role]
    steps: list[Stage] = []
    binding = proposal.binding
    if policy.switch is not None and ctx.role is Role.PREFILL and state.switch.step is SwitchStep.OFF:
        asked = (proposal.replicas, binding.reason, binding.detail) if binding is not None else (current, Reason.IDLE)
        steps.append(Stage(StageName.PROPOSAL, current, *asked))
        held = _beside_unread(policy, ctx, steps[-1].after, grows=False)
        steps.append(held or switch.stage(policy.switch, ctx.role, ctx.pool, state.switch, steps[-1].after))
        return [*steps, stages.bound(ctx.policy, steps[-1].after)]
    if binding is None:
        steps.append(Stage(StageName.PROPOSAL, current, current, Reason.SIGNALS_UNUSABLE, _why(proposal)))
        steps.append(_fallback(policy, ctx, memory, now))
    else:
        steps.append(
            Stage(StageName.PROPOSAL, current, proposal.replicas, binding.reason, binding.detail, binding.numbers)
        )
        held = _beside_unread(policy, ctx, proposal.replicas, grows=True)
        steps.append(held or _signals(ctx, proposal, others_short, memory, now))
    need = binding.need if binding is not None else float(steps[-1].after)
    since_s = memory.since_s if memory.since_s is not None else now
    lead_s = ctx.insight.startup_time_s
    steps.append(stages.tolerance(ctx.policy, current, need, steps[-1].after, firm=proposal.firm))
    steps.append(stages.stabilize(ctx.policy, ctx.role, memory, since_s, current, steps[-1].after, now, lead_s))
    steps.append(stages.limit_rate(ctx.policy, memory, current, steps[-1].after, now))
    if policy.switch is not None:
        steps.append(switching.stage(policy.switch, ctx.role, ctx.pool, state, steps[-1].after, now))
    steps.append(stages.bound(ctx.policy, steps[-1].after))
    return steps


def _conclude(ctx: RoleContext, steps: tuple[Stage, ...]) -> RoleDecision:
    changed = [step for step in steps if step.after != step.before]
    insight, outlook = ctx.insight, ctx.insight.outlook
    return RoleDecision(
        current=ctx.pool.current,
        ready=ctx.pool.ready,
        desired=steps[-1].after,
        uncapped=steps[0].after,
        reason=(changed[-1] if changed else steps[0]).reason,
        stages=steps,
        evidence=Evidence(
            startup_time_s=insight.startup_time_s,
            model_source=insight.model_source,
            confidence_ratio=insight.confidence_ratio,
            demand=insight.demand.work if insight.demand is not None else None,
            supply_tokens_per_s=insight.demand.supply_tokens_per_s if insight.demand is not None else None,
            forecast=outlook.demand if outlook is not None else None,
            forecast_upper=outlook.upper if outlook is not None else None,
            forecaster=outlook.forecaster if outlook is not None else None,
            horizon_s=outlook.horizon_s if outlook is not None else None,
            margin=insight.margin,
        ),
    )


def _why(proposal: Proposal) -> str:
    return "; ".join(f"{name} is {problem}" for name, problem in proposal.missing.items())


def _signals(ctx: RoleContext, proposal: Proposal, others_short: set[Role], memory: RoleState, now: float) -> Stage:
    """Any signal may grow a pool.

    A shrink needs all of them, of all replicas, and no rollout, no collapse, no neighbour that is short.
    """
    current, before = ctx.pool.current, proposal.replicas
    if before >= current:
        return Stage(StageName.SIGNALS, before, before, Reason.SIGNALS_HEALTHY)
    if proposal.missing:
        return Stage(StageName.SIGNALS, before, current, Reason.SHRINK_NEEDS_ALL_SIGNALS, _why(proposal))
    settled = memory.grown_at_s is None or now - memory.grown_at_s >= _FIRST_SCRAPE_S
    silent = unseen(ctx.snapshot, ctx.role)
    if silent and settled:
        return Stage(StageName.SIGNALS, before, current, Reason.SHRINK_NEEDS_ALL_SIGNALS, silent)
    if ctx.pool.updating:
        return Stage(StageName.SIGNALS, before, current, Reason.ROLLOUT_IN_PROGRESS, "a rollout is under way")
    if others_short:
        names = ", ".join(sorted(others_short))
        return Stage(StageName.SIGNALS, before, current, Reason.OTHER_POOL_SHORT, f"{names} is short of replicas")
    now_work = ctx.insight.demand.work if ctx.insight.demand is not None else None
    if now_work is not None and now_work + 1.0 < _COLLAPSED_RATIO * memory.forecast.slow:
        detail = f"work fell from {memory.forecast.slow:.3g} to {now_work:.3g} replicas: is the router well?"
        numbers = {"work": now_work, "work_15_min": memory.forecast.slow}
        return Stage(StageName.SIGNALS, before, current, Reason.TRAFFIC_COLLAPSED, detail, numbers)
    return Stage(StageName.SIGNALS, before, before, Reason.SIGNALS_HEALTHY)


def unseen(snapshot: Snapshot, role: Role) -> str:
    """How many replicas of a pool serve without reporting, in words; empty where all report, or nobody knows."""
    reporting, ready = snapshot.usable(Scope(role.value), "reporting_replicas"), snapshot.pools[role].ready
    if reporting is None or reporting >= ready:
        return ""
    return f"of {ready} replicas that serve {reporting:.0f} report: what the others do is not counted"


def _beside_unread(policy: ServicePolicy, ctx: RoleContext, before: int, *, grows: bool) -> Stage | None:
    """A pool that may be serving for another one, which cannot be read, is kept; None where it may change."""
    current, names = ctx.pool.current, switching.unread(policy, ctx.snapshot)
    if not names or (grows and before >= current):
        return None
    detail = f"the replicas of {names} are unknown, and the switch lets each pool serve for the other"
    return Stage(StageName.SIGNALS, before, current, Reason.REPLICAS_UNKNOWN, detail)


def _fallback(policy: ServicePolicy, ctx: RoleContext, memory: RoleState, now: float) -> Stage:
    """Hold without signals; after a deadline go to the policy's fallback, which may only grow."""
    current, fallback = ctx.pool.current, ctx.policy.fallback_replicas
    blind_s = now - memory.unusable_since_s if memory.unusable_since_s is not None else 0.0
    numbers = {"unusable_for_s": blind_s, "fallback_after_s": policy.fallback_after_s}
    if fallback is None or blind_s < policy.fallback_after_s or fallback <= current:
        return Stage(StageName.SIGNALS, current, current, Reason.SIGNALS_UNUSABLE, "held until signals return", numbers)
    detail = f"no usable signal for {blind_s:.0f} s: the policy's fallback"
    return Stage(StageName.SIGNALS, current, fallback, Reason.FALLBACK, detail, numbers)


def _remember(policy: ServicePolicy, ctx: RoleContext, state: State, decided: RoleDecision, now: float) -> RoleState:
    memory, behavior, lead_s = state.roles[ctx.role], ctx.policy.behavior, ctx.insight.startup_time_s
    longest_window_s = stages.longest_window_s(ctx.policy, lead_s)
    rules = (*behavior.up.rules, *behavior.down.rules)
    changes_kept_s = max((stages.CHANGES_KEPT_S, *(rule.period_s for rule in rules)))
    # What the earlier stages let through, not the raw proposal: a held shrink must not age in the window.
    asked = next((step.after for step in decided.stages if step.stage is StageName.TOLERANCE), decided.desired)
    earlier = (item for item in memory.proposals if item.at_s != now)
    proposals = (*earlier, Timed(now, float(asked)))
    return replace(
        memory,
        decided=Timed(now, float(decided.desired)) if decided.changed else None,
        proposals=tuple(item for item in proposals if item.at_s > now - longest_window_s - policy.interval_s),
        changes=tuple(item for item in memory.changes if item.at_s > now - changes_kept_s),
    )
