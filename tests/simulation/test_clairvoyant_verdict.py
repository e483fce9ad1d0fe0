from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from autoscaler.core.policy import LatencyObjective, Objectives, Role
from autoscaler.core.snapshot import Snapshot
from autoscaler.simulation.baselines.static import StaticSettings, static
from autoscaler.simulation.clairvoyant.verdict import attains, misses_allowed
from autoscaler.simulation.config import PoolConfig, ServiceConfig
from autoscaler.simulation.run import Memory, run
from autoscaler.simulation.traces import Trace, poisson
from tests.support.core import ENGINE

PREFILL, DECODE = Role.PREFILL, Role.DECODE
TRACE = poisson(20.0, 120.0, Trace.of(0, 2000, 60), seed=1)


def service(prefill: int) -> ServiceConfig:
    objectives = Objectives(LatencyObjective(0.95, 2.0), LatencyObjective(0.95, 0.05), 0.99)
    pool = PoolConfig(ENGINE, gpus_per_replica=4.0)
    return ServiceConfig("chat", {PREFILL: replace(pool, replicas=prefill), DECODE: pool}, objectives)


@pytest.mark.parametrize("prefill", [1, 2, 3, 4])
@pytest.mark.parametrize("attainment_ratio", [0.2, 0.9, 0.99])
def test_the_verdict_is_that_of_a_whole_run(prefill: int, attainment_ratio: float) -> None:
    config, control = service(prefill), static(StaticSettings(prefill, 1))

    verdict = attains(config, TRACE, control, attainment_ratio=attainment_ratio)

    assert verdict == (run(control, config, TRACE).attainment_ratio >= attainment_ratio)


def test_a_hopeless_run_is_not_played_to_its_end() -> None:
    seen_s: list[float] = []

    def recorded(now: Snapshot, memory: Memory, now_s: float) -> Mapping[Role, int]:
        seen_s.append(now_s)
        return static(StaticSettings(1, 1))(now, memory, now_s)

    assert not attains(service(1), TRACE, recorded, attainment_ratio=0.99)
    assert max(seen_s) < TRACE.duration_s


def test_a_share_becomes_whole_requests() -> None:
    ten = Trace.of(list(range(10)), 100, 10)

    assert [misses_allowed(ten, ratio) for ratio in (1.0, 0.95, 0.9, 0.7)] == [0, 0, 1, 3]
