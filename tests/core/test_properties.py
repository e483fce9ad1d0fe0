"""The invariants of the design, on whatever hypothesis can think of."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from autoscaler.core.decide import decide
from autoscaler.core.decision import Decision, Reason
from autoscaler.core.policy import RatioBand, Role, ServicePolicy
from autoscaler.core.snapshot import PoolState
from autoscaler.core.state import State, from_json, to_json
from tests.core.fluid import Fluid, Load
from tests.core.strategies import (
    POLICIES,
    PROPERTY,
    Tick,
    histories,
    in_bounds,
    lived,
    pool_states,
    readings,
    remembered,
    ticks,
)
from tests.support.core import (
    ROLE_POLICY,
    START_S,
    STEADY,
    Missing,
    Reading,
    every,
    service_policy,
    snapshot,
    without_prior,
)
from tests.support.story import story

BOTH = (Role.PREFILL, Role.DECODE)


def numbers(record: object) -> Iterator[float]:
    """Every number of a record, however deep."""
    if is_dataclass(record):
        for field in fields(record):
            yield from numbers(getattr(record, field.name))
    elif isinstance(record, dict):
        for value in record.values():
            yield from numbers(value)
    elif isinstance(record, list | tuple):
        for value in record:
            yield from numbers(value)
    elif isinstance(record, float | int):
        yield float(record)


@settings(PROPERTY)
@given(POLICIES, histories())
def test_a_decision_never_leaves_the_bounds(policy: ServicePolicy, history: list[Tick]) -> None:
    for _, tick, _, decision, _ in lived(policy, history):
        for role, pool in ((Role.PREFILL, tick.prefill), (Role.DECODE, tick.decode)):
            if pool.current >= policy.roles[role].min_replicas:
                assert in_bounds(policy, role, decision.roles[role].desired)


@settings(PROPERTY)
@given(POLICIES, histories())
def test_every_number_of_the_record_is_finite(policy: ServicePolicy, history: list[Tick]) -> None:
    """Whatever the signals say and wherever the clock jumps."""
    for _, _, _, decision, state in lived(policy, history):
        assert all(math.isfinite(number) for number in numbers((decision.roles, decision.attribution, state)))


@settings(PROPERTY)
@given(POLICIES, histories())
def test_the_memory_stays_serialisable_and_small(policy: ServicePolicy, history: list[Tick]) -> None:
    state, now = remembered(policy, history)
    text = json.dumps(to_json(state), allow_nan=False)

    assert len(text) < 64_000
    assert from_json(json.loads(text), max(now, START_S + 1e9)) == state


@settings(PROPERTY)
@given(POLICIES, histories())
def test_the_same_inputs_make_the_same_decision(policy: ServicePolicy, history: list[Tick]) -> None:
    assert [step[3:] for step in lived(policy, history)] == [step[3:] for step in lived(policy, history)]


@settings(PROPERTY)
@given(POLICIES, histories(wild=False))
def test_a_memory_that_went_through_json_decides_the_same(policy: ServicePolicy, history: list[Tick]) -> None:
    for now, tick, before, decision, state in lived(policy, history):
        again = from_json(json.loads(json.dumps(to_json(before))), START_S + 1e9)
        assert decide(policy, tick.snapshot(now), again, now) == (decision, state)


def without_surge(tick: Tick) -> Tick:
    """The same look, without a rollout's extra pods: those have a story of their own."""
    prefill, decode = (
        replace(pool, ready=min(pool.ready, pool.current - pool.unschedulable - pool.failing))
        for pool in (tick.prefill, tick.decode)
    )
    return replace(tick, prefill=prefill, decode=decode)


@settings(PROPERTY)
@given(POLICIES, histories(wild=False))
def test_a_decision_made_twice_changes_nothing_the_second_time(policy: ServicePolicy, history: list[Tick]) -> None:
    """As when a daemon dies between deciding and writing, and the next one looks again."""
    for now, tick, _, decision, state in lived(policy, [without_surge(tick) for tick in history]):
        again, _ = decide(policy, tick.snapshot(now), state, now)
        assert {role: again.roles[role].desired for role in BOTH} == {
            role: decision.roles[role].desired for role in BOTH
        }


def test_startups_seen_twice_count_once() -> None:
    pool = PoolState(2, 2, startup_times_s=(300.0,))
    seen = snapshot(prefill=pool, decode=pool)

    _, once = decide(service_policy(), seen, State(), START_S)
    _, twice = decide(service_policy(), seen, once, START_S)

    assert twice.roles[Role.PREFILL].startup_times_s == once.roles[Role.PREFILL].startup_times_s


@settings(PROPERTY)
@given(POLICIES, histories(wild=False, most=2))
def test_a_look_taken_twice_teaches_once(policy: ServicePolicy, history: list[Tick]) -> None:
    """As long as the clock goes forward."""
    forward = [replace(without_surge(tick), elapsed_s=abs(tick.elapsed_s) + 1.0) for tick in history]
    for now, tick, _, _, state in lived(policy, forward):
        assert decide(policy, tick.snapshot(now), state, now)[1] == state


