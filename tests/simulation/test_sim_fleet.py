"""Replicas that come, go, die and find no room, and the requests that they hold."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from autoscaler.core.policy import Role
from autoscaler.simulation.config import Lost, Removal, SimulationError
from autoscaler.simulation.counters import ReplicaPhase
from autoscaler.simulation.faults import MonitoringOutage, NoRoom, ReplicaDeath
from autoscaler.simulation.service import Service
from autoscaler.simulation.traces import Trace
from tests.simulation.services import ENGINE, played, pool, split, together

NOTHING = Trace.of([], [], [], duration_s=1000.0)


def phases(service: Service, role: Role = Role.PREFILL) -> list[str]:
    return [pod.phase.value for pod in service.pods() if pod.role is role]


def test_a_new_replica_serves_after_its_startup_time() -> None:
    service = Service(split(), NOTHING)
    service.advance_to(10.0)
    service.scale(Role.PREFILL, 2)

    service.advance_to(69.9)
    before = service.snapshot(69.9).pools[Role.PREFILL]
    service.advance_to(70.0)
    after = service.snapshot(70.0).pools[Role.PREFILL]

    assert (before.current, before.ready, before.startup_times_s) == (2, 1, ())
    assert (after.current, after.ready, after.startup_times_s) == (2, 2, (60.0,))
    assert service.snapshot(70.0).pools[Role.PREFILL].startup_times_s == ()


def test_startup_times_are_lognormal_around_their_mean() -> None:
    service = Service(split(pool(0, startup_time_s=200.0, startup_sigma=0.15)), NOTHING)
    service.scale(Role.PREFILL, 500)
    service.advance_to(1000.0)

    times_s = np.array(service.snapshot(1000.0).pools[Role.PREFILL].startup_times_s)

    assert times_s.mean() == pytest.approx(200.0, rel=0.03)
    assert np.log(times_s).std() == pytest.approx(0.15, rel=0.1)


def test_requests_wait_at_the_gateway_until_a_replica_is_ready() -> None:
    service = Service(split(pool(0)), Trace.of([0.0, 1.0], 100, 5))
    service.scale(Role.PREFILL, 1)

    service.advance_to(59.0)
    waiting = service.unrouted
    service.advance_to(100.0)
    parts_s = service.finish().requests.parts_s

    assert waiting == 2
    assert parts_s["gateway_queue"] == pytest.approx([60.0, 59.0])


def test_prefilled_requests_wait_for_a_decode_replica_to_become_ready() -> None:
    service = Service(split(decode=pool(0)), Trace.of([0.0], 100, 5))
    service.scale(Role.DECODE, 1)
    service.advance_to(100.0)

    parts_s = service.finish().requests.parts_s

    assert parts_s["decode_routing"][0] == pytest.approx(60.0 - 0.1)


def test_a_removed_replica_finishes_what_it_holds_and_gets_nothing_new() -> None:
    service = Service(split(decode=pool(2)), Trace.of([0.0, 0.0, 1.0, 1.0], 10, [1000, 900, 5, 5]))
    service.advance_to(0.5)
    service.scale(Role.DECODE, 1)
    service.advance_to(5.0)
    draining = [pod for pod in service.pods() if pod.phase is ReplicaPhase.DRAINING]
    state = service.snapshot(5.0).pools[Role.DECODE]
    service.advance_to(20.0)

    results = service.finish()

    assert [pod.running for pod in draining] == [1]
    assert (state.current, state.ready, state.terminating) == (1, 1, 1)
    assert results.finished == 4
    assert phases(service, Role.DECODE) == ["ready"]


def test_a_drained_replica_is_removed_and_paid_until_its_last_request_ended() -> None:
    service = Service(split(decode=pool(2, gpus_per_replica=4)), Trace.of([0.0, 0.0], 100, [500, 100]))
    service.advance_to(0.5)
    service.scale(Role.DECODE, 1)  # the less loaded one, or the newest of equals
    service.advance_to(3600.0)

    results = service.finish()

    removed = [span for span in results.replicas if span.removed_s is not None]
    assert [span.removed_s for span in removed] == [pytest.approx(min(results.requests.finish_s), abs=4.0)]
    assert removed[0].removed_s in results.requests.finish_s
    assert removed[0].removed_s is not None
    assert results.gpu_hours_by_role[Role.DECODE] == pytest.approx(4 * (3600 + removed[0].removed_s) / 3600)


def test_a_drain_is_cut_short_after_its_grace_period() -> None:
    service = Service(split(decode=pool(1), drain_grace_s=2.0), Trace.of([0.0], 10, 1000))
    service.advance_to(1.0)
    service.scale(Role.DECODE, 0)
    service.advance_to(20.0)

    results = service.finish()

    assert (results.failed, results.attainment_ratio) == (1, 0.0)
    assert results.requests.finish_s[0] == pytest.approx(3.0)
    assert phases(service, Role.DECODE) == []


def test_a_draining_prefill_replica_keeps_kv_until_it_is_pulled() -> None:
    service = Service(split(decode=pool(0)), Trace.of([0.0], 100, 5))
    service.advance_to(1.0)
    service.scale(Role.PREFILL, 0)
    service.scale(Role.DECODE, 1)
    service.advance_to(60.9)
    while_held = phases(service)
    service.advance_to(70.0)

    assert while_held == ["draining"]
    assert phases(service) == []
    assert service.finish().finished == 1


def test_shrinking_gives_up_replicas_that_are_not_ready_first() -> None:
    service = Service(split(pool(2)), NOTHING)
    service.scale(Role.PREFILL, 4)
    service.advance_to(30.0)
    service.scale(Role.PREFILL, 3)
    service.advance_to(31.0)

    assert phases(service) == ["ready", "ready", "starting"]


@pytest.mark.parametrize(("removal", "left"), [(Removal.LEAST_LOADED, "prefill-1"), (Removal.NEWEST, "prefill-0")])
def test_shrinking_gives_up_the_less_loaded_or_the_newest(removal: Removal, left: str) -> None:
    service = Service(split(removal=removal), Trace.of([60.5, 61.0], [2_000, 9_000], 5))
    service.scale(Role.PREFILL, 2)
    service.advance_to(63.0)
    busy = [pod.name for pod in service.pods() if pod.running]
    service.scale(Role.PREFILL, 1)

    ready = [pod.name for pod in service.pods() if pod.phase is ReplicaPhase.READY and pod.role is Role.PREFILL]
    assert busy == ["prefill-1"]
    assert ready == [left]


def test_gpu_time_is_paid_from_schedule_to_removal_while_starting_too() -> None:
    service = Service(split(pool(1, gpus_per_replica=2)), NOTHING)
    service.advance_to(100.0)
    service.scale(Role.PREFILL, 2)
    service.advance_to(130.0)
    service.scale(Role.PREFILL, 1)
    service.advance_to(200.0)

    assert service.finish().gpu_hours_by_role[Role.PREFILL] == pytest.approx(2 * (200 + 30) / 3600)


def test_a_dead_replica_fails_its_requests_and_is_replaced() -> None:
    service = Service(split(decode=pool(1)), Trace.of([0.0, 70.0], 100, [2000, 5]))
    service.inject(ReplicaDeath(Role.DECODE, 5.0))
    service.advance_to(6.0)
    state = service.snapshot(6.0).pools[Role.DECODE]
    service.advance_to(100.0)

    results = service.finish()

    assert (state.current, state.ready) == (1, 0)
    assert results.requests.failed.tolist() == [True, False]
    assert results.requests.finish_s[0] == 5.0
    assert results.requests.finished.tolist() == [False, True]


def test_a_draining_replica_that_a_death_relieves_is_removed_at_that_time() -> None:
    config = split(pool(2, link_bytes_per_s=1e9), pool(1), removal=Removal.NEWEST)
    service = Service(config, Trace.of([0.0, 0.0], 2000, 5))
    service.advance_to(2.05)  # both transfers are under way
    service.scale(Role.PREFILL, 0)
    service.inject(ReplicaDeath(Role.DECODE, 2.06))
    service.advance_to(10.0)

    removed = [span.removed_s for span in service.finish().replicas if span.role is Role.PREFILL]
    assert removed == [pytest.approx(2.06)] * 2


def test_a_lost_request_starts_again_with_what_it_had_generated() -> None:
    config = split(decode=pool(2), lost=Lost.RETRY)
    service = Service(config, Trace.of([0.0], 100, 101))
    service.inject(ReplicaDeath(Role.DECODE, 0.1 + 0.505))
    service.advance_to(100.0)

    results = service.finish()

    # 50 tokens are out when the replica dies in the 51st step; prompt and those 50 are prefilled anew.
    assert results.requests.retries.tolist() == [1]
    assert results.requests.ttft_s[0] == pytest.approx(0.11)
    assert results.requests.finish_s[0] == pytest.approx(0.605 + 0.150 + 51 * 0.010)


@pytest.mark.parametrize("lost", list(Lost))
def test_kv_held_by_a_dead_prefill_replica_is_lost_with_it(lost: Lost) -> None:
    service = Service(split(pool(2), pool(0), lost=lost), Trace.of([0.0], 100, 5))
    service.inject(ReplicaDeath(Role.PREFILL, 10.0))
    service.advance_to(11.0)
    service.scale(Role.DECODE, 1)
    service.advance_to(100.0)

    results = service.finish()

    assert (results.failed, results.finished) == ((1, 0) if lost is Lost.FAIL else (0, 1))


def test_replicas_beyond_the_cluster_are_unschedulable_until_there_is_room() -> None:
    service = Service(split(pool(2, gpus_per_replica=4), pool(1, gpus_per_replica=4), schedulable_gpus=12), NOTHING)
    service.scale(Role.DECODE, 2)
    service.advance_to(100.0)
    stuck = service.snapshot(100.0).pools[Role.DECODE]
    service.scale(Role.PREFILL, 1)
    service.advance_to(160.0)
    freed = service.snapshot(160.0).pools[Role.DECODE]

    assert (stuck.current, stuck.ready, stuck.unschedulable) == (2, 1, 1)
    assert (freed.ready, freed.unschedulable, freed.startup_times_s) == (2, 0, (160.0,))
    assert service.finish().gpu_hours_by_role[Role.DECODE] == pytest.approx(4 * (160 + 60) / 3600)


def test_a_role_may_have_its_own_limit() -> None:
    service = Service(split(pool(1, schedulable_replicas=2)), NOTHING)
    service.scale(Role.PREFILL, 5)
    service.advance_to(100.0)

    assert phases(service) == ["ready", "ready", "unschedulable", "unschedulable", "unschedulable"]


def test_no_replica_is_scheduled_while_the_cluster_has_no_room() -> None:
    service = Service(split(), NOTHING)
    service.inject(NoRoom(Role.DECODE, at_s=10.0, until_s=500.0))
    service.advance_to(20.0)
    service.scale(Role.DECODE, 2)
    service.advance_to(499.0)
    stuck = service.snapshot(499.0).pools[Role.DECODE]
    service.advance_to(560.0)

    assert (stuck.ready, stuck.unschedulable) == (1, 1)
    assert service.snapshot(560.0).pools[Role.DECODE].ready == 2


def test_more_replicas_than_slots_make_room_for_themselves() -> None:
    trace = Trace.of(np.arange(0.0, 200.0, 0.1), 500, 20)
    service = Service(split(pool(1), pool(2)), trace)
    service.scale(Role.PREFILL, 60)
    service.advance_to(1000.0)

    results = service.finish()

    assert results.finished == 2000
    assert len(phases(service)) == 60
    assert results.requests.parts_s["prefill_queue"][-500:].max() < 0.001


def test_faults_strike_in_the_order_of_their_times() -> None:
    service = Service(split(pool(3)), NOTHING)
    service.inject(ReplicaDeath(Role.PREFILL, 20.0, replicas=2))
    service.inject(NoRoom(Role.PREFILL, 10.0, 200.0))
    service.inject(MonitoringOutage(5.0, 50.0))
    service.advance_to(100.0)

    assert phases(service) == ["ready", "unschedulable", "unschedulable"]


def test_what_the_service_does_not_have_is_refused() -> None:
    service = Service(together(), NOTHING)

    with pytest.raises(SimulationError, match="no prefill pool"):
        service.scale(Role.PREFILL, 1)
    with pytest.raises(SimulationError, match="no decode pool"):
        service.inject(ReplicaDeath(Role.DECODE, 1.0))
    with pytest.raises(SimulationError, match="no prefill pool"):
        service.set_disaggregation(0.0)
    with pytest.raises(SimulationError, match="at least 0"):
        service.scale(Role.AGGREGATED, -1)
    with pytest.raises(SimulationError, match="forward only"):
        service.advance_to(-1.0)


@pytest.mark.parametrize(("threshold", "disaggregated"), [(0.0, 3), (150.0, 2), (250.0, 1), (math.inf, 0)])
def test_the_threshold_decides_which_prompts_are_disaggregated(threshold: float, disaggregated: int) -> None:
    config = split(disaggregate_from_tokens=threshold)

    results = played(config, Trace.of([0.0, 5.0, 10.0], [100, 200, 300], 5)).finish()

    assert results.finished == 3
    assert results.requests.disaggregated.sum() == disaggregated


def test_the_threshold_counts_uncached_tokens() -> None:
    config = split(disaggregate_from_tokens=150.0)

    requests = played(config, Trace.of([0.0, 5.0], 300, 5, [0, 200])).finish().requests

    assert requests.disaggregated.tolist() == [True, False]


def test_the_threshold_can_move_while_requests_wait_for_prefill() -> None:
    service = Service(split(pool(0)), Trace.of([0.0], 100, 5))
    service.advance_to(10.0)
    disaggregated = service.snapshot(10.0).disaggregated
    service.set_disaggregation(math.inf)
    service.advance_to(20.0)

    results = service.finish()

    assert disaggregated is True
    assert service.snapshot(20.0).disaggregated is False
    assert results.finished == 1
    assert results.requests.parts_s["gateway_queue"][0] == pytest.approx(10.0)


def test_short_prompts_go_to_the_aggregated_pool_where_there_is_one() -> None:
    config = split(disaggregate_from_tokens=200.0)
    config = replace(config, pools={**config.pools, Role.AGGREGATED: pool()})

    service = played(config, Trace.of([0.0, 1.0], [100, 300], 5))

    served = {pod.role: pod.request_success_total["stop"] for pod in service.pods()}
    assert served == {Role.PREFILL: 0, Role.DECODE: 1, Role.AGGREGATED: 1}


def test_a_request_that_can_never_fit_is_rejected() -> None:
    engine = replace(ENGINE, kv_capacity_tokens=1600)
    config = split(pool(engine=engine), pool(engine=engine))

    results = played(config, Trace.of([0.0, 0.0, 0.0], [1000, 1500, 1700], [600, 101, 1])).finish()

    assert results.requests.rejected.tolist() == [False, True, True]
    assert (results.finished, results.rejected) == (1, 2)


# Its prefill replicas hold 1,600 tokens where decode replicas hold 16,000.
SMALL = replace(ENGINE, kv_capacity_tokens=1600)


def test_a_prompt_that_waited_for_a_replica_is_not_sent_to_a_prefill_pool_that_can_never_hold_it() -> None:
    config = split(pool(1, SMALL), pool(0), disaggregate_from_tokens=math.inf)
    service = Service(config, Trace.of([0.0, 100.0], [3000, 100], 10))
    service.advance_to(1.0)
    service.set_disaggregation(0.0)
    service.scale(Role.DECODE, 1)
    service.advance_to(200.0)

    requests = service.finish().requests

    assert requests.finished.tolist() == [True, True]
    assert requests.disaggregated.tolist() == [False, True]


def test_a_retried_request_that_outgrew_the_prefill_pool_is_prefilled_where_it_decodes() -> None:
    config = split(pool(1, SMALL), pool(2), lost=Lost.RETRY)
    service = Service(config, Trace.of([0.0, 100.0], [1590, 100], [5000, 10]))
    service.inject(ReplicaDeath(Role.DECODE, 20.0))
    service.advance_to(500.0)

    requests = service.finish().requests

    assert requests.retries.tolist() == [1, 0]
    assert requests.finished.tolist() == [True, True]


def test_a_request_that_waited_is_rejected_when_its_only_way_is_closed() -> None:
    config = split(prefill=pool(0))
    service = Service(replace(config, pools={**config.pools, Role.AGGREGATED: pool(1, SMALL)}), Trace.of(0.0, 3000, 10))
    service.advance_to(10.0)
    waiting = service.unrouted
    service.set_disaggregation(math.inf)

    results = service.finish()

    assert waiting == 1
    assert (results.rejected, results.unfinished) == (1, 0)
    assert results.requests.finish_s.tolist() == [10.0]


def test_a_pool_that_a_request_does_not_use_need_not_hold_it() -> None:
    config = split()
    config = replace(config, pools={**config.pools, Role.AGGREGATED: pool(1, SMALL)})

    requests = played(config, Trace.of(0.0, 3000, 10)).finish().requests

    assert requests.finished.tolist() == [True]
    assert requests.disaggregated.tolist() == [True]
