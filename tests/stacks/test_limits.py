from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autoscaler.core.policy import Role, RolePolicy
from autoscaler.stacks.facts import LimitModel, LimitRule
from autoscaler.stacks.limits import broken_limits
from tests.daemon.builders import role_policy

POOLS = {Role.PREFILL: role_policy(2), Role.DECODE: role_policy(2)}


def pools(role: Role, **changes: Any) -> dict[Role, RolePolicy]:
    return {**POOLS, role: replace(POOLS[role], **changes)}


MIN = LimitModel(rule=LimitRule.MIN_REPLICAS, role=Role.PREFILL, value=1, why="The router has no other way.")
MAX = LimitModel(rule=LimitRule.MAX_REPLICAS, role=Role.DECODE, value=1, why="More was not tested.")
SAME = LimitModel(rule=LimitRule.SAME_GPUS, why="Both roles need the same number.")


@pytest.mark.parametrize(
    ("limit", "found", "words"),
    [
        (
            MIN,
            pools(Role.PREFILL, min_replicas=0),
            "min of prefill is 0, at least 1 is needed. The router",
        ),
        (MAX, pools(Role.DECODE, max_replicas=3), "max of decode is 3, at most 1 is borne. More was not tested."),
        (
            SAME,
            pools(Role.DECODE, gpus_per_replica=8.0),
            "gpusPerReplica is 1 on prefill and 8 on decode. Both roles need the same number.",
        ),
    ],
)
def test_a_bound_that_the_stack_does_not_bear_is_named_with_the_reason(
    limit: LimitModel, found: dict[Role, RolePolicy], words: str
) -> None:
    (broken,) = broken_limits([limit], found)

    assert broken.startswith(words)


def test_bounds_inside_the_limits_are_fine() -> None:
    fine = {**pools(Role.PREFILL, min_replicas=1), Role.DECODE: pools(Role.DECODE, max_replicas=1)[Role.DECODE]}

    assert not list(broken_limits([MIN, MAX, SAME], fine))
