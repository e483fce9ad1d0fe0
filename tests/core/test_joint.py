"""The ratio band and the budget beside a switch that changes, and beside a pool that cannot be read."""

from __future__ import annotations

from dataclasses import replace

from autoscaler.core.decision import SwitchStep
from autoscaler.core.policy import Hold, HoldKind, RatioBand, Role, SwitchPolicy
from autoscaler.core.state import State, SwitchState
from tests.support.core import ROLE_POLICY, START_S, service_policy
from tests.support.story import story

BANDED = replace(service_policy(), ratio=RatioBand(0.5, 2.0), switch=SwitchPolicy())


def test_the_ratio_band_holds_while_the_switch_is_on() -> None:
    tale = story(1, 8, policy=BANDED)
    tale.state = State(switch=SwitchState(SwitchStep.ON, START_S))

    tale.expect(prefill=4, decode=8)


def test_the_ratio_band_keeps_no_decode_from_growing_while_the_switch_is_off() -> None:
    tale = story(0, 2, policy=BANDED)
    tale.state = State(switch=SwitchState(SwitchStep.OFF, START_S))

    tale.says({"decode.offered_tokens_per_s": 80_000.0, "decode.uncached_ratio": 1.0, "decode.request_rate": 40.0})

    assert tale.wait(60).current(Role.DECODE) > 2, tale.explain()
    assert tale.current(Role.PREFILL) == 0


def test_a_service_over_its_budget_gives_up_nothing_of_a_pool_that_cannot_be_read() -> None:
    """Eight replicas are paid for and four that cannot be read are there: the others become four."""
    tale = story(4, 6).wait(60)
    del tale.pods[Role.PREFILL]
    tale.policy = replace(tale.policy, budget_gpus=8 * 4.0)

    assert tale.desired(Role.DECODE) == 4, tale.explain()


def test_a_pin_outside_the_band_stays_where_there_is_no_budget() -> None:
    """Three prefill replicas would take six decode ones, and four is the most."""
    pinned = replace(ROLE_POLICY, max_replicas=8, hold=Hold(HoldKind.PIN, None, 3))
    policy = service_policy(pinned, replace(ROLE_POLICY, max_replicas=4))

    tale = story(1, 4, policy=replace(policy, ratio=RatioBand(0.1, 0.5)))

    assert tale.desired(Role.PREFILL) == 3, tale.explain()
