"""The steps that need the cluster or both pools: what can be delivered, the operator's word, ratio band, budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from autoscaler.core import coupling
from autoscaler.core.decision import Stage, SwitchStep
from autoscaler.core.policy import Role, RolePolicy, ServicePolicy
from autoscaler.core.proposal import RoleContext
from autoscaler.core.snapshot import PoolState, Snapshot
from autoscaler.core.state import State
from autoscaler.core.supply import Shortage, held_bounds, limit_to_deliverable, obey


def take_joint_steps(
    policy: ServicePolicy,
    contexts: Mapping[Role, RoleContext],
    snapshot: Snapshot,
    state: State,
    steps: Mapping[Role, list[Stage]],
    now: float,
) -> Mapping[Role, Shortage]:
    """Append to each pool's steps what the cluster can deliver, the operator's word, the ratio band and the budget.

    The operator's word narrows the bounds in which band and budget are then met; what the cluster cannot deliver now
    they may ask for again. A pool that cannot be read stays as it was last seen, and holds its GPUs.
    """
    unread = coupling.unread_pools(policy, snapshot, state)
    pools = {role: ctx.pool for role, ctx in contexts.items()} | unread
    held = {role: held_bounds(ctx.policy, ctx.pool.current, now) for role, ctx in contexts.items()}
    held |= {role: _fixed(policy.roles[role], pool.current) for role, pool in unread.items()}
    shortages: dict[Role, Shortage] = {}
    for role, ctx in contexts.items():
        memory = state.roles[role].shortage
        stage, shortages[role] = limit_to_deliverable(ctx.policy, ctx.pool, memory, steps[role][-1].after, now)
        steps[role].append(stage)
        steps[role].append(obey(ctx.policy, held[role], stage.after, now))
    known = all(role in contexts or coupling.last_seen(state, role) is not None for role in policy.roles)
    # A change of the switch leaves the band, and a pool of which nobody knows how large it is tells nothing of it.
    apart = state.switch.step in {None, SwitchStep.ON} and not state.decode_does_prefill
    band = policy.ratio if known and apart else None
    for role, stage in coupling.ratio_stages(band, held, pools, _numbers(steps, unread)).items():
        if role in steps:
            steps[role].append(stage)
    # A pin may not spend what the budget does not have, but the policy's own minimum may.
    minima = {role: policy.roles[role].min_replicas for role in contexts} | _counts(unread)
    numbers = _numbers(steps, unread)
    for role, stage in coupling.budget_stages(band, policy.budget_gpus, held, pools, numbers, minima).items():
        if role in steps:
            steps[role].append(stage)
    return shortages


def _fixed(policy: RolePolicy, replicas: int) -> RolePolicy:
    return replace(policy, min_replicas=replicas, max_replicas=replicas)


def _counts(pools: Mapping[Role, PoolState]) -> dict[Role, int]:
    return {role: pool.current for role, pool in pools.items()}


def _numbers(steps: Mapping[Role, list[Stage]], unread: Mapping[Role, PoolState]) -> dict[Role, int]:
    return {role: taken[-1].after for role, taken in steps.items()} | _counts(unread)
