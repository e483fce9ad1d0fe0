"""Worked numbers follow AIBrix's algorithms, shipped defects included."""

from __future__ import annotations

import pytest

from autoscaler.core.policy import Role
from autoscaler.core.snapshot import PoolState
from autoscaler.simulation.baselines.aibrix import AibrixSettings, Means, apa, apa_replicas, kpa, kpa_replicas
from autoscaler.simulation.run import Memory
from tests.simulation.test_baseline_threshold import site
from tests.support.core import Missing, every, snapshot

PREFILL, DECODE = Role.PREFILL, Role.DECODE
SETTINGS = AibrixSettings()


@pytest.mark.parametrize(
    ("mean", "current", "replicas"),
    [
        (0.54, 10, 10),  # within 10 % of 0.5
        (0.60, 10, 12),
        (2.00, 10, 20),  # at most doubled
        (0.40, 10, 8),
        (0.10, 10, 5),  # at most halved
    ],
)
def test_apa_scales_by_mean_over_target(mean: float, current: int, replicas: int) -> None:
    assert apa_replicas(Means(mean, mean), PoolState(current, current), 0.5, SETTINGS) == replicas


def test_kpa_can_never_ask_for_more_than_the_mean_over_the_target() -> None:
    full = Means(1.0, 1.0)

    # A KV usage of 1 against 0.5 is two replicas, however many run; halving only slows the way there.
    assert kpa_replicas(full, PoolState(2, 2), 0.5, SETTINGS) == 2
    assert kpa_replicas(full, PoolState(3, 3), 0.5, SETTINGS) == 2
    assert kpa_replicas(full, PoolState(12, 12), 0.5, SETTINGS) == 6


def test_kpa_panics_on_a_doubled_mean_and_takes_the_larger() -> None:
    assert kpa_replicas(Means(1.0, 2.5), PoolState(3, 3), 0.5, SETTINGS) == 5
    assert kpa_replicas(Means(1.0, 1.9), PoolState(3, 3), 0.5, SETTINGS) == 2


def test_starting_replicas_count_as_idle_when_apa_grows() -> None:
    means = Means(1.0, 1.0)

    # All 4 serving: 8. Two of four serving: ceil(4 * 0.5/0.5) = 4.
    assert apa_replicas(means, PoolState(4, 4), 0.5, SETTINGS) == 8
    assert apa_replicas(means, PoolState(4, 2), 0.5, SETTINGS) == 4


def test_starting_replicas_count_as_on_target_when_apa_shrinks() -> None:
    means = Means(0.1, 0.1)

    # ceil(4*(0.1*2 + 0.5*2)/4/0.5) = 3 instead of 2.
    assert apa_replicas(means, PoolState(4, 2), 0.5, SETTINGS) == 3


def test_a_shrink_takes_the_smallest_recommendation_of_the_window() -> None:
    control, memory = apa(site(), AibrixSettings(panic_window_s=10.0)), Memory()
    quiet = control(snapshot({"decode.kv_utilization_mean": 0.1}, decode=8), memory, 0.0)
    control(snapshot({"decode.kv_utilization_mean": 0.5}, decode=10), memory, 15.0)
    calm = control(snapshot({"decode.kv_utilization_mean": 0.4}, decode=10), memory, 30.0)

    assert quiet[DECODE] == 4
    assert calm[DECODE] == 4  # its own recommendation is 8


def test_prefill_follows_waiting_and_running_requests() -> None:
    control = apa(site(), AibrixSettings(prefill_target=4.0))

    assert control(snapshot({"prefill.queue_depth": 10.0, "prefill.in_flight": 2.0}), {}, 0.0)[PREFILL] == 3


@pytest.mark.parametrize("build", [kpa, apa])
def test_both_hold_on_a_dead_scrape(build: object) -> None:
    assert callable(build)
    control = build(site(), SETTINGS)

    assert control(snapshot(every(Missing.ABSENT), prefill=5, decode=4), {}, 0.0) == {PREFILL: 5, DECODE: 4}
