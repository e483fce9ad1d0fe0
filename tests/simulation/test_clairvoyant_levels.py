"""The decomposition by levels against a search over all schedules, and what giving up stays does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.policy import Role
from autoscaler.simulation.clairvoyant.demand import SlotLoad
from autoscaler.simulation.clairvoyant.levels import Stay, optimal_replica_s, optimal_stays
from autoscaler.simulation.clairvoyant.shed import shed

PREFILL, DECODE = Role.PREFILL, Role.DECODE
profiles = st.lists(st.integers(0, 4), min_size=1, max_size=9).filter(any)


def cheapest(profile: list[int], slot_s: float, startup_s: float) -> float:
    """Least cost over all counts that cover the profile, by dynamic programming over (slot, count)."""
    top = max(profile)
    cost = {0: 0.0}
    for needed in profile:
        cost = {
            count: min(before + startup_s * max(count - held, 0) for held, before in cost.items()) + count * slot_s
            for count in range(needed, top + 1)
        }
    return min(cost.values())


@given(profiles, st.floats(0.0, 100.0))
def test_no_schedule_is_cheaper_than_the_decomposition(profile: list[int], startup_s: float) -> None:
    assert optimal_replica_s(np.array(profile), 10.0, startup_s) == pytest.approx(cheapest(profile, 10.0, startup_s))


@given(profiles, st.floats(0.0, 100.0))
def test_stays_cover_the_profile_and_nest(profile: list[int], startup_s: float) -> None:
    stays = optimal_stays(np.array(profile), 10.0, startup_s)
    held = np.zeros(len(profile), dtype=int)
    for stay in stays:
        held[stay.start : stay.end] += 1
        below = [other for other in stays if other.level == stay.level - 1]
        assert stay.level == 1 or any(b.start <= stay.start and stay.end <= b.end for b in below)

    assert (held >= profile).all()


def test_a_gap_is_bridged_if_it_is_shorter_than_a_start() -> None:
    profile = np.array([2, 1, 1, 2])

    assert optimal_stays(profile, 10.0, 30.0) == [Stay(1, 0, 4), Stay(2, 0, 4)]
    assert optimal_stays(profile, 10.0, 10.0) == [Stay(1, 0, 4), Stay(2, 0, 1), Stay(2, 3, 4)]


def load(*busy: float, requests: float = 100.0) -> SlotLoad:
    return SlotLoad(10.0, np.array(busy), np.full(len(busy), requests))


def given_up(load_of: SlotLoad, requests: float, startup_s: float = 0.0) -> list[Stay]:
    stays = {PREFILL: optimal_stays(load_of.replicas(), 10.0, startup_s)}
    return shed(stays, {PREFILL: load_of}, {PREFILL: 4.0}, requests=requests, startup_s=startup_s)[PREFILL]


def test_the_stay_that_fewest_requests_need_goes_first() -> None:
    # In slot 1 a tenth of a replica more than two is wanted: 100*0.1/2.1 requests; in slot 3 most of one.
    peaks = load(1.5, 2.1, 1.5, 2.9)

    assert given_up(peaks, requests=4.7) == optimal_stays(peaks.replicas(), 10.0, 0.0)
    assert Stay(3, 1, 2) not in given_up(peaks, requests=5.0)
    assert Stay(3, 3, 4) in given_up(peaks, requests=5.0)


def test_a_stay_goes_only_after_those_above_it() -> None:
    tower = load(1.0, 3.0, 1.0)

    # The second level serves a third of the slot's requests, the third as many again.
    assert given_up(tower, requests=34.0) == [Stay(1, 0, 3), Stay(2, 1, 2)]
    assert given_up(tower, requests=67.0) == [Stay(1, 0, 3)]


def test_the_lowest_level_always_remains() -> None:
    assert given_up(load(3.0, 3.0), requests=1e9) == [Stay(1, 0, 2)]


def test_the_dearer_role_is_given_up_first() -> None:
    both = {PREFILL: load(1.0, 1.5), DECODE: load(1.0, 1.5)}
    stays = {role: optimal_stays(each.replicas(), 10.0, 0.0) for role, each in both.items()}

    kept = shed(stays, both, {PREFILL: 1.0, DECODE: 8.0}, requests=40.0, startup_s=0.0)

    assert kept == {PREFILL: [Stay(1, 0, 2), Stay(2, 1, 2)], DECODE: [Stay(1, 0, 2)]}
