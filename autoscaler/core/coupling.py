"""Guards that look at several pools at once: the ratio band, a service's GPU budget, a budget that services share.

All fail closed: what cannot be paid is not granted. Policies whose bounds, band and budget cannot all hold are refused
at load, so that the search below always finds a pair.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from autoscaler.core.decision import Reason, Stage, StageName
from autoscaler.core.policy import RatioBand, Role, RolePolicy, ServicePolicy
from autoscaler.core.snapshot import PoolState, Snapshot
from autoscaler.core.state import State

Counts = Mapping[Role, int]
_NOISE = 1e-9


def in_band(band: RatioBand | None, counts: Counts) -> bool:
    """Whether prefill : decode lies inside the band; true where there is no band or not both pools."""
    if band is None or not counts.keys() >= {Role.PREFILL, Role.DECODE}:
        return True
    return band.holds(counts[Role.PREFILL], counts[Role.DECODE])


def in_budget(
    budget_gpus: float | None, policies: Mapping[Role, RolePolicy], pools: Mapping[Role, PoolState], counts: Counts
) -> bool:
    """Whether the counts can be paid for now.

    What one pool gives up is free for another only once its GPUs are released: until then draining replicas count, and
    so do those that leave in this very step.
    """
    if budget_gpus is None:
        return True
    cost = {role: policies[role].gpus_per_replica for role in counts}
    asked = sum(cost[role] * count for role, count in counts.items())
    held_now = sum(cost[role] * (pools[role].current + pools[role].terminating) for role in counts)
    held_then = sum(
        cost[role] * (max(pools[role].current, count) + pools[role].terminating) for role, count in counts.items()
    )
    return asked <= budget_gpus + 1e-9 and held_then <= max(budget_gpus, held_now) + 1e-9


def fit(
    band: RatioBand | None,
    budget_gpus: float | None,
    policies: Mapping[Role, RolePolicy],
    pools: Mapping[Role, PoolState],
    wanted: Counts,
    minima: Counts | None = None,
) -> dict[Role, int]:
    """The counts nearest to the wanted ones inside bounds, band and budget.

    Nearest takes away as little as possible, as a share of what the pool wants that loses the larger share, then of
    both, then costs the fewest GPUs: a pair out of the band is repaired by growth first, a short budget cuts both.

    Args:
        band: What prefill : decode must stay within.
        budget_gpus: What all pools may hold together.
        policies: Bounds and cost of each pool, narrowed by an operator's word.
        pools: What they hold now.
        wanted: The counts that come in.
        minima: What each pool may hold whatever the budget; None for the minima of `policies`.
    """
    if in_band(band, wanted) and in_budget(budget_gpus, policies, pools, wanted):
        return dict(wanted)
    first, *others = wanted
    limits = policies[first]
    fitting = [
        counts
        for count in range(limits.min_replicas, limits.max_replicas + 1)
        for counts in _with_partner(band, budget_gpus, policies, pools, wanted, first, count, others)
        if in_band(band, counts) and in_budget(budget_gpus, policies, pools, counts)
    ]
    if not fitting:
        # The budget is exceeded already and bounds or band forbid to obey it in one step: at least do not grow.
        least = minima if minima is not None else {role: policies[role].min_replicas for role in wanted}
        return {role: min(count, max(pools[role].current, least[role])) for role, count in wanted.items()}

    def loss(counts: Counts) -> tuple[float, float, float]:
        missing = [max(wanted[role] - count, 0) / max(wanted[role], 1) for role, count in counts.items()]
        gpus = sum(policies[role].gpus_per_replica * count for role, count in counts.items())
        return max(missing), sum(missing), gpus

    return min(fitting, key=loss)


def _with_partner(
    band: RatioBand | None,
    budget_gpus: float | None,
    policies: Mapping[Role, RolePolicy],
    pools: Mapping[Role, PoolState],
    wanted: Counts,
    role: Role,
    count: int,
    others: Sequence[Role],
) -> Iterator[dict[Role, int]]:
    """A count of one pool with the count of the other that is nearest to what that wants, where there is one."""
    if not others:
        yield {role: count}
        return
    (other,) = others
    low, high = float(policies[other].min_replicas), float(policies[other].max_replicas)
    if band is not None and {role, other} == {Role.PREFILL, Role.DECODE}:
        # prefill / decode lies in the band: which of the two is given decides what its bounds are.
        most, least = band.max_ratio, band.min_ratio
        if role is Role.PREFILL:
            most, least = 1 / band.min_ratio if band.min_ratio > 0 else math.inf, 1 / band.max_ratio
        low, high = max(low, count * least - _NOISE), min(high, count * most + _NOISE)
    if budget_gpus is not None:
        cost, partner = policies[role].gpus_per_replica, policies[other].gpus_per_replica
        draining = sum(policies[each].gpus_per_replica * pools[each].terminating for each in wanted)
        held_now = sum(policies[each].gpus_per_replica * pools[each].current for each in wanted) + draining
        high = min(high, (budget_gpus - cost * count) / partner + _NOISE)
        left = max(budget_gpus, held_now) - draining - cost * max(count, pools[role].current)
        high = min(high, left / partner + _NOISE)
    if math.ceil(low) <= math.floor(high):
        yield {role: count, other: min(max(wanted[other], math.ceil(low)), math.floor(high))}


def unread_pools(policy: ServicePolicy, snapshot: Snapshot, state: State) -> dict[Role, PoolState]:
    """The pools that could not be read, as they were last seen; one that never was, as large as it may be."""
    pools = {}
    for role in policy.roles.keys() - snapshot.pools.keys():
        seen = last_seen(state, role)
        count = policy.roles[role].max_replicas if seen is None else seen
        pools[role] = PoolState(count, count)
    return pools


def last_seen(state: State, role: Role) -> int | None:
    """Replicas of a pool when it could last be read; None if it never was."""
    return state.roles[role].current if role in state.roles else None


def unread_gpus(policy: ServicePolicy, snapshot: Snapshot, state: State) -> float:
    """GPUs that the pools hold which could not be read, as far as is known."""
    unread = unread_pools(policy, snapshot, state)
    return sum(policy.roles[role].gpus_per_replica * pool.current for role, pool in unread.items())


def ratio_stages(
    band: RatioBand | None, policies: Mapping[Role, RolePolicy], pools: Mapping[Role, PoolState], before: Counts
) -> dict[Role, Stage]:
    """Bring prefill : decode into the band. Both at zero is left alone."""
    after = fit(band, None, policies, pools, before)
    numbers = {"min_ratio": band.min_ratio, "max_ratio": band.max_ratio} if band is not None else {}
    detail = f"prefill : decode must stay within {numbers['min_ratio']:g} and {numbers['max_ratio']:g}" if band else ""
    return {
        role: Stage(StageName.RATIO, count, after[role], Reason.RATIO_REPAIRED, detail, numbers)
        if after[role] != count
        else Stage(StageName.RATIO, count, count, Reason.RATIO_HOLDS, "", numbers)
        for role, count in before.items()
    }


def budget_stages(
    band: RatioBand | None,
    budget_gpus: float | None,
    policies: Mapping[Role, RolePolicy],
    pools: Mapping[Role, PoolState],
    before: Counts,
    minima: Counts,
) -> dict[Role, Stage]:
    """Bring the GPUs of all pools under the budget, if there is one, without leaving the band; `minima` as in `fit`."""
    after = fit(band, budget_gpus, policies, pools, before, minima) if budget_gpus is not None else before
    numbers = {"budget_gpus": budget_gpus} if budget_gpus is not None else {}
    # Its own budget, or what a shared one leaves to it.
    detail = f"the service may hold {budget_gpus:g} GPUs now" if budget_gpus is not None else ""
    return {
        role: Stage(StageName.BUDGET, count, after[role], Reason.BUDGET_LIMITED, detail, numbers)
        if after[role] != count
        else Stage(StageName.BUDGET, count, count, Reason.BUDGET_HOLDS, "", numbers)
        for role, count in before.items()
    }


@dataclass(frozen=True, slots=True)
class Claim:
    """What one service asks of a budget that services share, in GPUs.

    Attributes:
        service: Who asks.
        priority: Higher is served first.
        floor_gpus: What its minimum replicas cost; always granted.
        held_gpus: What it holds now, draining replicas included.
        wanted_gpus: What its decision would hold.
    """

    service: str
    priority: int
    floor_gpus: float
    held_gpus: float
    wanted_gpus: float


def share(claims: Sequence[Claim], budget_gpus: float) -> dict[str, float]:
    """GPUs granted to each service.

    Each is entitled to its floor and then, by priority, to a part of the rest in proportion to what it lacks. Who holds
    more than that gives it up; who holds less grows only into what nobody holds any more.

    Returns:
        Granted GPUs per service; with what the others still hold, they never exceed the budget unless the floors or
        what is held do so already.
    """
    floors = {claim.service: claim.floor_gpus for claim in claims}
    wanted = {claim.service: max(claim.wanted_gpus, claim.floor_gpus) for claim in claims}
    entitled = _by_priority(claims, floors, wanted, budget_gpus - sum(floors.values()))
    there = {claim.service: max(claim.held_gpus, claim.floor_gpus) for claim in claims}
    grown = _by_priority(claims, there, entitled, budget_gpus - sum(there.values()))
    return {service: min(grown[service], entitled[service]) for service in floors}


def _by_priority(
    claims: Sequence[Claim], base: Mapping[str, float], ceiling: Mapping[str, float], free_gpus: float
) -> dict[str, float]:
    """Free GPUs on top of what each has, higher priorities first, in proportion to what is lacking within one."""
    granted = dict(base)
    ordered = sorted(claims, key=lambda claim: -claim.priority)
    for _, group in itertools.groupby(ordered, key=lambda claim: claim.priority):
        lacking = {claim.service: max(ceiling[claim.service] - base[claim.service], 0.0) for claim in group}
        total = sum(lacking.values())
        part = min(max(free_gpus, 0.0) / total, 1.0) if total > 0 else 0.0
        for service, gpus in lacking.items():
            granted[service] += part * gpus
        free_gpus -= part * total
    return granted
