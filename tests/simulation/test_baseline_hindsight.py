from __future__ import annotations

from itertools import product

import pytest

from autoscaler.core.policy import LatencyObjective, Objectives, Role
from autoscaler.simulation.baselines.hindsight import best_static
from autoscaler.simulation.baselines.static import StaticSettings, static
from autoscaler.simulation.config import PoolConfig, ServiceConfig, SimulationError
from autoscaler.simulation.static import run_static
from autoscaler.simulation.traces import Trace, followed_by, poisson
from tests.support.core import ENGINE, snapshot

PREFILL, DECODE = Role.PREFILL, Role.DECODE


def service(ttft_s: float = 2.0, decode_gpus: float = 4.0) -> ServiceConfig:
    objectives = Objectives(LatencyObjective(0.95, ttft_s), LatencyObjective(0.95, 0.05), 0.99)
    pools = {PREFILL: PoolConfig(ENGINE, 1, 4.0), DECODE: PoolConfig(ENGINE, 1, decode_gpus)}
    return ServiceConfig("chat", pools, objectives)


def load() -> Trace:
    one = Trace.of(0, 2000, 150)
    return followed_by(poisson(10.0, 60.0, one, seed=1), poisson(26.0, 60.0, one, seed=2))


def test_the_fleet_found_is_the_cheapest_that_attains_enough() -> None:
    config, trace = service(), load()
    enough = [
        (prefill + decode, (prefill, decode))
        for prefill, decode in product(range(1, 7), range(1, 4))
        if run_static(config, trace, {PREFILL: prefill, DECODE: decode}).attainment_ratio >= 0.99
    ]

    found = best_static(config, trace, attainment_ratio=0.99, most=(8, 4))

    assert sum(found.fleet) == min(enough)[0]
    assert found.results.attainment_ratio >= 0.99
    assert found.runs < 12


def test_a_dear_role_is_spared_first() -> None:
    found = best_static(service(decode_gpus=40.0), load(), attainment_ratio=0.99, most=(8, 4))

    assert found.fleet[1] <= best_static(service(), load(), attainment_ratio=0.99, most=(8, 4)).fleet[1]


def test_a_lower_attainment_needs_no_more() -> None:
    strict = best_static(service(), load(), attainment_ratio=0.99, most=(8, 4))
    loose = best_static(service(), load(), attainment_ratio=0.6, most=(8, 4))

    assert sum(loose.fleet) < sum(strict.fleet)


def test_a_fleet_that_is_never_enough_is_told() -> None:
    with pytest.raises(SimulationError, match="2 prefill and 1 decode replicas attain less"):
        best_static(service(ttft_s=0.05), load(), attainment_ratio=0.99, most=(2, 1))


def test_static_ignores_what_it_sees() -> None:
    control = static(StaticSettings(prefill=3, decode=2))

    assert control(snapshot({"prefill.queue_depth": 900.0}), {}, 0.0) == {PREFILL: 3, DECODE: 2}
