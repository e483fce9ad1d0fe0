"""What a decision makes of its parts: who is short, what is remembered, and what it rests on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from autoscaler.core.attribution import Bottleneck
from autoscaler.core.decision import Reason
from autoscaler.core.policy import Behavior, Role
from autoscaler.core.proposal import Proposal, RoleContext, Term
from tests.support.core import BEHAVIOR, ROLE_POLICY, Missing, Reading, direction, pods, service_policy
from tests.support.story import story


def asking(reason: Reason) -> Callable[[RoleContext], Proposal]:
    """A role policy that always asks for two replicas more, for that reason."""
    return lambda ctx: Proposal((Term(ctx.pool.current + 2.0, reason, "two more"),))


@pytest.mark.parametrize(
    ("reason", "short"),
    [
        (Reason.DECODE_DEMAND, True),
        (Reason.DECODE_FORECAST, False),
        (Reason.PREFILL_FORECAST, False),
        (Reason.AGGREGATED_FORECAST, False),
    ],
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


def test_a_backlog_asks_for_what_the_replicas_in_place_leave_undone_while_new_ones_start() -> None:
    tale = story(2, 2).prefill_queue(5000.0)

    step, current = tale.decision.roles[Role.PREFILL].stages[0], 2
    numbers = step.numbers
    assert step.reason is Reason.PREFILL_BACKLOG
    left_s = numbers["backlog_s"] - (current - numbers["work"]) * ROLE_POLICY.startup_time_s
    assert numbers["left_s"] == pytest.approx(left_s)
    assert step.after - 1 < numbers["work"] + left_s / numbers["drain_s"] <= step.after


def bottleneck(replicas: int, readings: dict[str, Reading]) -> Bottleneck:
    found = story(2, replicas).says({"decode.waiting": 12.0, **readings}).decision.attribution
    assert found is not None
    return found.bottleneck


@pytest.mark.parametrize(("replicas", "expected"), [(2, Bottleneck.DECODE), (10, Bottleneck.NONE)])
def test_requests_that_wait_for_decode_are_counted_per_replica_that_serves(replicas: int, expected: Bottleneck) -> None:
    assert bottleneck(replicas, {"decode.kv_utilization_max": 0.97}) is expected


@pytest.mark.parametrize("absent", ["decode.kv_utilization_max", "decode.first_token_time_s"])
def test_decode_holds_requests_up_where_its_blocks_or_its_first_tokens_say_so(absent: str) -> None:
    full: dict[str, Reading] = {"decode.kv_utilization_max": 0.97, "decode.first_token_time_s": 3.0}

    assert bottleneck(2, {**full, absent: Missing.ABSENT}) is Bottleneck.DECODE
    assert bottleneck(2, {absent: Missing.ABSENT}) is Bottleneck.NONE