BLIND = st.sampled_from([every(missing) for missing in Missing])


@settings(PROPERTY)
@given(POLICIES, histories(), ticks(), BLIND)
def test_with_no_valid_signal_nothing_shrinks(
    policy: ServicePolicy, history: list[Tick], last: Tick, blind: dict[str, Reading]
) -> None:
    """But for what is outside of its bounds or cannot come."""
    state, now = remembered(policy, history)
    last = replace(
        last,
        prefill=replace(last.prefill, unschedulable=0, failing=0),
        decode=replace(last.decode, unschedulable=0, failing=0),
        readings=blind,
    )

    decision, _ = decide(policy, last.snapshot(now + 15.0), state, now + 15.0)

    for role in BOTH:
        current = decision.roles[role].current
        if current <= policy.roles[role].max_replicas and state.roles[role].shortage.until_s is None:
            assert decision.roles[role].desired >= current


@settings(PROPERTY)
@given(POLICIES, histories(wild=False), readings(missing=False), pool_states())
def test_a_missing_signal_never_asks_for_fewer_than_the_pool_has_unless_it_is_fine_without(
    policy: ServicePolicy, history: list[Tick], seen: dict[str, Reading], pool: PoolState
) -> None:
    """A pool shrinks on no look in which a signal that it needs to shrink is absent."""
    state, now = remembered(policy, history)
    pool = replace(pool, unschedulable=0, failing=0)
    assume(pool.current <= min(role.max_replicas for role in policy.roles.values()))
    needed: dict[str, Reading] = {"prefill.queue_depth": Missing.ABSENT, "decode.kv_utilization_mean": Missing.ABSENT}
    needed |= {"service.request_rate": 1.0}
    last = Tick(15.0, pool, pool, {**seen, **needed})

    decision, _ = decide(policy, last.snapshot(now + 15.0), state, now + 15.0)

    for role in BOTH:
        if state.roles[role].shortage.until_s is None:
            assert decision.roles[role].desired >= min(pool.current, policy.roles[role].max_replicas)


@settings(PROPERTY)
@given(POLICIES, histories(wild=False), st.floats(0.1, 3.0), st.floats(0.2, 4.0))
def test_the_band_holds_where_it_can(policy: ServicePolicy, history: list[Tick], low: float, spread: float) -> None:
    band = RatioBand(low, low * (1.0 + spread))
    counts = [
        (prefill, decode)
        for prefill in range(policy.roles[Role.PREFILL].min_replicas, policy.roles[Role.PREFILL].max_replicas + 1)
        for decode in range(policy.roles[Role.DECODE].min_replicas, policy.roles[Role.DECODE].max_replicas + 1)
    ]
    assume(any(band.holds(*pair) for pair in counts))

    for _, _, _, decision, _ in lived(replace(policy, ratio=band), history):
        assert band.holds(*(decision.roles[role].desired for role in BOTH))


@settings(PROPERTY)
@given(POLICIES, histories(wild=False), st.floats(0.0, 200.0))
def test_the_budget_is_kept_and_what_is_over_it_does_not_grow(
    policy: ServicePolicy, history: list[Tick], spare_gpus: float
) -> None:
    cost = {role: policy.roles[role].gpus_per_replica for role in BOTH}
    budget = sum(cost[role] * policy.roles[role].min_replicas for role in BOTH) + spare_gpus

    for _, tick, _, decision, _ in lived(replace(policy, budget_gpus=budget), history):
        pools = {Role.PREFILL: tick.prefill, Role.DECODE: tick.decode}
        held = sum(cost[role] * (pools[role].current + pools[role].terminating) for role in BOTH)
        asked = sum(cost[role] * decision.roles[role].desired for role in BOTH)
        floors = sum(cost[role] * max(policy.roles[role].min_replicas - pools[role].current, 0) for role in BOTH)
        assert asked <= max(budget, held) + floors + 1e-6


# What makes a service worse off, as what each signal is multiplied by.
PRESSURE: Mapping[str, Mapping[str, float]] = {
    "prefill queue": {"prefill.queue_depth": 3.0},
    "prefill tokens": {"prefill.offered_tokens_per_s": 2.0, "prefill.request_rate": 2.0},
    "decode waiting": {"decode.waiting": 3.0},
    "decode batch": {"decode.running": 2.0, "decode.kv_utilization_mean": 2.0, "decode.kv_utilization_max": 2.0},
    "time to first token": {"service.ttft_s": 4.0},
    "time per token": {"service.tpot_s": 4.0},
    "missed first tokens": {"service.ttft_attainment_ratio": 0.7},
    "missed tokens": {"service.tpot_attainment_ratio": 0.7},
}


