from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.headroom import LEAST, MOST, Headroom, account, note_unavoidable, steer

OBJECTIVE = 0.95
TICK_S = 15.0
HOUR_S = 3600.0


def steered(headroom: Headroom, attained: float | None, seconds: float, *, answered: bool = False) -> Headroom:
    now = headroom.at_s if headroom.at_s is not None else 0.0
    for _ in range(int(seconds / TICK_S)):
        now += TICK_S
        headroom = steer(headroom, attained, OBJECTIVE, now, answered=answered)
    return headroom


def test_what_misses_though_nobody_waits_is_learned_within_hours() -> None:
    headroom, learned = steer(Headroom(), None, OBJECTIVE, 0.0, answered=False), [0.0]
    for tick in range(1, 961):
        headroom = steer(note_unavoidable(headroom, 0.2, tick * TICK_S), None, OBJECTIVE, tick * TICK_S, answered=False)
        learned.append(headroom.unavoidable_ratio)

    assert learned == sorted(learned)
    assert 0.1 < learned[240] < 0.15  # an hour is the time constant
    assert 0.19 < learned[-1] < 0.2


def test_a_lasting_burn_raises_the_margin() -> None:
    assert steered(Headroom(), 0.5, HOUR_S).margin > 1.3


def test_a_worse_burn_raises_it_faster() -> None:
    burning = Headroom(burn=1.0)

    assert steered(burning, 0.5, 300).margin > steered(burning, 0.9, 300).margin


def test_the_margin_rises_faster_than_it_falls() -> None:
    burnt = steered(Headroom(burn=1.0), 0.5, 600)
    calmed = steered(burnt, 1.0, 600)

    assert burnt.margin - Headroom().margin > 3 * (burnt.margin - calmed.margin)


def test_a_whole_budget_gives_margin_back_within_a_day() -> None:
    assert steered(Headroom(1.8), 1.0, 24 * HOUR_S).margin < 1.05


def test_one_short_burst_is_left_to_the_budget() -> None:
    calm = steered(Headroom(), 1.0, HOUR_S)

    assert steered(calm, 0.8, 30.0).margin <= calm.margin


def test_a_burn_that_is_answered_already_does_not_wind_the_margin_up() -> None:
    assert steered(Headroom(burn=5.0), 0.5, HOUR_S, answered=True).margin <= Headroom().margin


def test_an_unknown_attainment_leaves_the_margin_alone() -> None:
    assert steered(Headroom(1.4, burn=2.0), None, HOUR_S).margin == 1.4


def test_exactly_the_promised_share_does_not_raise_the_margin() -> None:
    assert steered(Headroom(burn=1.0), OBJECTIVE, HOUR_S).margin <= Headroom().margin


def burn_of(unavoidable_ratio: float) -> float:
    """Burn rate of a minute in which half a budget's worth of requests missed."""
    headroom = Headroom(unavoidable_ratio=unavoidable_ratio, at_s=0.0)
    return steered(headroom, 1.0 - (1.0 - OBJECTIVE) / 2, 60.0).burn


def test_what_cannot_be_avoided_comes_off_the_budget() -> None:
    assert burn_of(0.5 * (1.0 - OBJECTIVE)) == pytest.approx(2.0 * burn_of(0.0))


def test_a_quarter_of_the_budget_is_left_to_steer_by_however_little_the_unavoidable_leaves() -> None:
    assert burn_of(1.0 - OBJECTIVE) == pytest.approx(4.0 * burn_of(0.0))


def test_a_promise_that_no_replicas_can_keep_is_not_steered_by_a_quarter_of_its_budget() -> None:
    assert burn_of(1.5 * (1.0 - OBJECTIVE)) == pytest.approx(2.0 * burn_of(0.0))
    assert burn_of(10.0 * (1.0 - OBJECTIVE)) == pytest.approx(burn_of(0.0))


def test_a_gap_of_a_day_counts_as_a_minute_at_most() -> None:
    before = steer(Headroom(burn=5.0), 0.5, OBJECTIVE, 0.0, answered=False)

    assert steer(before, 0.5, OBJECTIVE, 86_400.0, answered=False).margin < 1.2 * before.margin


def test_a_clock_that_goes_back_changes_nothing() -> None:
    before = steer(Headroom(burn=5.0), 0.5, OBJECTIVE, 1000.0, answered=False)

    assert steer(before, 0.5, OBJECTIVE, 500.0, answered=False).margin == before.margin


def accounted(headroom: Headroom, missed: float, seconds: float) -> Headroom:
    for _ in range(int(seconds / TICK_S)):
        headroom = account(headroom, missed, OBJECTIVE, TICK_S)
    return headroom


def test_a_new_service_has_proven_nothing_and_a_calm_day_proves_the_budget_whole() -> None:
    assert Headroom().unspent_ratio == 0.0
    assert accounted(Headroom(), 0.0, 600).unspent_ratio < 0.1
    assert accounted(Headroom(), 0.0, 24 * HOUR_S).unspent_ratio > 0.95


def test_misses_at_half_the_rate_that_is_promised_leave_half_of_the_budget() -> None:
    assert abs(accounted(Headroom(), 0.025, 48 * HOUR_S).unspent_ratio - 0.5) < 0.01


def test_half_an_hour_of_misses_takes_hours_to_be_paid_off() -> None:
    calm = Headroom(spent_ratio=0.1)

    missed = accounted(calm, 1.0, 1800)

    assert missed.unspent_ratio == 0.0
    assert accounted(missed, 0.0, HOUR_S).unspent_ratio == 0.0
    assert 0.0 < accounted(missed, 0.0, 8 * HOUR_S).unspent_ratio < calm.unspent_ratio


def test_a_gap_of_a_day_proves_a_minute_at_most() -> None:
    assert account(Headroom(), 0.0, OBJECTIVE, 86_400.0).unspent_ratio < 0.01
    assert account(Headroom(), 0.0, OBJECTIVE, -86_400.0).unspent_ratio == 0.0


@given(
    st.lists(st.tuples(st.floats(-100.0, 1e5), st.none() | st.floats(-1.0, 2.0), st.booleans()), max_size=30),
    st.sampled_from([0.5, 0.95, 0.999, 1.0]),
)
def test_the_margin_stays_within_its_limits(steps: list[tuple[float, float | None, bool]], objective: float) -> None:
    headroom, now = Headroom(), 0.0
    for elapsed_s, attained, answered in steps:
        now += elapsed_s
        headroom = steer(headroom, attained, objective, now, answered=answered)
        assert LEAST <= headroom.margin <= MOST
        assert headroom.burn >= 0.0
