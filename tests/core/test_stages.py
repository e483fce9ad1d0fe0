"""Tolerance, window, rates and bounds, one by one; window and rates must be HPA's to the last event."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core import stages
from autoscaler.core.decision import Reason, Stage, StageName
from autoscaler.core.policy import Behavior, DirectionBehavior, RateRule, Role, RolePolicy, RuleKind, SelectPolicy
from autoscaler.core.state import RoleState, Timed
from tests.core import hpa
from tests.support.core import ROLE_POLICY, direction, percent, pods

NOW = 10_000.0
LONG_AGO = 0.0


def with_behavior(up: DirectionBehavior, down: DirectionBehavior, low: int = 0, high: int = 100) -> RolePolicy:
    return replace(ROLE_POLICY, behavior=Behavior(up, down), min_replicas=low, max_replicas=high)


def ago(*items: tuple[float, float]) -> tuple[Timed, ...]:
    """A history of (seconds ago, number), oldest first."""
    return tuple(Timed(NOW - age_s, value) for age_s, value in sorted(items, reverse=True))


# Tolerance


@pytest.mark.parametrize(
    ("current", "need", "after", "reason"),
    [
        pytest.param(10, 10.9, 10, Reason.WITHIN_TOLERANCE, id="a little more"),
        pytest.param(10, 11.1, 12, Reason.OUTSIDE_TOLERANCE, id="more than tolerated"),
        pytest.param(10, 8.9, 10, Reason.WITHIN_TOLERANCE, id="shrink has a wider band: a little less"),
        pytest.param(10, 8.0, 10, Reason.WITHIN_TOLERANCE, id="as much less as tolerated"),
        pytest.param(10, 7.9, 8, Reason.OUTSIDE_TOLERANCE, id="less than tolerated"),
        pytest.param(10, 10.0, 10, Reason.OUTSIDE_TOLERANCE, id="nothing to tolerate"),
        pytest.param(1, 1.2, 2, Reason.OUTSIDE_TOLERANCE, id="a small pool is not frozen by rounding"),
        pytest.param(0, 0.01, 1, Reason.OUTSIDE_TOLERANCE, id="from zero"),
    ],
)
def test_a_change_within_tolerance_is_no_change(current: int, need: float, after: int, reason: Reason) -> None:
    policy = with_behavior(direction(tolerance_ratio=0.1), direction(tolerance_ratio=0.2))

    stage = stages.tolerance(policy, current, need, before=math.ceil(need))

    assert (stage.after, stage.reason) == (after, reason)


def test_growth_by_exactly_the_tolerance_is_no_change() -> None:
    policy = with_behavior(direction(tolerance_ratio=0.1), direction())

    assert stages.tolerance(policy, 10, need=11.0, before=11).after == 10


def test_tolerance_leaves_alone_what_another_stage_has_changed() -> None:
    policy = with_behavior(direction(tolerance_ratio=0.1), direction(tolerance_ratio=0.1))

    assert stages.tolerance(policy, 10, need=9.5, before=14).after == 14


def test_a_firm_growth_passes_and_its_record_says_why() -> None:
    policy = with_behavior(direction(tolerance_ratio=0.3), direction())

    stage = stages.tolerance(policy, 4, need=5.0, before=5, firm=True)

    assert (stage.after, stage.reason) == (5, Reason.OUTSIDE_TOLERANCE)
    assert stage.detail == "a need of 5.00 is within 30% of 4, but cannot wait"


def test_no_shrink_is_firm() -> None:
    policy = with_behavior(direction(), direction(tolerance_ratio=0.2))

    assert stages.tolerance(policy, 10, need=9.0, before=9, firm=True).after == 10


# Window


def window(current: int, before: int, *history: tuple[float, float], since_s: float = LONG_AGO) -> Stage:
    """Grows after one minute, shrinks after five."""
    policy = with_behavior(direction(60.0), direction(300.0))
    memory = RoleState(proposals=ago(*history))
    return stages.stabilize(policy, Role.PREFILL, memory, since_s, current, before, NOW, 90.0)


@pytest.mark.parametrize(
    ("current", "before", "history", "after"),
    [
        pytest.param(4, 8, [(50, 6), (20, 9)], 6, id="growth takes the least of its window"),
        pytest.param(4, 8, [(50, 2), (20, 9)], 4, id="growth waits while less was proposed"),
        pytest.param(4, 8, [(90, 2), (20, 9)], 8, id="an older proposal does not hold growth"),
        pytest.param(8, 2, [(250, 5), (20, 3)], 5, id="shrink takes the most of its window"),
        pytest.param(8, 2, [(250, 9), (20, 3)], 8, id="shrink waits while as much was needed"),
        pytest.param(8, 2, [(310, 9), (20, 3)], 3, id="an older peak does not hold shrink"),
        pytest.param(8, 2, [(300, 9), (20, 3)], 3, id="a window ends at its length"),
        pytest.param(4, 8, [(60, 2)], 8, id="the window of growth too"),
        pytest.param(5, 5, [(250, 9), (20, 2)], 5, id="nothing wanted, nothing done"),
    ],
)
def test_growth_takes_the_least_and_shrink_the_most_of_the_window(
    current: int, before: int, history: list[tuple[float, float]], after: int
) -> None:
    stage = window(current, before, *history)

    assert stage.after == after
    assert stage.reason is (Reason.WINDOW_PASSED if after == before else Reason.STABILIZED)


def test_a_young_memory_shrinks_nothing_until_it_is_a_window_old() -> None:
    assert window(8, 2, since_s=NOW - 299.0).after == 8
    assert window(8, 2, since_s=NOW - 300.0).after == 2


def test_a_young_memory_says_how_much_it_remembers() -> None:
    assert "remembers only 30 s; shrinks after 300 s" in window(8, 2, since_s=NOW - 30.0).detail


def test_a_young_memory_does_not_hold_growth() -> None:
    assert window(2, 8, since_s=NOW).after == 8


def test_a_shrink_window_that_is_not_set_follows_the_startup_time_but_is_not_short() -> None:
    assert stages.shrink_window_s(direction(None), 900.0, 1) == 900.0
    assert 300.0 <= stages.shrink_window_s(direction(None), 10.0, 1) <= 900.0
    assert stages.shrink_window_s(direction(0.0), 240.0, 1) == 0.0


@pytest.mark.parametrize(
    ("replicas", "windows"), [(0, 1.0), (1, 1.0), (2, 2.0), (3, 1.25), (5, 1.0625), (11, 1.01), (101, 1.0001)]
)
def test_the_larger_a_part_of_the_pool_a_replica_is_the_longer_it_is_kept(replicas: int, windows: float) -> None:
    assert stages.shrink_window_s(direction(None), 900.0, replicas) == pytest.approx(900.0 * windows)


@pytest.mark.parametrize("replicas", [1, 2, 3, 50])
def test_a_shrink_window_that_is_set_is_the_same_for_every_pool(replicas: int) -> None:
    assert stages.shrink_window_s(direction(300.0), 900.0, replicas) == 300.0


@pytest.mark.parametrize(("seconds_ago", "after"), [(1199.0, 2), (1201.0, 1)])
def test_a_pool_of_two_gives_one_up_two_windows_after_it_was_last_needed(seconds_ago: float, after: int) -> None:
    policy = with_behavior(direction(), direction(None))
    memory = RoleState(proposals=ago((seconds_ago, 2)))

    assert stages.stabilize(policy, Role.PREFILL, memory, LONG_AGO, 2, 1, NOW, 600.0).after == after


def growth(role: Role, *, current: int = 4, window_s: float | None = None, changes: tuple[Timed, ...] = ()) -> int:
    """What becomes of eight replicas that only the last two ticks asked for."""
    policy = with_behavior(direction(window_s), direction())
    memory = RoleState(proposals=ago((45, 8), (30, current), (15, 8)), changes=changes)
    return stages.stabilize(policy, role, memory, LONG_AGO, current, 8, NOW, 240.0).after


def test_decode_grows_on_what_its_gauges_have_shown_for_forty_seconds() -> None:
    assert growth(Role.DECODE) == 4


def test_prefill_grows_at_once_for_its_rates_are_means() -> None:
    assert growth(Role.PREFILL) == 8


@pytest.mark.parametrize(("seconds_ago", "change", "after"), [(590, -1, 4), (610, -1, 8), (30, 1, 8)])
def test_a_pool_that_has_just_shrunk_grows_again_on_what_lasts(seconds_ago: float, change: float, after: int) -> None:
    assert growth(Role.PREFILL, changes=ago((seconds_ago, change))) == after


@pytest.mark.parametrize("role", Role)
def test_an_empty_pool_grows_at_once(role: Role) -> None:
    assert growth(role, current=0, changes=ago((100, -1))) == 8


def test_a_growth_window_that_is_set_is_the_same_for_every_pool() -> None:
    assert growth(Role.DECODE, window_s=0.0, changes=ago((100, -1))) == 8
    assert growth(Role.PREFILL, window_s=60.0) == 4


@given(
    role=st.sampled_from(Role),
    replicas=st.integers(0, 1000),
    up_s=st.none() | st.floats(0.0, 3600.0),
    down_s=st.none() | st.floats(0.0, 3600.0),
    startup_s=st.floats(0.0, 3600.0),
)
def test_proposals_are_remembered_for_as_long_as_any_window(
    role: Role, replicas: int, up_s: float | None, down_s: float | None, startup_s: float
) -> None:
    policy = with_behavior(direction(up_s), direction(down_s))
    kept_s = stages.longest_window_s(policy, startup_s)

    assert kept_s >= stages.growth_window_s(direction(up_s), role, RoleState(), replicas, NOW)
    assert kept_s >= stages.shrink_window_s(direction(down_s), startup_s, replicas)


# Rates


def rate(
    policy: RolePolicy, current: int, before: int, *changes: tuple[float, float], reason: Reason | None = None
) -> int:
    stage = stages.limit_rate(policy, RoleState(changes=ago(*changes)), current, before, NOW)
    assert reason in {None, stage.reason}
    return stage.after


@pytest.mark.parametrize(
    ("rule", "current", "before", "changes", "after"),
    [
        pytest.param(pods(4, 60), 2, 20, [], 6, id="pods"),
        pytest.param(pods(4, 60), 6, 20, [(30, 4)], 6, id="spent"),
        pytest.param(pods(4, 60), 6, 20, [(60, 4)], 10, id="an event leaves at the end of its period"),
        pytest.param(pods(4, 60), 4, 20, [(30, 2)], 6, id="partly spent"),
        pytest.param(pods(4, 60), 4, 20, [(30, 4), (10, -2)], 6, id="what went again may come again"),
        pytest.param(pods(4, 60), 10, 20, [(30, 9)], 10, id="overspent, by hand: no growth, no shrink"),
        pytest.param(percent(50, 60), 5, 20, [], 8, id="per cent rounds up"),
        pytest.param(percent(50, 60), 0, 20, [], 1, id="per cent of nothing"),
        pytest.param(percent(100, 60), 4, 20, [(30, 2)], 4, id="per cent of where the period began"),
        pytest.param(percent(100, 60), 5, 20, [(30, 2)], 6, id="per cent, partly spent"),
        pytest.param(pods(4, 60), 2, 5, [], 5, id="less than allowed"),
    ],
)
def test_growth_within_a_period_is_limited(
    rule: RateRule, current: int, before: int, changes: list[tuple[float, float]], after: int
) -> None:
    assert rate(with_behavior(direction(0.0, rule), direction()), current, before, *changes) == after


@pytest.mark.parametrize(
    ("rule", "current", "before", "changes", "after"),
    [
        pytest.param(pods(2, 60), 9, 1, [], 7, id="pods"),
        pytest.param(pods(2, 60), 7, 1, [(30, -2)], 7, id="spent"),
        pytest.param(pods(2, 60), 8, 1, [(30, -2), (10, 1)], 7, id="what came may go"),
        pytest.param(percent(30, 60), 9, 1, [], 6, id="per cent truncates"),
        pytest.param(percent(50, 60), 6, 1, [(30, -2)], 4, id="per cent of where the period began"),
        pytest.param(percent(100, 60), 9, 0, [], 0, id="all of it"),
        pytest.param(pods(2, 60), 3, 1, [(30, -9)], 3, id="overspent: no shrink, no growth"),
    ],
)
def test_shrinking_within_a_period_is_limited(
    rule: RateRule, current: int, before: int, changes: list[tuple[float, float]], after: int
) -> None:
    assert rate(with_behavior(direction(), direction(0.0, rule)), current, before, *changes) == after


@pytest.mark.parametrize(
    ("select", "grown", "shrunk"), [(SelectPolicy.MAX, 16, 4), (SelectPolicy.MIN, 10, 6), (SelectPolicy.DISABLED, 8, 8)]
)
def test_select_picks_the_largest_the_smallest_or_no_change(select: SelectPolicy, grown: int, shrunk: int) -> None:
    up = DirectionBehavior(0.0, (pods(2, 60), percent(100, 60)), select)
    down = DirectionBehavior(0.0, (pods(2, 60), percent(50, 60)), select)
    policy = with_behavior(up, down)

    assert rate(policy, 8, 50) == grown
    assert rate(policy, 8, 0) == shrunk


def test_without_rules_there_is_no_limit() -> None:
    assert rate(with_behavior(direction(), direction()), 1, 90, reason=Reason.RATE_ALLOWED) == 90


def test_disabled_holds_even_without_rules() -> None:
    down = DirectionBehavior(0.0, (), SelectPolicy.DISABLED)

    assert rate(with_behavior(direction(), down), 9, 1, reason=Reason.RATE_LIMITED) == 9


def test_a_limit_says_which_rule_binds() -> None:
    policy = with_behavior(direction(0.0, pods(4, 60)), direction())

    assert stages.limit_rate(policy, RoleState(), 2, 20, NOW).detail == "at most 4 pods within 60 s"


# Bounds


@pytest.mark.parametrize(
    ("before", "after", "reason"), [(1, 2, Reason.AT_MIN), (11, 10, Reason.AT_MAX), (5, 5, Reason.WITHIN_BOUNDS)]
)
def test_bounds_hold(before: int, after: int, reason: Reason) -> None:
    stage = stages.bound(with_behavior(direction(), direction(), low=2, high=10), before)

    assert (stage.stage, stage.before, stage.after, stage.reason) == (StageName.BOUNDS, before, after, reason)


# Window, rates and bounds against HPA

AGES = st.integers(1, 400)
RULES = st.builds(hpa.Rule, st.booleans(), st.integers(1, 200), st.sampled_from([15.0, 60.0, 180.0]))
SIDES = st.builds(
    hpa.Side,
    st.sampled_from([0.0, 60.0, 300.0]),
    st.lists(RULES, min_size=1, max_size=3).map(tuple),
    st.sampled_from(["Max", "Min", "Disabled"]),
)


def ours(side: hpa.Side) -> DirectionBehavior:
    rules = tuple(
        RateRule(RuleKind.PERCENT if rule.percent else RuleKind.PODS, rule.value, rule.period_s) for rule in side.rules
    )
    return DirectionBehavior(side.window_s, rules, SelectPolicy(side.select))


@given(
    current=st.integers(0, 60),
    wanted=st.integers(0, 80),
    recommendations=st.lists(st.tuples(AGES, st.integers(0, 80)), max_size=6),
    changes=st.lists(st.tuples(AGES, st.integers(-20, 20).filter(bool)), max_size=6),
    up=SIDES,
    down=SIDES,
    bounds=st.tuples(st.integers(0, 5), st.integers(20, 60)),
)
def test_window_rates_and_bounds_together_are_those_of_hpa(
    current: int,
    wanted: int,
    recommendations: list[tuple[int, int]],
    changes: list[tuple[int, int]],
    up: hpa.Side,
    down: hpa.Side,
    bounds: tuple[int, int],
) -> None:
    policy = with_behavior(ours(up), ours(down), *bounds)
    memory = RoleState(proposals=ago(*recommendations), changes=ago(*changes))

    stabilised = stages.stabilize(policy, Role.DECODE, memory, LONG_AGO, current, wanted, NOW, 90.0).after
    limited = stages.limit_rate(policy, memory, current, stabilised, NOW).after
    number = stages.bound(policy, limited).after

    assert number == hpa.normalise(
        NOW,
        current,
        wanted,
        [(NOW - age_s, count) for age_s, count in recommendations],
        [(NOW - age_s, count) for age_s, count in changes if count > 0],
        [(NOW - age_s, -count) for age_s, count in changes if count < 0],
        up,
        down,
        bounds,
    )
