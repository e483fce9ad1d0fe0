"""Guards that look at several pools at once: the ratio band, a service's GPU budget, a budget that services share.

All fail closed: what cannot be paid is not granted. Policies whose bounds, band and budget cannot all hold are refused
at load, so that the search below always finds a pair.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoscaler.core.decision import Reason, Stage, StageName
from autoscaler.core.policy import RatioBand, Role, RolePolicy
from autoscaler.core.snapshot import PoolState

Counts = Mapping[Role, int]


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
) -> dict[Role, int]:
    """The counts nearest to the wanted ones inside bounds, band and budget.

    Nearest takes away as little as possible, as a share of what each pool wants, then costs the fewest GPUs: a pair
    out of the band is repaired by growth first, and by shrinking only where a maximum or the budget blocks that.
    """
    if in_band(band, wanted) and in_budget(budget_gpus, policies, pools, wanted):
        return dict(wanted)
    roles = list(wanted)
    ranges = [range(policies[role].min_replicas, policies[role].max_replicas + 1) for role in roles]
    candidates = (dict(zip(roles, counts, strict=True)) for counts in itertools.product(*ranges))
    fitting = [
        counts for counts in candidates if in_band(band, counts) and in_budget(budget_gpus, policies, pools, counts)
    ]
    if not fitting:
        # The budget is exceeded already and bounds or band forbid to obey it in one step: at least do not grow.
        return {
            role: min(count, max(pools[role].current, policies[role].min_replicas)) for role, count in wanted.items()
        }

    def loss(counts: Counts) -> tuple[float, float]:
        missing = sum(max(wanted[role] - count, 0) / max(wanted[role], 1) for role, count in counts.items())
        return missing, sum(policies[role].gpus_per_replica * count for role, count in counts.items())

    return min(fitting, key=loss)


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
) -> dict[Role, Stage]:
    """Bring the GPUs of all pools under the budget without leaving the band."""
    after = fit(band, budget_gpus, policies, pools, before)
    numbers = {"budget_gpus": budget_gpus} if budget_gpus is not None else {}
    detail = f"the budget of {budget_gpus:g} GPUs does not pay for more now" if budget_gpus is not None else ""
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

    Floors first, then by priority; within a priority the free GPUs go out in proportion to what each still lacks. GPUs
    that a service is about to release are not free yet.

    Returns:
        Granted GPUs per service; their sum never exceeds the budget unless the floors alone do.
    """
    granted = {claim.service: claim.floor_gpus for claim in claims}
    free = budget_gpus - sum(max(claim.held_gpus - claim.wanted_gpus, 0.0) for claim in claims) - sum(granted.values())
    for _, group in itertools.groupby(
        sorted(claims, key=lambda claim: -claim.priority), key=lambda claim: claim.priority
    ):
        members = list(group)
        lacking = {claim.service: max(claim.wanted_gpus - claim.floor_gpus, 0.0) for claim in members}
        total = sum(lacking.values())
        part = min(max(free, 0.0) / total, 1.0) if total > 0 else 0.0
        for claim in members:
            granted[claim.service] += part * lacking[claim.service]
        free -= part * total
    return granted
