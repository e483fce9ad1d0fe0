"""The switch at work on a simulated service: days that cross the break-even, and days that do not."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import numpy as np
import pytest

from autoscaler.core.arrangement import Load, compare
from autoscaler.core.engines import find_engine
from autoscaler.core.policy import (
    Behavior,
    DirectionBehavior,
    Disaggregation,
    LatencyObjective,
    Mode,
    Objectives,
    RateRule,
    Role,
    RolePolicy,
    RuleKind,
    ServicePolicy,
    SwitchPolicy,
)
from autoscaler.simulation.config import PoolConfig, ServiceConfig
from autoscaler.simulation.results import Results
from autoscaler.simulation.run import run
from autoscaler.simulation.traces import Trace
from autoscaler.simulation.traces.reshape import followed_by
from autoscaler.simulation.traces.synthetic import poisson

HOUR_S = 3600.0
ENGINE = find_engine("llama-3.1-70b", "h100", 4)[1]
OBJECTIVES = Objectives(LatencyObjective(0.95, 2.0), LatencyObjective(0.95, 0.03), 0.99)
STARTUP_S = 120.0
UP = DirectionBehavior(0.0, (RateRule(RuleKind.PODS, 4, 15.0),), tolerance_ratio=0.05)
DOWN = DirectionBehavior(None, (RateRule(RuleKind.PODS, 1, 60.0),), tolerance_ratio=0.1)


def mix(of_six: int, hours: float, seed: int) -> Trace:
    """Six requests a second, so many of six about documents, the others chat."""
    inputs, outputs = [6000] * of_six + [400] * (6 - of_six), [60] * of_six + [600] * (6 - of_six)
    return poisson(6.0, hours * HOUR_S, Trace.of(np.zeros(6), inputs, outputs), seed)


def crossing() -> Trace:
    """Chat by night, documents from before the ninth hour to after the fifteenth: each turn takes more than an hour."""
    ups = [mix(share, 0.25, share) for share in range(1, 6)]
    downs = [mix(share, 0.25, 10 + share) for share in range(5, 0, -1)]
    return reduce(followed_by, [mix(0, 7.5, 20), *ups, mix(6, 6.5, 21), *downs, mix(0, 7.5, 22)])


def played(trace: Trace, disaggregation: Disaggregation | None) -> Results:
    role = RolePolicy(1, 24, 4.0, STARTUP_S, Behavior(UP, DOWN), engine=ENGINE)
    switch = SwitchPolicy(disaggregation, sustain_s=900.0, dwell_s=900.0) if disaggregation is not None else None
    pools = {Role.PREFILL: role, Role.DECODE: role}
    policy = ServicePolicy("chat", Mode.ENFORCE, OBJECTIVES, pools, switch=switch)
    pool = PoolConfig(ENGINE, 2, 4.0, STARTUP_S)
    config = ServiceConfig("chat", {Role.PREFILL: pool, Role.DECODE: replace(pool, replicas=3)}, OBJECTIVES)
    return run(policy, config, trace, seed=1)


def served_apart(results: Results, since_s: float, until_s: float) -> float:
    """Share of the requests of a stretch that a prefill replica prefilled."""
    inside = (results.requests.arrival_s >= since_s) & (results.requests.arrival_s < until_s)
    return float(results.requests.disaggregated[inside].mean())


@pytest.fixture(scope="module")
def auto() -> Results:
    return played(crossing(), Disaggregation.AUTO)


def test_the_two_loads_lie_on_both_sides_of_the_break_even() -> None:
    def advantage(load: Load) -> float:
        return compare(ENGINE, ENGINE, (4.0, 4.0), load, OBJECTIVES).advantage_ratio

    assert advantage(Load(6.0, 400.0, 400.0, 600.0)) < 1 / 1.15
    assert advantage(Load(6.0, 6000.0, 6000.0, 60.0)) > 1.15


def test_on_a_day_that_crosses_the_break_even_it_serves_each_load_as_is_cheaper(auto: Results) -> None:
    assert served_apart(auto, 2.0 * HOUR_S, 7.5 * HOUR_S) == 0.0
    assert served_apart(auto, 11.0 * HOUR_S, 15.0 * HOUR_S) == 1.0
    assert served_apart(auto, 19.0 * HOUR_S, 24.0 * HOUR_S) == 0.0


@pytest.mark.parametrize("always", [Disaggregation.ON, Disaggregation.OFF])
def test_it_takes_fewer_gpus_than_either_word_alone(auto: Results, always: Disaggregation) -> None:
    fixed = played(crossing(), always)

    assert auto.gpu_hours < fixed.gpu_hours
    assert auto.attainment_ratio >= fixed.attainment_ratio - 0.005


def test_no_request_is_lost_to_a_change(auto: Results) -> None:
    assert auto.failed + auto.rejected + auto.unfinished == 0


def test_a_day_on_one_side_is_left_as_it_is() -> None:
    with_switch, without = played(mix(6, 2.0, 2), Disaggregation.AUTO), played(mix(6, 2.0, 2), None)

    assert with_switch.gpu_hours == pytest.approx(without.gpu_hours)
    assert with_switch.actions == without.actions
