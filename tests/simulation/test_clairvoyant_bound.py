"""Costs of known loads: the published row of the bundled trace, and relations that must hold on any."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from autoscaler.core.capacity import DecodeStep, EngineModel
from autoscaler.core.engines import find_engine
from autoscaler.core.policy import LatencyObjective, Objectives, Role
from autoscaler.simulation.clairvoyant.bound import ClairvoyantCost, clairvoyant_cost
from autoscaler.simulation.clairvoyant.work import Limit, work_of
from autoscaler.simulation.config import PoolConfig, ServiceConfig, TransferConfig
from autoscaler.simulation.counters import Floats
from autoscaler.simulation.static import run_static
from autoscaler.simulation.traces import Trace, bundled_trace, poisson
from tests.support.core import ENGINE, OBJECTIVES

PREFILL, DECODE = Role.PREFILL, Role.DECODE
STARTUPS_S = (0.0, 60.0, 240.0, 600.0)


def service(link_bytes_per_s: float = 40e9) -> ServiceConfig:
    pool = PoolConfig(ENGINE, gpus_per_replica=4.0, link_bytes_per_s=link_bytes_per_s)
    objectives = Objectives(LatencyObjective(0.95, 2.0), LatencyObjective(0.95, 0.05), 0.99)
    return ServiceConfig("chat", {PREFILL: pool, DECODE: pool}, objectives, transfer=TransferConfig(setup_s=0.0))


@pytest.fixture(scope="module")
def cost() -> ClairvoyantCost:
    return clairvoyant_cost(service(), bundled_trace(), STARTUPS_S, weight=8.0, links=False)


def test_the_bundled_hour_costs_what_was_published(cost: ClairvoyantCost) -> None:
    assert cost.work_replicas[PREFILL] == pytest.approx(3.45, rel=0.01)
    assert cost.work_replicas[DECODE] == pytest.approx(1.18, rel=0.015)
    assert cost.fluid_gpu_hours == pytest.approx(18.1, rel=0.01)
    assert list(cost.optimum_gpu_hours.values()) == pytest.approx([20.5, 23.8, 26.8, 31.3], rel=0.01)
    assert cost.static_peak_gpu_hours == pytest.approx(39.0, rel=0.01)
    assert cost.static_p99_gpu_hours == pytest.approx(31.2, rel=0.01)


def test_bounds_lie_below_the_estimate_and_that_below_static_peak(cost: ClairvoyantCost) -> None:
    optima = list(cost.optimum_gpu_hours.values())

    assert cost.bound_gpu_hours <= cost.deadline_gpu_hours <= optima[0]
    assert optima == sorted(optima)
    assert optima[0] < cost.static_peak_gpu_hours


def test_requests_that_may_miss_make_it_cheaper(cost: ClairvoyantCost) -> None:
    loose = clairvoyant_cost(service(), bundled_trace(), STARTUPS_S, weight=8.0, links=False, attainment_ratio=0.95)

    assert loose.bound_gpu_hours < cost.bound_gpu_hours
    for startup_s in STARTUPS_S:
        assert loose.optimum_gpu_hours[startup_s] < cost.optimum_gpu_hours[startup_s]


def test_replicas_that_are_needed_before_any_can_have_started_are_ready_in_what_a_run_is_compared_with() -> None:
    steady = poisson(20.0, 600.0, Trace.of(0, 2000, 150), seed=1)

    cost = clairvoyant_cost(service(), steady, (0.0, 60.0, 240.0))
    ready = cost.ready_optimum_gpu_hours

    assert ready[0.0] == cost.optimum_gpu_hours[0.0]
    assert ready[240.0] < cost.optimum_gpu_hours[240.0]
    assert ready[60.0] == pytest.approx(ready[0.0], rel=0.05)


def test_narrow_links_need_replicas_too() -> None:
    narrow = clairvoyant_cost(service(2e9), bundled_trace(), (0.0,), weight=8.0)
    wide = clairvoyant_cost(service(), bundled_trace(), (0.0,), weight=8.0)

    assert narrow.static_peak[DECODE] > wide.static_peak[DECODE]
    assert narrow.optimum_gpu_hours[0.0] > wide.optimum_gpu_hours[0.0]


def test_no_constant_fleet_that_attains_all_costs_less_than_the_bound() -> None:
    trace = poisson(20.0, 60.0, Trace.of(0, 2000, 150), seed=1)
    found = clairvoyant_cost(service(), trace, (0.0,))

    fleets = [
        prefill + 1
        for prefill in range(1, 6)
        if run_static(service(), trace, {PREFILL: prefill, DECODE: 1}).attainment_ratio == 1.0
    ]

    assert 4.0 * min(fleets) * trace.duration_s / 3600.0 >= found.deadline_gpu_hours > 0.0


def test_prefill_work_is_the_engines_own_time() -> None:
    work = work_of(service(), Trace.of([0.0, 1.0], [4000, 4000], [1, 1], [0, 1000]))

    assert work.prefill_s[0] == pytest.approx(ENGINE.prefill.request_ms(4000) / 1e3)
    assert work.prefill_s[1] == pytest.approx(ENGINE.prefill.request_ms(4000, 1000) / 1e3)
    first_step_s, link_s = ENGINE.decode.d0_ms / 1e3, 4000 * 320 * 1024 / 40e9
    assert work.prefill_slack_s[0] == pytest.approx(2.0 - work.prefill_s[0] - link_s - first_step_s)


@pytest.mark.parametrize(
    ("prompt", "output", "limit"),
    [(50, 100, "sequences"), (1000, 200, "sequences"), (80_000, 400, "kv")],
)
def test_a_decoded_token_costs_its_share_of_the_largest_batch(prompt: int, output: int, limit: str) -> None:
    resident = prompt + output / 2
    step = ENGINE.decode
    batch = {"sequences": 256, "kv": np.floor(0.95 * ENGINE.kv_capacity_tokens / resident)}[limit]
    expected_ms = step.step_ms(batch, batch * resident) / batch

    work = work_of(service(), Trace.of(0.0, prompt, output))

    assert expected_ms * batch <= 50.0
    assert work.decode_s[0] == pytest.approx(output * expected_ms / 1e3)


def test_small_batches_of_experts_have_their_own_price() -> None:
    _, experts = find_engine("deepseek-r1", "h200", 8)
    pool = PoolConfig(experts)
    tight = Objectives(LatencyObjective(0.95, 4.0), LatencyObjective(0.95, 0.024), 0.99)
    config = ServiceConfig("r1", {PREFILL: pool, DECODE: pool}, tight)
    assert experts.decode.small_batch is not None
    resident = 1500.0
    # Above 16 sequences a step takes longer than 24 ms, so the small piece is all there is.
    batch = np.floor(experts.decode.small_batch.largest_batch(24.0, resident))

    work = work_of(config, Trace.of(0.0, 1000, 1000))

    assert 1 <= batch <= 16
    expected_ms = experts.decode.small_batch.step_ms(batch, batch * resident) / batch
    assert work.decode_s[0] == pytest.approx(1000 * expected_ms / 1e3)


def test_an_engine_whose_tokens_take_no_time_has_no_decode_work() -> None:
    instant = replace(ENGINE, decode=DecodeStep(d0_ms=0.0, d1_ms_per_sequence=0.0, d2_ms_per_kv_token=0.0))
    pool = PoolConfig(instant)
    config = ServiceConfig("instant", {PREFILL: pool, DECODE: pool}, OBJECTIVES)

    assert work_of(config, Trace.of(0.0, 1000, 100)).decode_s.tolist() == [0.0]


@pytest.mark.parametrize("limit", list(Limit))
def test_the_least_work_by_any_limit_is_never_more(limit: Limit) -> None:
    work, least = work_of(service(), bundled_trace()), work_of(service(), bundled_trace(), least_by=limit)

    assert (least.prefill_s <= work.prefill_s).all()
    assert (least.decode_s <= work.decode_s + 1e-12).all()


def test_a_batch_of_many_short_and_few_long_requests_costs_no_less_than_the_bounds() -> None:
    # Short answers fill the batch by number, long prompts by KV; each step of both pays its fixed time once.
    duration_s = 7200.0
    short_s, long_s = np.arange(0.0, duration_s, 1 / 5.4), np.arange(0.0, duration_s, 1 / 0.36)
    mixed = Trace.of(
        np.concatenate((short_s, long_s)),
        np.repeat([20, 12_000], [short_s.size, long_s.size]),
        np.repeat([1000, 2000], [short_s.size, long_s.size]),
        np.repeat([0, 11_900], [short_s.size, long_s.size]),
        duration_s=duration_s,
    )

    cost = clairvoyant_cost(service(), mixed, ())
    played = run_static(service(), mixed, {PREFILL: 1, DECODE: 1})

    assert played.attainment_ratio == 1.0
    assert cost.bound_gpu_hours <= played.gpu_hours
    assert cost.deadline_gpu_hours <= played.gpu_hours


def test_the_limit_that_costs_most_makes_the_bound() -> None:
    trace = Trace.of(np.arange(0.0, 60.0, 0.5), 60_000, 500, 59_900)
    decode_s = {limit: float(work_of(service(), trace, least_by=limit).decode_s.sum()) for limit in Limit}

    found = clairvoyant_cost(service(), trace, ())

    assert max(decode_s, key=lambda limit: decode_s[limit]) is Limit.KV
    assert found.bound_gpu_hours == pytest.approx(4.0 * (trace.duration_s + decode_s[Limit.KV]) / 3600.0)


def test_an_engine_with_cheaper_small_batches_may_run_every_step_small() -> None:
    _, experts = find_engine("deepseek-r1", "h200", 8)
    plain = replace(experts, decode=replace(experts.decode, small_batch=None, small_batch_max=0))
    trace = Trace.of([0.0, 0.0], [1000, 20_000], [1000, 100])

    def decode_s(engine: EngineModel, limit: Limit) -> Floats:
        pools = dict.fromkeys((PREFILL, DECODE), PoolConfig(engine))
        return work_of(replace(service(), pools=pools), trace, least_by=limit).decode_s

    for limit in Limit:
        assert (decode_s(experts, limit) <= decode_s(plain, limit)).all()
