"""What a decision makes of its parts: who is short, what is remembered, and what it rests on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from autoscaler.core.attribution import Bottleneck
from autoscaler.core.decision import Reason
from autoscaler.core.policy import Behavior, Role
from autoscaler.core.proposal import Proposal, RoleContext, Term
from tests.support.core import BEHAVIOR, ROLE_POLICY, direction, pods, service_policy
from tests.support.story import story


def asking(reason: Reason) -> Callable[[RoleContext], Proposal]:
    """A role policy that always asks for two replicas more, for that reason."""
    return lambda ctx: Proposal((Term(ctx.pool.current + 2.0, reason, "two more"),))


@pytest.mark.parametrize(
    ("reason", "short"),
    [(Reason.DECODE_DEMAND, True), (Reason.DECODE_FORECAST, False), (Reason.PREFILL_FORECAST, False)],
)
def test_a_pool_that_a_forecast_alone_lets_grow_keeps_no_other_from_shrinking(reason: Reason, short: bool) -> None:
    decode = replace(ROLE_POLICY, propose=asking(reason))

    tale = story(8, 2, policy=service_policy(decode=decode)).at(300)

    assert tale.desired(Role.DECODE) > 2
    assert (tale.desired(Role.PREFILL) == 8) is short, tale.explain()


def test_a_rate_rule_of_half_an_hour_remembers_what_changed_within_it() -> None:
    slowly = Behavior(direction(0.0, pods(1, 1800.0)), BEHAVIOR.down)
    prefill = replace(ROLE_POLICY, behavior=slowly, propose=asking(Reason.PREFILL_DEMAND))

    tale = story(2, 2, policy=service_policy(prefill)).at(1785)

    assert tale.current(Role.PREFILL) == 3
    assert tale.wait(60).current(Role.PREFILL) == 4


def test_the_demand_of_the_record_times_what_a_busy_replica_does_is_what_arrives() -> None:
    arrives = {"prefill.offered_tokens_per_s": 20_000.0, "prefill.uncached_ratio": 0.5}
    evidence = story().says(arrives).decision.roles[Role.PREFILL].evidence

    assert evidence is not None
    assert evidence.demand is not None
    assert evidence.supply_tokens_per_s is not None
    assert evidence.demand * evidence.supply_tokens_per_s == pytest.approx(10_000.0)


@pytest.mark.parametrize(("replicas", "bottleneck"), [(2, Bottleneck.DECODE), (10, Bottleneck.NONE)])
def test_requests_that_wait_for_decode_are_counted_per_replica_that_serves(
    replicas: int, bottleneck: Bottleneck
) -> None:
    tale = story(2, replicas).says({"decode.waiting": 12.0, "decode.kv_utilization_max": 0.97})

    assert tale.decision.attribution is not None
    assert tale.decision.attribution.bottleneck is bottleneck
