from __future__ import annotations

import pytest

from autoscaler.core.policy import Role
from autoscaler.core.snapshot import PoolState
from autoscaler.simulation.baselines.site import Bounds, Site
from autoscaler.simulation.baselines.threshold import (
    HpaRpsSettings,
    HpaSettings,
    KedaSettings,
    hpa,
    hpa_rps,
    keda,
    requests_per_s,
)
from autoscaler.simulation.run import Memory
from tests.support.core import ENGINE, OBJECTIVES, Missing, every, snapshot

PREFILL, DECODE = Role.PREFILL, Role.DECODE


def site(**changes: float) -> Site:
    roles = (PREFILL, DECODE)
    means = {"input_tokens": 2000.0, "output_tokens": 200.0, **changes}
    return Site(
        dict.fromkeys(roles, ENGINE),
        OBJECTIVES,
        dict.fromkeys(roles, Bounds(1, 40)),
        dict.fromkeys(roles, 4.0),
        **means,
    )


def test_hpa_takes_the_larger_of_queue_and_kv() -> None:
    control = hpa(site(), HpaSettings(queue_target=2.0, kv_target_ratio=0.7))
    crowded = snapshot({"prefill.queue_depth": 12.0, "decode.kv_utilization_mean": 0.9})

    # prefill: 6 waiting per pod against 2; decode: 0.9 against 0.7.
    assert control(crowded, {}, 0.0) == {PREFILL: 6, DECODE: 3}


def test_hpa_on_requests_counts_what_arrives_and_not_what_is_ready() -> None:
    rates = requests_per_s(site())
    control = hpa_rps(site(), HpaRpsSettings(utilization_ratio=0.5))
    starting = snapshot({"prefill.request_rate": 2.4 * rates[PREFILL]}, prefill=PoolState(2, 1))

    assert control(starting, {}, 0.0)[PREFILL] == 5


def test_a_prefill_replica_serves_as_many_requests_as_fit_into_a_second() -> None:
    prompt_s = ENGINE.prefill.request_ms(2000.0) / 1e3

    assert requests_per_s(site())[PREFILL] == pytest.approx(1 / prompt_s)
    assert requests_per_s(site(uncached_ratio=0.5))[PREFILL] > 1.5 / prompt_s


def test_a_decode_replica_serves_no_more_requests_than_its_link_carries() -> None:
    slow = requests_per_s(site(link_bytes_per_s=1e9))

    assert slow[DECODE] == pytest.approx(1e9 / (2000.0 * ENGINE.kv_bytes_per_token))
    assert slow[PREFILL] == requests_per_s(site())[PREFILL]


def test_keda_divides_pool_sums_by_its_thresholds() -> None:
    control = keda(site(), KedaSettings(queue_threshold=1.0, running_threshold=16.0))

    # 5 waiting over 1; 40 running over 16.
    busy = snapshot({"prefill.queue_depth": 5.0, "decode.running": 40.0})
    assert control(busy, {}, 0.0) == {PREFILL: 5, DECODE: 3}


def test_to_keda_a_dead_scrape_looks_idle() -> None:
    control, memory = keda(site(), KedaSettings()), Memory()
    blind = snapshot(every(Missing.ABSENT), prefill=6, decode=6)

    assert control(blind, memory, 0.0) == {PREFILL: 6, DECODE: 6}
    assert control(blind, memory, 299.0) == {PREFILL: 6, DECODE: 6}
    assert control(blind, memory, 300.0) == {PREFILL: 1, DECODE: 1}


def test_hpa_holds_on_a_dead_scrape() -> None:
    control, memory = hpa(site(), HpaSettings()), Memory()

    for at_s in (0.0, 400.0):
        assert control(snapshot(every(Missing.ABSENT), prefill=6, decode=6), memory, at_s) == {PREFILL: 6, DECODE: 6}


def test_cached_metrics_of_keda_are_as_old_as_the_last_poll() -> None:
    control, memory = keda(site(), KedaSettings(use_cached_metrics=True, polling_s=30.0)), Memory()
    control(snapshot({"prefill.queue_depth": 2.0}), memory, 0.0)
    crowded = snapshot({"prefill.queue_depth": 9.0})

    assert control(crowded, memory, 15.0)[PREFILL] == 2
    assert control(crowded, memory, 30.0)[PREFILL] > 2
