"""Worked numbers follow the HPA controller's pseudo code, and its normalisation an independent oracle."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.policy import Behavior, DirectionBehavior, RateRule, RuleKind, SelectPolicy
from autoscaler.core.snapshot import PoolState
from autoscaler.simulation.baselines.hpa import (
    HpaMemory,
    Metric,
    MetricType,
    default_behavior,
    hpa_step,
    propose,
)
from autoscaler.simulation.baselines.site import Bounds
from tests.core import hpa as oracle

PODS, VALUE, AVERAGE = MetricType.PODS, MetricType.VALUE, MetricType.AVERAGE_VALUE
BOUNDS = Bounds(1, 100)


def pool(current: int, ready: int | None = None, pending: int = 0) -> PoolState:
    return PoolState(current, current if ready is None else ready, unschedulable=pending)


@pytest.mark.parametrize(
    ("metric", "state", "proposal"),
    [
        (Metric(PODS, 0.9, 0.6), pool(4), 6),
        (Metric(PODS, 0.65, 0.6), pool(4), 4),  # within the tolerance of 10 %
        (Metric(PODS, 0.3, 0.6), pool(4), 2),
        (Metric(PODS, 1.2, 0.6), pool(8, ready=4), 8),  # starting pods count as idle: 1.2*4/8 is on target
        (Metric(PODS, 1.8, 0.6), pool(8, ready=4), 12),
        (Metric(PODS, 0.3, 0.6), pool(8, ready=4), 6),  # and as on target when the pool would shrink
        (Metric(PODS, 0.58, 0.6), pool(8, ready=4), 8),
        (Metric(PODS, 0.0, 0.6), pool(8, ready=4), 4),
        (Metric(PODS, 1.8, 0.6), pool(8, ready=4, pending=4), 12),  # pending ones count as idle too
        (Metric(PODS, 0.3, 0.6), pool(8, ready=4, pending=4), 2),  # and not at all when the pool would shrink
        (Metric(PODS, 0.3, 0.6), pool(8, ready=4, pending=2), 4),
        (Metric(VALUE, 30.0, 10.0), pool(6, ready=2), 6),  # multiplies the ready ones
        (Metric(AVERAGE, 30.0, 10.0), pool(6, ready=2), 3),  # readiness plays no part
        (Metric(AVERAGE, 62.0, 10.0), pool(6), 6),
        (Metric(AVERAGE, 11.0, 1.0), pool(10), 10),  # ten per cent are lost
    ],
)
def test_a_metric_proposes_what_the_controller_proposes(metric: Metric, state: PoolState, proposal: int) -> None:
    assert propose(metric, state) == proposal


def test_the_largest_proposal_wins() -> None:
    metrics = [Metric(AVERAGE, 3.0, 1.0), Metric(AVERAGE, 5.0, 1.0)]

    assert hpa_step(HpaMemory(), 0.0, pool(2), metrics, default_behavior(), BOUNDS) == 5


def test_nothing_shrinks_while_a_metric_cannot_be_read() -> None:
    metrics = [Metric(AVERAGE, 1.0, 1.0), Metric(AVERAGE, None, 1.0)]
    behavior = default_behavior(down_window_s=0.0)

    assert hpa_step(HpaMemory(), 0.0, pool(4), metrics, behavior, BOUNDS) == 4
    assert hpa_step(HpaMemory(), 0.0, pool(4), metrics[:1], behavior, BOUNDS) == 1


def test_a_size_outside_the_bounds_is_corrected_at_once() -> None:
    metrics = [Metric(AVERAGE, 50.0, 1.0)]

    assert hpa_step(HpaMemory(), 0.0, pool(200), metrics, default_behavior(), BOUNDS) == 100


def test_a_pool_at_zero_with_a_minimum_above_is_left_alone() -> None:
    assert hpa_step(HpaMemory(), 0.0, pool(0), [Metric(AVERAGE, 5.0, 1.0)], default_behavior(), BOUNDS) == 0


def test_a_new_controller_keeps_the_size_it_found_for_the_window() -> None:
    memory = HpaMemory()
    sizes = [
        hpa_step(memory, at_s, pool(6), [Metric(AVERAGE, 2.0, 1.0)], default_behavior(), BOUNDS)
        for at_s in (0.0, 285.0)
    ]

    assert sizes == [6, 6]
    assert hpa_step(memory, 300.0, pool(6), [Metric(AVERAGE, 2.0, 1.0)], default_behavior(), BOUNDS) == 2


def test_without_behavior_a_pool_at_most_doubles_or_grows_to_four() -> None:
    many = [Metric(AVERAGE, 50.0, 1.0)]

    assert hpa_step(HpaMemory(), 0.0, pool(1), many, None, BOUNDS) == 4
    assert hpa_step(HpaMemory(), 0.0, pool(7), many, None, BOUNDS) == 14


rules = st.lists(
    st.tuples(st.booleans(), st.integers(1, 150), st.sampled_from([15.0, 60.0, 180.0])), min_size=1, max_size=3
)
sides = st.tuples(st.sampled_from([0.0, 30.0, 300.0]), rules, st.sampled_from(["Max", "Min", "Disabled"]))


def of_core(side: tuple[float, list[tuple[bool, int, float]], str]) -> DirectionBehavior:
    window_s, raw, select = side
    kinds = {True: RuleKind.PERCENT, False: RuleKind.PODS}
    made = tuple(RateRule(kinds[percent], value, period_s) for percent, value, period_s in raw)
    return DirectionBehavior(window_s, made, SelectPolicy(select), tolerance_ratio=0.0)


def of_oracle(side: tuple[float, list[tuple[bool, int, float]], str]) -> oracle.Side:
    window_s, raw, select = side
    return oracle.Side(window_s, tuple(oracle.Rule(*rule) for rule in raw), select)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=25), sides, sides, st.integers(1, 20))
def test_windows_and_rates_are_those_of_the_controller(
    wishes: list[int],
    up: tuple[float, list[tuple[bool, int, float]], str],
    down: tuple[float, list[tuple[bool, int, float]], str],
    current: int,
) -> None:
    behavior, memory, bounds = Behavior(of_core(up), of_core(down)), HpaMemory(), (1, 25)
    recommendations: list[oracle.Event] = [(0.0, current)]
    added: list[oracle.Event] = []
    removed: list[oracle.Event] = []
    for tick, wish in enumerate(wishes):
        now_s = 15.0 * tick
        got = hpa_step(memory, now_s, pool(current), [Metric(AVERAGE, wish, 1.0)], behavior, Bounds(*bounds))
        args = (now_s, current, wish, recommendations, added, removed, of_oracle(up), of_oracle(down), bounds)
        expected = oracle.normalise(*args)

        assert got == expected

        recommendations.append((now_s, wish))
        if got != current:
            (added if got > current else removed).append((now_s, abs(got - current)))
        current = got


def test_defaults_are_those_of_the_api() -> None:
    behavior = default_behavior()

    assert behavior.down.window_s == 300.0
    assert {(rule.kind, rule.value, rule.period_s) for rule in behavior.up.rules} == {
        (RuleKind.PODS, 4, 15.0),
        (RuleKind.PERCENT, 100, 15.0),
    }
    assert math.isclose(behavior.up.tolerance_ratio, 0.1)
