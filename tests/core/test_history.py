from __future__ import annotations

import math
from dataclasses import replace

import pytest

from autoscaler.core import forecast
from autoscaler.core.decide import decide
from autoscaler.core.forecast import Forecast
from autoscaler.core.history import Moment, seed
from autoscaler.core.policy import Role, RolePolicy, ServicePolicy
from autoscaler.core.signals import Scope
from autoscaler.core.snapshot import PoolState, Snapshot
from autoscaler.core.state import State
from tests.config.builders import policy

MONDAY_S = 1_699_833_600.0  # a midnight of UTC
DAY_S, QUARTER_S = 86_400.0, 900.0


def service(*, engine: bool = True) -> ServicePolicy:
    known = {"spec.model": "llama-3.1-70b", "spec.engine": {"gpu": "h100", "tensorParallel": 4}}
    return policy(known if engine else {}).core()


def first_state(core: ServicePolicy) -> State:
    pools = {role: PoolState(2, 2) for role in core.roles}
    return decide(core, Snapshot(core.service, MONDAY_S, pools, {}, {}), State(), MONDAY_S)[1]


def moment(at_s: float, requests_per_s: float) -> Moment:
    return Moment(
        at_s,
        {
            Scope.PREFILL: {"offered_tokens_per_s": 2000.0 * requests_per_s, "request_rate": requests_per_s},
            Scope.SERVICE: {"input_tokens_mean": 2000.0, "output_tokens_mean": 300.0},
        },
    )


def day_before() -> list[Moment]:
    """Twice as much at noon as at midnight."""
    return [
        moment(at_s, 10.0 - 5.0 * math.cos(2 * math.pi * (at_s - MONDAY_S) / DAY_S))
        for at_s in (MONDAY_S - DAY_S + step * 300.0 for step in range(288))
    ]


def test_the_season_of_both_pools_follows_what_was_recorded() -> None:
    core = service()

    state, done = seed(core, first_state(core), day_before())

    assert done == {Role.PREFILL, Role.DECODE}
    for memory in state.roles.values():
        sunday = [value for value in memory.forecast.season if value >= 0]
        assert len(sunday) == 96
        assert max(sunday) / min(sunday) == pytest.approx(3.0, rel=0.02)
        assert memory.forecast.since_s == MONDAY_S - DAY_S


def test_a_pool_whose_engine_nobody_knows_waits_for_its_model() -> None:
    core = service(engine=False)
    state = first_state(core)

    seeded, done = seed(core, state, day_before())

    assert done == set()
    assert seeded == state


def test_what_is_known_already_stays() -> None:
    core = service()
    state = first_state(core)
    known = forecast.seed_season(Forecast(), [(MONDAY_S - DAY_S, 123.0)])
    state = replace(state, roles={role: replace(memory, forecast=known) for role, memory in state.roles.items()})

    seeded, _ = seed(core, state, day_before())

    for memory in seeded.roles.values():
        assert max(memory.forecast.season) == 123.0
        assert sum(value >= 0 for value in memory.forecast.season) == 96


def test_the_newest_of_two_weeks_counts() -> None:
    week_s = 7 * DAY_S

    season = forecast.seed_season(
        Forecast(), [(MONDAY_S, 1.0), (MONDAY_S + week_s, 3.0), (MONDAY_S + week_s + 300, 5.0)]
    )

    assert [value for value in season.season if value >= 0] == [4.0]


def test_a_gap_in_the_record_is_no_idle_service() -> None:
    core = service()
    unknown = [Moment(MONDAY_S - DAY_S, {Scope.SERVICE: {"input_tokens_mean": 2000.0}})]

    state, _ = seed(core, first_state(core), unknown)

    for memory in state.roles.values():
        assert all(value < 0 for value in memory.forecast.season)


def test_a_seeded_day_foresees_the_morning() -> None:
    core = service()
    state, _ = seed(core, first_state(core), day_before())
    memory = state.roles[Role.PREFILL].forecast
    at_s = MONDAY_S + 6 * 3600.0

    for step in range(40):
        memory, outlook = forecast.observe(memory, 5.0, at_s + 15.0 * step, 3600.0, 0.05)

    daily = forecast.FORECASTERS.index("daily")
    assert memory.pending[-1][1][daily] > 5.5
    assert outlook.demand > 0


def test_a_role_that_is_not_asked_for_is_left_alone() -> None:
    core = service()
    only_decode: dict[Role, RolePolicy] = {Role.DECODE: core.roles[Role.DECODE]}

    state, done = seed(replace(core, roles=only_decode), first_state(core), day_before())

    assert done == {Role.DECODE}
    assert all(value < 0 for value in state.roles[Role.PREFILL].forecast.season)
