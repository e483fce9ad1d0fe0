from __future__ import annotations

import pytest

from autoscaler.core.engines import find_engine
from autoscaler.core.policy import LatencyObjective, Objectives, Role
from autoscaler.simulation.config import PoolConfig, ServiceConfig, SimulationError
from autoscaler.simulation.static import run_static, smallest_static_fleet
from autoscaler.simulation.traces import Trace, poisson

PREFILL, DECODE = Role.PREFILL, Role.DECODE


def service(ttft_s: float = 2.0) -> ServiceConfig:
    _, engine = find_engine("llama-3.1-70b", "h100", 4)
    objectives = Objectives(LatencyObjective(0.95, ttft_s), LatencyObjective(0.95, 0.05), 0.99)
    pool = PoolConfig(engine, gpus_per_replica=4.0)
    return ServiceConfig("chat", {PREFILL: pool, DECODE: pool}, objectives)


def load(rate_per_s: float, duration_s: float = 120.0) -> Trace:
    return poisson(rate_per_s, duration_s, Trace.of(0, 2000, 50), seed=1)


@pytest.mark.parametrize("start", [{PREFILL: 1, DECODE: 1}, {PREFILL: 6, DECODE: 4}])
def test_the_fleet_suffices_and_none_smaller_by_one_replica_does(start: dict[Role, int]) -> None:
    config, trace = service(), load(15.0)

    found = smallest_static_fleet(config, trace, start=start)

    assert found.results.worst_5min_ratio >= 0.99
    for role, count in found.replicas.items():
        if count > 1:
            fewer = run_static(config, trace, {**found.replicas, role: count - 1})
            assert fewer.worst_5min_ratio < 0.99


def test_a_fleet_costs_its_replicas_until_the_last_request_is_settled() -> None:
    trace = load(1.0)
    results = run_static(service(), trace, {PREFILL: 2, DECODE: 1})

    assert results.unfinished == 0
    assert results.duration_s == pytest.approx(trace.duration_s, abs=15.0)
    assert results.gpu_hours == pytest.approx(3 * 4 * results.duration_s / 3600.0)
    assert results.actions == ()


def test_answers_that_outlast_the_trace_by_minutes_are_waited_for() -> None:
    long_answers = Trace.of([0.0, 60.0], 1000, 20_000)

    results = run_static(service(), long_answers, {PREFILL: 1, DECODE: 1})

    assert results.duration_s > long_answers.duration_s + 120.0
    assert (results.finished, results.attainment_ratio) == (2, 1.0)


def test_replica_counts_of_the_configuration_do_not_matter() -> None:
    config = service()
    larger = config.starting_with(dict.fromkeys(config.pools, 9))

    assert run_static(larger, load(1.0), {PREFILL: 1, DECODE: 1}).gpu_hours == pytest.approx(
        run_static(config, load(1.0), {PREFILL: 1, DECODE: 1}).gpu_hours
    )


def test_an_objective_that_no_fleet_can_keep_is_told() -> None:
    with pytest.raises(SimulationError, match=r"still miss the objectives of chat.*TTFT 0\.001 s"):
        smallest_static_fleet(service(ttft_s=0.001), load(0.1), start={PREFILL: 257, DECODE: 1})
