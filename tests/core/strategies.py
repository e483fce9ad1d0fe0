"""Anything that a cluster, a metrics stack and a user may hand to the core, for hypothesis."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from hypothesis import Phase, settings
from hypothesis import strategies as st

from autoscaler.core.decide import decide
from autoscaler.core.decision import Decision
from autoscaler.core.policy import (
    Behavior,
    DirectionBehavior,
    RateRule,
    Role,
    RolePolicy,
    RuleKind,
    SelectPolicy,
    ServicePolicy,
)
from autoscaler.core.snapshot import PoolState, Snapshot
from autoscaler.core.state import State
from tests.support.core import ENGINE, ROLE_POLICY, START_S, STEADY, Missing, Reading, service_policy, signals

#: A history costs milliseconds a look.
PROPERTY = settings(max_examples=15, phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink])
DAY_S = 86_400.0

RULES = st.builds(RateRule, st.sampled_from(RuleKind), st.integers(1, 200), st.sampled_from([15.0, 60.0, 300.0]))
DIRECTIONS = st.builds(
    DirectionBehavior,
    st.sampled_from([0.0, 60.0, 300.0, None]),
    st.lists(RULES, max_size=2).map(tuple),
    st.sampled_from(SelectPolicy),
    st.sampled_from([0.0, 0.1, 0.3]),
)


@st.composite
def role_policies(draw: st.DrawFn) -> RolePolicy:
    low = draw(st.integers(1, 4))
    return replace(
        ROLE_POLICY,
        min_replicas=low,
        max_replicas=draw(st.integers(low, 30)),
        gpus_per_replica=draw(st.sampled_from([1.0, 4.0, 8.0])),
        startup_time_s=draw(st.sampled_from([0.0, 30.0, 240.0, 900.0])),
        behavior=Behavior(draw(DIRECTIONS), draw(DIRECTIONS)),
        fallback_replicas=draw(st.none() | st.integers(0, 40)),
        engine=draw(st.sampled_from([ENGINE, None])),
        capacity_deadline_s=draw(st.sampled_from([0.0, 60.0, 900.0])),
    )


POLICIES = st.builds(service_policy, role_policies(), role_policies())


@st.composite
def pool_states(draw: st.DrawFn) -> PoolState:
    """Replicas that serve, start, crash or find no node; a rollout may have more than were asked for."""
    current = draw(st.integers(0, 40))
    unschedulable = min(draw(st.sampled_from([0, 0, 0, 1, 5])), current)
    failing = min(draw(st.sampled_from([0, 0, 0, 2])), current - unschedulable)
    updating = draw(st.booleans())
    return PoolState(
        current=current,
        ready=draw(st.integers(0, current - unschedulable - failing + 2 * updating)),
        unschedulable=unschedulable,
        failing=failing,
        terminating=draw(st.integers(0, 3)),
        updating=updating,
        startup_times_s=tuple(draw(st.lists(st.floats(1.0, 2000.0), max_size=2))),
    )


def _plausible(name: str, usual: float) -> st.SearchStrategy[Reading]:
    if "ratio" in name or "utilization" in name:
        most = 1.0
    elif name.endswith("_s") and not name.endswith("per_s"):
        most = 3.0
    else:
        most = 50.0 * usual + 10.0
    return st.one_of(st.just(0.0), st.floats(1e-3, most))


#: Readings that a service could show, from nothing to overload, in the range of each signal's unit.
PLAUSIBLE: Mapping[str, st.SearchStrategy[Reading]] = {name: _plausible(name, value) for name, value in STEADY.items()}
MISSING = st.sampled_from(Missing)
#: Negative readings have a test of their own.
WILD: st.SearchStrategy[Reading] = st.one_of(
    st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-12, 1e12]), st.floats(1e-12, 1e12), MISSING
)


def readings(*, missing: bool = True, wild: bool = False) -> st.SearchStrategy[dict[str, Reading]]:
    """Changes to a steady service: some signals plausible, some missing, some out of their minds."""
    chosen: dict[str, st.SearchStrategy[Reading]] = {}
    for name, plausible in PLAUSIBLE.items():
        if not name.startswith("aggregated."):
            options = [plausible] + [MISSING] * missing + [WILD] * wild
            chosen[name] = st.one_of(options)
    return st.fixed_dictionaries({}, optional=chosen)


@dataclass(frozen=True, slots=True)
class Tick:
    """One look at a service, some time after the last."""

    elapsed_s: float
    prefill: PoolState
    decode: PoolState
    readings: Mapping[str, Reading]

    def snapshot(self, at_s: float) -> Snapshot:
        pools = {Role.PREFILL: self.prefill, Role.DECODE: self.decode}
        return Snapshot("chat", at_s, pools, signals(self.readings), {})


ELAPSED_S = st.one_of(
    st.sampled_from([15.0, 15.0, 15.0, 0.0, 300.0]), st.sampled_from([-3600.0, -15.0, DAY_S, -DAY_S, 8 * DAY_S])
)


def ticks(*, wild: bool = True) -> st.SearchStrategy[Tick]:
    return st.builds(Tick, ELAPSED_S, pool_states(), pool_states(), readings(wild=wild))


def histories(*, wild: bool = True, most: int = 5) -> st.SearchStrategy[list[Tick]]:
    return st.lists(ticks(wild=wild), min_size=1, max_size=most)


def in_bounds(policy: ServicePolicy, role: Role, replicas: int) -> bool:
    return policy.roles[role].min_replicas <= replicas <= policy.roles[role].max_replicas


def lived(policy: ServicePolicy, history: list[Tick]) -> Iterator[tuple[float, Tick, State, Decision, State]]:
    """Each tick of a history: time, tick, state before, decision, state after."""
    state, now = State(), START_S
    for tick in history:
        now += tick.elapsed_s
        decision, after = decide(policy, tick.snapshot(now), state, now)
        yield now, tick, state, decision, after
        state = after


def remembered(policy: ServicePolicy, history: list[Tick]) -> tuple[State, float]:
    """What is remembered after a history, and when it ended."""
    *_, (now, _, _, _, state) = lived(policy, history)
    return state, now