@pytest.mark.parametrize("pressure", PRESSURE)
@settings(PROPERTY)
@given(POLICIES, histories(wild=False, most=3), ticks(wild=False))
def test_more_pressure_never_asks_for_fewer_replicas(
    pressure: str, policy: ServicePolicy, history: list[Tick], last: Tick
) -> None:
    state, now = remembered(policy, history)
    calm: dict[str, Reading] = {**STEADY, **last.readings, "decode.waiting": 5.0, "prefill.prefill_time_s": 0.127}
    hard = dict(calm)
    for name, factor in PRESSURE[pressure].items():
        usual = calm[name] if isinstance(calm[name], float) else STEADY[name]
        assert isinstance(usual, float)
        before = min(usual, 1.0 / factor) if "utilization" in name else usual
        calm[name], hard[name] = before, before * factor

    low, high = (
        decide(policy, replace(last, readings=seen).snapshot(now + 15.0), state, now + 15.0)[0] for seen in (calm, hard)
    )

    # A fuller decode pool may be what prefill's queue waits for: then prefill asks for less, and rightly so.
    for role in (Role.DECODE,) if pressure.startswith("decode") else BOTH:
        if low.roles[role].stages[0].reason is not Reason.SIGNALS_UNUSABLE:
            assert high.roles[role].uncapped >= low.roles[role].uncapped, (low.roles[role], high.roles[role])
            assert high.roles[role].desired >= low.roles[role].desired, (low.roles[role], high.roles[role])


def test_more_arrivals_never_ask_for_fewer_replicas_while_the_prefill_time_is_unknown() -> None:
    policy = service_policy(without_prior(), without_prior())
    blind: dict[str, Reading] = {"prefill.prefill_time_s": Missing.ABSENT, "prefill.queue_depth": 30.0}

    low, high = (
        decide(policy, snapshot({**blind, "prefill.request_rate": rate}), State(), START_S)[0].roles[Role.PREFILL]
        for rate in (8.0, 40.0)
    )

    assert high.uncapped >= low.uncapped


@settings(PROPERTY)
@given(st.booleans(), st.floats(0.5, 60.0), st.floats(1.0, 5.0), st.integers(1, 12), st.integers(1, 12))
def test_more_requests_on_the_same_pools_never_ask_for_fewer_replicas(
    prior: bool, requests_per_s: float, factor: float, prefill: int, decode: int
) -> None:
    """Two services that were alike until one got more traffic than the other.

    A decode pool that is full stalls prefill, so what waits for it swings, and swings earlier under more traffic: then
    the most that is asked for within a minute counts.
    """
    role = ROLE_POLICY if prior else without_prior()
    policy = service_policy(role, role)
    asked: list[list[Decision]] = []
    stalled = False
    for rate in (requests_per_s, requests_per_s * factor):
        fluid = Fluid(Load(requests_per_s))
        tale = story(prefill, decode, policy=policy, service=fluid, obeyed=False).at(150)
        fluid.load = Load(rate)
        asked.append([])
        for _ in range(4):
            asked[-1].append(tale.wait(15).decision)
            stalled |= fluid.stalled

    for name in BOTH:
        low, high = ([decision.roles[name] for decision in decisions] for decisions in asked)
        assert max(one.uncapped for one in high) >= max(one.uncapped for one in low), (name, low, high)
        assert max(one.desired for one in high) >= max(one.desired for one in low)
        if not stalled:
            assert high[-1].uncapped >= low[-1].uncapped, (name, low, high)
            assert high[-1].desired >= low[-1].desired


def unsurvived(value: float, *, prior: bool) -> dict[str, str]:
    """Signals whose reading of that value a service does not survive for three minutes, with what happens."""
    role = ROLE_POLICY if prior else without_prior()
    failures = {}
    for name in (name for name in STEADY if not name.startswith("aggregated.")):
        tale = story(policy=service_policy(role, role)).at(15).says({name: value})
        try:
            tale.at(180)
        except (ArithmeticError, ValueError) as error:
            failures[name] = repr(error)
        if not all(math.isfinite(number) for number in numbers((tale.decision.roles, tale.state))):
            failures[name] = "the record holds what is no number"
    return failures


@pytest.mark.parametrize("prior", [True, False])
@pytest.mark.parametrize("value", [-1e12, 1e12, 1.7e308])
def test_a_reading_beyond_reason_is_survived(value: float, prior: bool) -> None:
    assert unsurvived(value, prior=prior) == {}


def test_a_reading_next_to_zero_is_survived() -> None:
    assert unsurvived(5e-324, prior=True) == {}


@pytest.mark.parametrize("interval_s", [1.0, 15.0])
def test_the_memory_of_a_long_life_is_small(interval_s: float) -> None:
    slow = replace(ROLE_POLICY, startup_time_s=900.0)
    policy = replace(service_policy(slow, slow), interval_s=interval_s)

    tale = story(policy=policy, service=Fluid(Load(8.0), noise_ratio=0.1)).at(1000 * interval_s)

    assert len(json.dumps(to_json(tale.state))) < 64_000
