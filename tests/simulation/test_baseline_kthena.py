"""Worked numbers follow Kthena's recommendation, behaviour and ratio algorithms."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.policy import RatioBand, Role
from autoscaler.core.snapshot import PoolState
from autoscaler.simulation.baselines.kthena import KthenaSettings, enforce_band, kthena, recommend
from autoscaler.simulation.baselines.site import Bounds
from autoscaler.simulation.run import Memory
from tests.simulation.test_baseline_threshold import site
from tests.support.core import Missing, every, snapshot

PREFILL, DECODE = Role.PREFILL, Role.DECODE
WIDE = {PREFILL: Bounds(1, 20), DECODE: Bounds(1, 20)}


@pytest.mark.parametrize(
    ("mean", "pool", "replicas"),
    [
        (2.1, PoolState(4, 4), 4),  # within 10 % of 2
        (4.0, PoolState(4, 4), 8),
        (1.0, PoolState(4, 4), 2),
        (4.0, PoolState(8, 4), 8),  # starting pods join the denominator
        (6.0, PoolState(8, 4), 12),
        (1.0, PoolState(8, 4), 2),  # but not when shrinking
    ],
)
def test_a_metric_recommends_by_ready_pods(mean: float, pool: PoolState, replicas: int) -> None:
    assert recommend(mean, 2.0, pool, 0.1) == replicas


@pytest.mark.parametrize(
    ("pair", "fixed"),
    [
        ((2, 4), (2, 4)),
        ((1, 4), (2, 4)),  # below the band: prefill is raised first
        ((8, 2), (8, 4)),  # above it: decode is raised first
        ((0, 0), (0, 0)),
        ((0, 3), (2, 3)),  # one role alone cannot serve
    ],
)
def test_the_band_raises_the_role_that_is_short(pair: tuple[int, int], fixed: tuple[int, int]) -> None:
    assert enforce_band(*pair, WIDE, RatioBand(0.5, 2.0)) == fixed


def test_only_a_bound_in_the_way_makes_a_role_smaller() -> None:
    bounds = {PREFILL: Bounds(1, 20), DECODE: Bounds(1, 3)}

    assert enforce_band(10, 2, bounds, RatioBand(0.5, 2.0)) == (6, 3)


@given(st.integers(0, 30), st.integers(0, 30), st.floats(0.1, 3.0), st.floats(1.0, 4.0))
def test_a_repaired_pair_lies_in_band_and_bounds(prefill: int, decode: int, low: float, width: float) -> None:
    band = RatioBand(low, low * width)

    pair = enforce_band(min(prefill, 20), min(decode, 20), WIDE, band)

    if pair is None:
        assert not any(band.holds(*candidate) for candidate in product(range(1, 21), repeat=2))
    else:
        assert band.holds(*pair)
        assert max(pair) <= 20


def test_growth_is_one_or_double_in_a_period() -> None:
    control = kthena(site(), KthenaSettings(band_width_ratio=100.0))
    memory = Memory()
    waiting = {"prefill.queue_depth": 27.0, "prefill.ready_replicas": 5.0}

    # ceil(5*5.4/2)=14 is over twice 5, so panic lets it go at once; 9 is not.
    assert control(snapshot(waiting, prefill=5), memory, 0.0)[PREFILL] == 14
    slower = {"prefill.queue_depth": 18.0, "prefill.ready_replicas": 5.0}
    assert control(snapshot(slower, prefill=5), Memory(), 0.0)[PREFILL] == 9


def test_nothing_shrinks_in_panic_or_within_the_window() -> None:
    control, memory = kthena(site(), KthenaSettings(band_width_ratio=100.0, down_window_s=90.0)), Memory()
    control(snapshot({"prefill.queue_depth": 27.0, "prefill.ready_replicas": 5.0}, prefill=5), memory, 0.0)
    quiet = snapshot({"prefill.queue_depth": 0.0, "prefill.ready_replicas": 14.0}, prefill=14)

    sizes = [control(quiet, memory, at_s)[PREFILL] for at_s in (30.0, 60.0, 75.0, 90.0)]

    assert sizes[:3] == [14, 14, 14]
    assert sizes[3] < 14


def test_nothing_moves_while_a_role_has_no_data() -> None:
    control = kthena(site(), KthenaSettings())
    blind = snapshot({**every(Missing.ABSENT), "decode.kv_utilization_mean": 0.9}, prefill=3, decode=3)

    assert control(blind, {}, 0.0) == {PREFILL: 3, DECODE: 3}
