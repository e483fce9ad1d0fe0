"""Worked numbers follow WVA's saturation analyses V1 and V2."""

from __future__ import annotations

import pytest

from autoscaler.core.policy import Role
from autoscaler.core.snapshot import PoolState
from autoscaler.simulation.baselines.wva_v1 import ReplicaLoad, WvaV1Settings, replica_loads, v1_step, wva_v1
from autoscaler.simulation.baselines.wva_v2 import (
    Need,
    WvaV2Settings,
    commit,
    derived_capacity_tokens,
    need,
    wva_v2,
)
from autoscaler.simulation.run import Memory
from tests.simulation.test_baseline_threshold import site
from tests.support.core import ENGINE, Missing, every, snapshot

PREFILL, DECODE = Role.PREFILL, Role.DECODE
V1, V2 = WvaV1Settings(), WvaV2Settings()


@pytest.mark.parametrize(
    ("loads", "step"),
    [
        ([ReplicaLoad(0.75, 0.0)] * 2, 1),  # spare KV 0.05
        ([ReplicaLoad(0.50, 3.0)] * 2, 1),  # spare queue 2
        ([ReplicaLoad(0.90, 9.0)] * 2, 1),  # all saturated
        ([ReplicaLoad(0.50, 0.0)] * 2, 0),  # one alone would be at 1.0
        ([ReplicaLoad(0.30, 0.0)] * 2, -1),  # one alone would be at 0.6
        ([ReplicaLoad(0.30, 0.0)], 0),  # never below one
        ([ReplicaLoad(0.95, 0.0), ReplicaLoad(0.95, 0.0), ReplicaLoad(0.1, 0.0)], 0),  # an idle one hides the others
        ([], 1),
    ],
)
def test_v1_steps_by_spare_capacity_of_unsaturated_replicas(loads: list[ReplicaLoad], step: int) -> None:
    assert v1_step(loads, V1) == step


def test_replicas_are_told_apart_as_far_as_mean_and_maximum_go() -> None:
    seen = snapshot(
        {
            "decode.ready_replicas": 3.0,
            "decode.kv_utilization_mean": 0.4,
            "decode.kv_utilization_max": 0.8,
            "decode.waiting": 6.0,
        }
    )

    loads = replica_loads(seen, DECODE)

    assert [load.kv_ratio for load in loads] == pytest.approx([0.8, 0.2, 0.2])
    assert [load.queue for load in loads] == [2.0, 2.0, 2.0]


def test_v1_does_not_grow_while_replicas_start() -> None:
    full = {"decode.kv_utilization_mean": 0.9, "decode.kv_utilization_max": 0.9}
    control = wva_v1(site(), V1)

    assert control(snapshot(full), {}, 0.0)[DECODE] == 3
    assert control(snapshot(full, decode=PoolState(3, 2)), {}, 0.0)[DECODE] == 3


def test_hpa_eats_a_step_of_one_above_ten_replicas() -> None:
    full = {"decode.kv_utilization_mean": 0.9, "decode.kv_utilization_max": 0.9, "decode.ready_replicas": 10.0}

    assert wva_v1(site(), V1)(snapshot(full, decode=10), {}, 0.0)[DECODE] == 10


def test_v2_counts_starting_replicas_for_growth_but_not_for_shrinking() -> None:
    # Demand 850 over 0.85 is 1000; capacity 250 each.
    assert need(850.0, 250.0, PoolState(2, 2), V2) == Need(2.0, 0.0)
    assert need(850.0, 250.0, PoolState(4, 2), V2) == Need(0.0, 0.0)
    # Demand 300 over 0.70 is 429: of 4 serving replicas more than two are spare, of two less than one.
    assert need(300.0, 250.0, PoolState(4, 4), V2).spare == pytest.approx(4 - 300 / 0.7 / 250)
    assert need(300.0, 250.0, PoolState(4, 2), V2).spare == pytest.approx(2 - 300 / 0.7 / 250)


def test_the_derived_capacity_of_a_prefill_replica_is_about_its_batch() -> None:
    # n = 8192*1/2001, n*(2000 + 0.5): no rate, only tokens.
    assert derived_capacity_tokens(ENGINE, 2000.0, 1.0) == pytest.approx(8192, rel=0.01)


def test_the_derived_capacity_of_decode_is_bounded_by_sequences() -> None:
    assert derived_capacity_tokens(ENGINE, 100.0, 900.0) == pytest.approx(256 * 550.0)


def test_decode_at_its_maximum_freezes_prefill() -> None:
    needs = {PREFILL: Need(3.0, 0.0), DECODE: Need(1.0, 0.0)}

    assert commit({PREFILL: 2, DECODE: 40}, needs, site()) == {PREFILL: 2, DECODE: 40}
    assert commit({PREFILL: 2, DECODE: 30}, needs, site()) == {PREFILL: 5, DECODE: 31}


def test_roles_grow_by_the_fraction_that_the_tightest_can() -> None:
    needs = {PREFILL: Need(10.0, 0.0), DECODE: Need(8.0, 0.0)}

    assert commit({PREFILL: 2, DECODE: 36}, needs, site()) == {PREFILL: 7, DECODE: 40}


def test_nothing_shrinks_while_the_other_role_grows() -> None:
    spare = Need(0.0, 4.0)

    assert commit({PREFILL: 8, DECODE: 2}, {PREFILL: spare, DECODE: Need(0.5, 0.0)}, site()) == {PREFILL: 8, DECODE: 3}
    assert commit({PREFILL: 8, DECODE: 2}, {PREFILL: spare, DECODE: Need(0.0, 0.0)}, site()) == {PREFILL: 4, DECODE: 2}


def test_v2_learns_capacity_from_moments_of_saturation() -> None:
    control, memory = wva_v2(site(), V2), Memory()
    crowded = {"decode.kv_utilization_mean": 0.2, "decode.waiting": 12.0}
    starving = control(snapshot(crowded), memory, 0.0)[DECODE]

    # 2*0.2*457k in use + 12*2200 queued, capacity 0.2*457k each as now observed: 209.2k/0.85/91.4k.
    assert starving == 3


def test_v2_keeps_a_role_without_data() -> None:
    control, memory = wva_v2(site(), V2), Memory()

    for at_s in (0.0, 400.0):
        assert control(snapshot(every(Missing.ABSENT), prefill=5, decode=5), memory, at_s) == {PREFILL: 5, DECODE: 5}
