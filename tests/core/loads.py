"""Services that have carried a load for a while, and what became of their replica counts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from autoscaler.core.policy import Role, RolePolicy, ServicePolicy
from tests.core.fluid import Fluid, Load
from tests.support.core import ENGINE, service_policy, without_prior
from tests.support.story import Story, story

BOTH = (Role.PREFILL, Role.DECODE)
SETTLED_S = 1800.0
WITH_PRIOR = service_policy()
BY_RULES = service_policy(without_prior(), without_prior())

either_way = pytest.mark.parametrize("policy", [WITH_PRIOR, BY_RULES], ids=["with a prior", "by rules"])


def both(role: RolePolicy) -> ServicePolicy:
    return service_policy(role, role)


def changes(counts: Sequence[int]) -> int:
    return sum(before != after for before, after in pairwise(counts))


def reversals(counts: Sequence[int]) -> int:
    """How often growth was followed by shrink or the other way round."""
    moves = [after > before for before, after in pairwise(counts) if after != before]
    return sum(one is not other for one, other in pairwise(moves))


def prefill_work(load: Load) -> float:
    """Replicas that a load keeps busy."""
    return load.requests_per_s * ENGINE.prefill.request_ms(load.prompt_tokens) / 1e3


def settled(load: Load, policy: ServicePolicy = WITH_PRIOR) -> tuple[Fluid, Story]:
    """A service that has carried a load for half an hour."""
    fluid = Fluid(load)
    return fluid, story(6, 3, policy=policy, service=fluid).at(SETTLED_S)
