from __future__ import annotations

import pytest

from autoscaler.core.engines import find_engine
from autoscaler.core.policy import LatencyObjective, Objectives, Role
from autoscaler.simulation.config import PoolConfig, ServiceConfig
from autoscaler.simulation.service import Service
from autoscaler.simulation.traces import Trace, poisson
from autoscaler.targets.base import Outcome
from autoscaler.targets.simulated import SimulatedTarget

STARTUP_S = 100.0


@pytest.fixture
def service() -> Service:
    _, engine = find_engine("llama-3.1-70b", "h100", 4)
    pool = PoolConfig(engine, replicas=2, startup_time_s=STARTUP_S, startup_sigma=0.0)
    objectives = Objectives(LatencyObjective(0.95, 2.0), LatencyObjective(0.95, 0.05), 0.99)
    config = ServiceConfig("chat", {Role.PREFILL: pool, Role.DECODE: pool}, objectives)
    return Service(config, poisson(5.0, 600.0, Trace.of(0, 1000, 200), seed=1))


def test_a_write_is_what_the_next_read_finds(service: Service) -> None:
    target = SimulatedTarget(service)

    written = target.write(Role.PREFILL, 5, basis=target.read().basis[Role.PREFILL], dry_run=False)

    assert written.outcome is Outcome.APPLIED
    assert target.read().pools[Role.PREFILL].current == 5
    assert target.read().pools[Role.DECODE].current == 2


def test_new_replicas_are_ready_after_their_startup_time(service: Service) -> None:
    target = SimulatedTarget(service)
    target.write(Role.DECODE, 3, basis="2", dry_run=False)

    service.advance_to(STARTUP_S - 1)
    starting = target.read().pools[Role.DECODE]
    service.advance_to(STARTUP_S + 1)
    started = target.read().pools[Role.DECODE]

    assert (starting.ready, starting.starting) == (2, 1)
    assert (started.ready, started.starting) == (3, 0)
    assert started.startup_times_s == (STARTUP_S,)


def test_a_number_that_was_changed_meanwhile_is_not_overwritten(service: Service) -> None:
    target = SimulatedTarget(service)
    basis = target.read().basis[Role.PREFILL]
    service.scale(Role.PREFILL, 4)

    written = target.write(Role.PREFILL, 3, basis=basis, dry_run=False)

    assert written.outcome is Outcome.CONFLICT
    assert "4 replicas" in written.message
    assert service.desired[Role.PREFILL] == 4


def test_a_dry_run_changes_nothing(service: Service) -> None:
    written = SimulatedTarget(service).write(Role.PREFILL, 9, basis="2", dry_run=True)

    assert written.outcome is Outcome.DRY_RUN
    assert service.desired[Role.PREFILL] == 2


def test_a_pool_that_does_not_exist_is_missing(service: Service) -> None:
    written = SimulatedTarget(service).write(Role.AGGREGATED, 1, basis="", dry_run=False)

    assert written.outcome is Outcome.MISSING
