from __future__ import annotations

import pytest

from autoscaler.core.policy import Role
from autoscaler.core.snapshot import PoolState
from autoscaler.simulation.baselines.llmd import (
    SloSettings,
    TokenSettings,
    prefill_velocity,
    slo_keda,
    slo_replicas,
    token_keda,
)
from autoscaler.simulation.run import Memory
from tests.simulation.test_baseline_threshold import site
from tests.support.core import ENGINE, Missing, every, snapshot

PREFILL, DECODE = Role.PREFILL, Role.DECODE


@pytest.mark.parametrize(
    ("pressure", "provisioned", "ready", "replicas"),
    [
        (0.50, 4, 4, 4),  # between 0.40 and 0.55
        (1.10, 4, 4, 8),  # 4 + ceil(4*(1.1/0.55 - 1))
        (0.60, 4, 4, 5),
        (1.10, 4, 2, 4),  # discounted to 0.55 while half of the replicas start
        (2.00, 4, 1, 4),  # 2*0.25/0.55 is below 1: ceil(-0.36) is 0
        (0.20, 4, 4, 2),  # 4 - floor(4*(1 - 0.5))
        (0.00, 4, 4, 0),  # a pool that nobody can see looks perfect
    ],
)
def test_pressure_becomes_replicas_as_the_guide_has_it(
    pressure: float, provisioned: int, ready: int, replicas: int
) -> None:
    assert slo_replicas(pressure, provisioned, ready, SloSettings()) == replicas


def test_ttft_drives_prefill_and_tpot_decode() -> None:
    control, memory = slo_keda(site(), SloSettings()), Memory()
    slow_start = snapshot({"service.ttft_s": 2.0, "service.tpot_s": 0.025})
    control(slow_start, memory, 0.0)

    # HPA waits 30 s before it grows; ceil(2*(1/0.55 - 1)) more then.
    assert control(slow_start, memory, 30.0) == {PREFILL: 4, DECODE: 2}


def test_one_pressure_for_both_pools_is_the_larger() -> None:
    control, memory = slo_keda(site(), SloSettings(per_role=False)), Memory()
    slow_start = snapshot({"service.ttft_s": 2.0, "service.tpot_s": 0.025})
    control(slow_start, memory, 0.0)

    assert control(slow_start, memory, 30.0) == {PREFILL: 4, DECODE: 4}


def test_pressure_is_clamped_before_it_is_averaged() -> None:
    control, memory = slo_keda(site(), SloSettings()), Memory()
    control(snapshot({"service.ttft_s": 200.0}), memory, 0.0)
    control(snapshot({"service.ttft_s": 0.0}), memory, 15.0)

    # (2 + 0 + 0)/3 = 0.67 against 0.55.
    assert control(snapshot({"service.ttft_s": 0.0}), memory, 30.0)[PREFILL] == 3


def test_velocity_is_chunk_size_over_its_time() -> None:
    assert prefill_velocity(site()) == pytest.approx(8192 / ENGINE.prefill.request_ms(8192) * 1e3)
    assert 14_000 < prefill_velocity(site()) < 16_500  # capacity table: 14.2k-15.7k for 70B on H100 TP4


def test_prefill_follows_seconds_of_backlog() -> None:
    velocity = prefill_velocity(site())
    control = token_keda(site(), TokenSettings(budget_ratio=0.5))
    budget_s = 0.5 * (2.0 - 2000.0 / velocity)
    backlog = 2.5 * budget_s * velocity / 2000.0
    waiting = snapshot({"prefill.queue_depth": backlog - 1.0, "prefill.in_flight": 1.0})

    assert control(waiting, {}, 0.0)[PREFILL] == 3


def test_decode_follows_summed_kv_one_pod_a_period() -> None:
    control, memory = token_keda(site(), TokenSettings()), Memory()
    full = {"decode.kv_utilization_mean": 0.95, "decode.ready_replicas": 4.0}

    # 4*0.95/0.8 asks for 5.
    assert control(snapshot(full, decode=4), memory, 0.0)[DECODE] == 5
    assert control(snapshot({**full, "decode.ready_replicas": 5.0}, decode=5), memory, 15.0)[DECODE] == 5
    assert control(snapshot({**full, "decode.ready_replicas": 5.0}, decode=5), memory, 180.0)[DECODE] == 6


def test_starting_replicas_do_not_discount_backlog() -> None:
    control = token_keda(site(), TokenSettings())
    waiting = {"prefill.queue_depth": 40.0}

    at_rest = control(snapshot(waiting, prefill=2), {}, 0.0)[PREFILL]

    assert control(snapshot(waiting, prefill=PoolState(2, 1)), {}, 0.0)[PREFILL] == at_rest


def test_the_token_recipe_holds_on_a_dead_scrape() -> None:
    control, memory = token_keda(site(), TokenSettings()), Memory()

    for at_s in (0.0, 400.0):
        assert control(snapshot(every(Missing.STALE), prefill=3, decode=3), memory, at_s) == {PREFILL: 3, DECODE: 3}
