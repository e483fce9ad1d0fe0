"""Holds a policy's bounds against the limits of its stack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from autoscaler.core.policy import Role, RolePolicy
from autoscaler.stacks.facts import LimitModel, LimitRule


def broken_limits(limits: Iterable[LimitModel], roles: Mapping[Role, RolePolicy]) -> Iterator[str]:
    """Say which bounds of a policy go beyond what its stack bears, and why that is."""
    for limit in limits:
        if limit.rule is LimitRule.SAME_GPUS:
            sizes = {role: pool.gpus_per_replica for role, pool in roles.items()}
            if len(set(sizes.values())) > 1:
                found = " and ".join(f"{size:g} on {role}" for role, size in sizes.items())
                yield f"gpusPerReplica is {found}. {limit.why}"
        elif limit.role is not None and limit.role in roles and limit.value is not None:
            pool = roles[limit.role]
            if limit.rule is LimitRule.MIN_REPLICAS and pool.min_replicas < limit.value:
                yield f"min of {limit.role} is {pool.min_replicas}, at least {limit.value} is needed. {limit.why}"
            if limit.rule is LimitRule.MAX_REPLICAS and pool.max_replicas > limit.value:
                yield f"max of {limit.role} is {pool.max_replicas}, at most {limit.value} is borne. {limit.why}"
