"""The switch in whole decisions: what becomes of the pools when the policy, the readings or the operator change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import pytest

from autoscaler.core.decide import decide
from autoscaler.core.decision import Decision, Reason, SwitchStep
from autoscaler.core.policy import Disaggregation, Hold, HoldKind, RatioBand, Role, ServicePolicy, SwitchPolicy
from autoscaler.core.signals import Scope
from autoscaler.core.snapshot import PoolState, Snapshot
from autoscaler.core.state import State, SwitchState, ThresholdState
from tests.support.core import (
    PROMPTS_AT_DECODE,
    START_S,
    Missing,
    Reading,
    every,
    service_policy,
    snapshot,
    without_prior,
)

TICK_S = 15.0
AUTO = replace(service_policy(), switch=SwitchPolicy())
THRESHOLD = replace(service_policy(), switch=SwitchPolicy(Disaggregation.THRESHOLD))
#: 40 requests/s of 2,000 in and 200 out, all at prefill.
APART: Mapping[str, Reading] = {
    "prefill.offered_tokens_per_s": 80_000.0,
    "prefill.request_rate": 40.0,
    "prefill.queue_depth": 50.0,
    "service.request_rate": 40.0,
}
#: 100 requests/s of 300 in and 100 out: one pool for both would be cheaper.
SHORT: Mapping[str, Reading] = {
    **PROMPTS_AT_DECODE,
    "decode.offered_tokens_per_s": 30_000.0,
    "service.input_tokens_mean": 300.0,
    "service.input_tokens_p50": 210.0,
    "service.input_tokens_p90": 600.0,
    "service.output_tokens_mean": 100.0,
}


@dataclass
class Service:
    """A service whose pools become what is decided, on a fake clock."""

    policy: ServicePolicy = AUTO
    readings: Mapping[str, Reading] = field(default_factory=dict)
    state: State = field(default_factory=State)
    disaggregated: bool | None = True
    threshold_tokens: float | None = None
    counts: dict[Role, int] = field(default_factory=lambda: {Role.PREFILL: 2, Role.DECODE: 4})
    unread: Role | None = None
    now: float = START_S
    decisions: list[Decision] = field(default_factory=list)

    def look(self) -> Self:
        """One decision, which the pools then follow."""
        self.now += TICK_S
        pools = {role: PoolState(count, count) for role, count in self.counts.items() if role is not self.unread}
        errors = {self.unread: "the API server timed out"} if self.unread is not None else {}
        seen = Snapshot("chat", self.now, pools, snapshot(self.readings).signals, errors)
        seen = replace(seen, disaggregated=self.disaggregated, threshold_tokens=self.threshold_tokens)
        decision, self.state = decide(self.policy, seen, self.state, self.now)
        self.counts |= {role: decided.desired for role, decided in decision.roles.items()}
        self.decisions.append(decision)
        return self

    def wait(self, seconds: float) -> Self:
        for _ in range(round(seconds / TICK_S)):
            self.look()
        return self

    def reads(self, readings: Mapping[str, Reading]) -> Self:
        self.readings = readings
        return self

    def under(self, policy: ServicePolicy) -> Self:
        self.policy = policy
        return self

    @property
    def decision(self) -> Decision:
        return self.decisions[-1]

    @property
    def steps(self) -> Iterator[SwitchStep]:
        return (made.switch.step for made in self.decisions if made.switch is not None)


def off(prefill: int = 0, decode: int = 8, policy: ServicePolicy = AUTO) -> Service:
    """A service whose disaggregation has long been off."""
    since_s = START_S - 90_000.0
    state = State(started_at_s=since_s, switch=SwitchState(SwitchStep.OFF, since_s))
    return Service(
        policy, PROMPTS_AT_DECODE, state, disaggregated=False, counts={Role.PREFILL: prefill, Role.DECODE: decode}
    )


def at_most(role: Role, replicas: int, policy: ServicePolicy) -> ServicePolicy:
    return replace(policy, roles={**policy.roles, role: replace(policy.roles[role], max_replicas=replicas)})


FIXED_ON = replace(service_policy(), switch=SwitchPolicy(Disaggregation.ON))
FIXED_OFF = replace(service_policy(), switch=SwitchPolicy(Disaggregation.OFF))


# A switch that shows nothing


@pytest.mark.parametrize("policy", [AUTO, FIXED_OFF], ids=["auto", "off"])
def test_a_service_first_met_without_prefill_keeps_none_while_its_switch_shows_nothing(policy: ServicePolicy) -> None:
    service = Service(policy, PROMPTS_AT_DECODE, disaggregated=None, counts={Role.PREFILL: 0, Role.DECODE: 8})

    service.wait(300)

    assert set(service.steps) == {SwitchStep.OFF}
    assert service.counts[Role.PREFILL] == 0


def test_a_service_first_met_with_prefill_keeps_it_while_its_switch_shows_nothing() -> None:
    service = Service(AUTO, APART, disaggregated=None)

    assert set(service.wait(300).steps) == {SwitchStep.ON}


def test_what_the_policy_fixes_is_what_a_switch_that_shows_nothing_is_taken_for() -> None:
    service = Service(FIXED_ON, PROMPTS_AT_DECODE, disaggregated=None, counts={Role.PREFILL: 0, Role.DECODE: 8})

    assert set(service.wait(300).steps) == {SwitchStep.ON}
    assert service.counts[Role.PREFILL] >= 1


# A fixed position


@pytest.mark.parametrize("known", [True, False], ids=["remembered", "as shown"])
def test_turning_on_waits_while_prefill_may_not_have_what_it_takes(*, known: bool) -> None:
    service = off(policy=at_most(Role.PREFILL, 2, FIXED_ON)).reads(SHORT)
    service.state = service.state if known else State()

    service.look()

    assert service.decision.switch is not None
    assert service.decision.switch.step is SwitchStep.OFF
    assert "it would take 4 prefill replicas, and the policy allows 2" in service.decision.switch.detail


def test_turning_on_does_not_wait_for_what_decode_would_take() -> None:
    service = off(decode=4, policy=at_most(Role.DECODE, 4, FIXED_ON)).reads(SHORT)

    assert SwitchStep.GROWING_PREFILL in service.wait(60).steps


def test_turning_off_does_not_wait_for_what_prefill_would_take() -> None:
    policy = at_most(Role.PREFILL, 2, FIXED_OFF)

    assert SwitchStep.GROWING_DECODE in Service(policy, {**APART, "prefill.queue_depth": 0.0}).wait(60).steps


def blind(service: Service) -> Service:
    return service.reads(every(Missing.ABSENT))


@pytest.mark.parametrize(
    "service",
    [Service(FIXED_OFF), off(prefill=1, policy=FIXED_ON), off(policy=FIXED_ON)],
    ids=["off", "on", "on, of an empty pool"],
)
def test_a_position_is_not_taken_up_while_nothing_can_be_judged(service: Service) -> None:
    stood = service.state.switch.step or SwitchStep.ON

    blind(service).wait(600)

    assert set(service.steps) == {stood}
    assert service.decision.switch is not None
    assert "cannot be told: " in service.decision.switch.detail

    service.reads(PROMPTS_AT_DECODE if stood is SwitchStep.OFF else APART)
    assert {SwitchStep.GROWING_PREFILL, SwitchStep.GROWING_DECODE} & set(service.wait(60).steps)


def test_turning_off_without_a_model_keeps_the_decode_replicas_that_are_asked_for() -> None:
    """60 % of the KV of four replicas is more than two, by rules, and says nothing of prompts."""
    by_rules = replace(FIXED_OFF, roles={Role.PREFILL: without_prior(), Role.DECODE: without_prior()})
    service = Service(by_rules, {"decode.kv_utilization_mean": 0.6, "decode.kv_utilization_max": 0.6}).look()

    assert service.state.switch.step is SwitchStep.GROWING_DECODE
    assert service.state.switch.decode_floor == 3


def test_turning_on_without_a_model_takes_the_prefill_replicas_that_are_asked_for() -> None:
    """20 requests/s of 300 ms in prefill keep eight or nine busy, by rules."""
    by_rules = replace(FIXED_ON, roles={Role.PREFILL: without_prior(), Role.DECODE: without_prior()})
    some = {**PROMPTS_AT_DECODE, "prefill.request_rate": 20.0, "prefill.prefill_time_s": 0.3}
    service = off(prefill=1, policy=by_rules).reads(some).look()

    assert service.state.switch.step is SwitchStep.GROWING_PREFILL
    assert service.state.switch.prefill_floor == 9


def test_turning_on_an_empty_pool_of_which_nothing_is_known_begins_with_the_least_of_the_policy() -> None:
    least = replace(without_prior(), min_replicas=3)
    unknown = {**PROMPTS_AT_DECODE, **every(Missing.ABSENT, Scope.PREFILL)}
    service = off(policy=replace(FIXED_ON, roles={Role.PREFILL: least, Role.DECODE: without_prior()})).reads(unknown)

    service.look()

    assert service.state.switch.step is SwitchStep.GROWING_PREFILL
    assert service.state.switch.prefill_floor == 3


# A pool that cannot be read


@pytest.mark.parametrize("prefill", [0, 3])
@pytest.mark.parametrize("step", [SwitchStep.OFF, SwitchStep.CLOSING, SwitchStep.DRAINING_PREFILL])
def test_prefill_stands_off_and_on_its_way_there_while_decode_cannot_be_read(step: SwitchStep, prefill: int) -> None:
    """Where no prefill is off, a first replica would be the opening of the switch."""
    service = off(prefill=prefill)
    service.state = replace(service.state, switch=SwitchState(step, service.now))
    service.unread = Role.DECODE

    service.wait(60)

    assert service.counts[Role.PREFILL] == prefill
    assert service.state.switch.step is step


def test_decode_that_serves_both_phases_does_not_shrink_while_prefill_cannot_be_read() -> None:
    service = off().wait(3600)
    settled = service.counts[Role.DECODE]

    service.unread = Role.PREFILL
    service.wait(1800)

    assert service.counts[Role.DECODE] >= settled > 4
    assert service.decision.roles[Role.DECODE].reason is Reason.REPLICAS_UNKNOWN


def test_decode_grows_while_prefill_cannot_be_read() -> None:
    service = off().wait(3600)
    settled = service.counts[Role.DECODE]

    service.unread = Role.PREFILL
    service.reads({**PROMPTS_AT_DECODE, "decode.waiting": 9000.0}).wait(120)

    assert service.counts[Role.DECODE] > settled


@pytest.mark.parametrize("policy", [AUTO, THRESHOLD], ids=["auto", "threshold"])
@pytest.mark.parametrize("unread", [Role.PREFILL, Role.DECODE])
def test_no_pool_shrinks_beside_one_that_cannot_be_read(policy: ServicePolicy, unread: Role) -> None:
    service = Service(policy, threshold_tokens=0.0, counts={Role.PREFILL: 9, Role.DECODE: 9})
    service.unread = unread

    assert service.wait(3600).counts == {Role.PREFILL: 9, Role.DECODE: 9}

    service.unread = None
    assert max(service.wait(3600).counts.values()) < 9


# An operator's word


def held(kind: HoldKind, replicas: int = 0, policy: ServicePolicy = AUTO) -> ServicePolicy:
    prefill = replace(policy.roles[Role.PREFILL], hold=Hold(kind, START_S + 3600.0, replicas))
    return replace(policy, roles={**policy.roles, Role.PREFILL: prefill})


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(HoldKind.GROW_ONLY, Reason.GROW_ONLY), (HoldKind.PIN, Reason.PINNED), (HoldKind.PAUSE, Reason.PAUSED)],
)
@pytest.mark.parametrize("step", [SwitchStep.OFF, SwitchStep.DRAINING_PREFILL])
def test_prefill_that_is_held_stays_when_the_switch_is_off(kind: HoldKind, reason: Reason, step: SwitchStep) -> None:
    service = off(prefill=4, policy=held(kind, 4))
    service.state = replace(service.state, switch=SwitchState(step, START_S - 90_000.0))

    service.wait(900)

    assert service.state.switch.step is SwitchStep.OFF
    assert service.counts[Role.PREFILL] == 4
    assert service.decision.roles[Role.PREFILL].reason is reason

    service.wait(3600)
    assert service.counts[Role.PREFILL] == 0


def test_prefill_that_may_only_grow_does_not_begin_to_while_the_switch_is_off() -> None:
    assert off(policy=held(HoldKind.GROW_ONLY)).look().counts[Role.PREFILL] == 0


@pytest.mark.parametrize(("replicas", "got"), [(0, 0), (3, 3), (99, 40)])
def test_prefill_is_pinned_to_the_number_named_while_the_switch_is_off(replicas: int, got: int) -> None:
    """Its maximum is the most."""
    assert off(prefill=1, policy=held(HoldKind.PIN, replicas)).look().counts[Role.PREFILL] == got


# Another policy


def test_a_threshold_that_takes_over_from_a_closed_switch_is_not_held_by_it() -> None:
    service = off(prefill=1).under(THRESHOLD).reads(APART)
    service.disaggregated, service.threshold_tokens = True, 0.0

    service.wait(600)

    assert service.counts[Role.PREFILL] > 4
    assert service.state.switch == SwitchState()


def test_a_threshold_that_was_frozen_at_never_is_free_of_it_once_it_thaws() -> None:
    service = off(policy=replace(THRESHOLD, switch=SwitchPolicy(Disaggregation.OFF))).wait(600)
    assert service.counts[Role.PREFILL] == 0

    service.disaggregated, service.threshold_tokens = True, 0.0
    service.under(THRESHOLD).reads(APART).wait(600)

    assert service.counts[Role.PREFILL] > 4


def test_a_threshold_policy_on_a_closed_switch_opens_it_only_for_a_prefill_pool_that_is_ready() -> None:
    service = Service(THRESHOLD, PROMPTS_AT_DECODE, disaggregated=False, counts={Role.PREFILL: 1, Role.DECODE: 12})
    service.wait(2 * 3600)

    commands = [made.switch.threshold_tokens for made in service.decisions if made.switch is not None]
    first = next(index for index, tokens in enumerate(commands) if tokens is not None)
    assert first * TICK_S > SwitchPolicy().sustain_s
    assert service.decisions[first - 1].roles[Role.PREFILL].desired > 1


def test_decode_is_sized_for_both_phases_while_a_threshold_policy_finds_the_switch_closed() -> None:
    service = Service(THRESHOLD, PROMPTS_AT_DECODE, disaggregated=False, counts={Role.PREFILL: 1, Role.DECODE: 4}).wait(
        600
    )
    apart = Service(THRESHOLD, APART, threshold_tokens=0.0, counts={Role.PREFILL: 8, Role.DECODE: 4}).wait(600)

    assert service.counts[Role.DECODE] > apart.counts[Role.DECODE]


def test_no_ratio_band_grows_prefill_that_a_threshold_policy_finds_unused() -> None:
    band = replace(THRESHOLD, ratio=RatioBand(0.5, 2.0))
    service = Service(band, PROMPTS_AT_DECODE, disaggregated=False, counts={Role.PREFILL: 1, Role.DECODE: 12}).wait(600)

    assert service.counts[Role.PREFILL] == 1


def test_a_ratio_band_holds_again_once_the_policy_has_no_switch() -> None:
    service = off().under(replace(service_policy(), ratio=RatioBand(0.5, 2.0))).reads({})

    service.look()

    assert service.policy.ratio is not None
    assert service.policy.ratio.holds(service.counts[Role.PREFILL], service.counts[Role.DECODE])


def test_engines_are_learned_again_once_the_policy_has_no_switch() -> None:
    service = off(prefill=2, decode=2).under(service_policy()).reads({})

    service.wait(1800)

    assert all((memory.fit.samples if memory.fit is not None else 0) > 0 for memory in service.state.roles.values())


@pytest.mark.parametrize("policy", [service_policy(), AUTO], ids=["no switch", "a switch"])
def test_a_threshold_that_the_policy_no_longer_has_leaves_prefill_all_prompts(policy: ServicePolicy) -> None:
    def first(state: State) -> Decision:
        return Service(policy, APART, state, counts={Role.PREFILL: 8, Role.DECODE: 4}).look().decision

    kept = State(started_at_s=START_S - 90_000.0, threshold=ThresholdState(4096.0))

    assert first(kept) == first(replace(kept, threshold=ThresholdState()))
