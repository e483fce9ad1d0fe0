from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import cast

import pytest

from autoscaler.core.policy import LatencyObjective, Objectives, Role
from autoscaler.simulation.baselines.hindsight import best_static, tune
from autoscaler.simulation.baselines.registry import BASELINES
from autoscaler.simulation.baselines.static import StaticSettings, static
from autoscaler.simulation.config import PoolConfig, ServiceConfig, SimulationError
from autoscaler.simulation.results import Results
from autoscaler.simulation.run import Controller, run
from autoscaler.simulation.static import run_static
from autoscaler.simulation.traces import Trace, followed_by, poisson
from tests.simulation.test_baseline_threshold import site
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


@dataclass(frozen=True)
class Outcome:
    attainment_ratio: float
    gpu_hours: float


def outcomes(*pairs: tuple[float, float]) -> object:
    given = iter(pairs)

    def evaluate(controller: Controller) -> Results:
        del controller
        return cast("Results", Outcome(*next(given)))

    return evaluate


def test_tuning_takes_the_cheapest_settings_that_attain_enough() -> None:
    baseline = BASELINES["hpa"]
    evaluate = outcomes((0.98, 10.0), (0.995, 30.0), (0.991, 20.0), (0.999, 40.0))

    tuned = tune(baseline, site(), evaluate, 0.99)  # type: ignore[arg-type]  # outcomes stand for results

    assert tuned.settings == baseline.settings[2]


def test_tuning_takes_the_best_settings_if_none_attain_enough() -> None:
    baseline = BASELINES["hpa"]
    evaluate = outcomes((0.5, 10.0), (0.8, 30.0), (0.7, 20.0), (0.6, 40.0))

    tuned = tune(baseline, site(), evaluate, 0.99)  # type: ignore[arg-type]  # outcomes stand for results

    assert tuned.settings == baseline.settings[1]


def test_tuning_plays_the_trace_for_each_of_the_settings() -> None:
    config, trace = service(), poisson(5.0, 30.0, Trace.of(0, 500, 20), seed=3)

    tuned = tune(BASELINES["wva-v1"], site(), lambda controller: run(controller, config, trace), 0.9)

    assert tuned.results.finished == len(trace)
