"""The wait that the formula says, against the simulator: what queueing adds to TTFT.

Prompts have exponential lengths and go to the replica with the fewest outstanding tokens; a replica prefills in chunks
of an eighth of the mean prompt, or as many prompts in a pass as fit. Arrivals are Poisson, or bursty with gaps of a
squared coefficient of variation of 4.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from autoscaler.core.capacity import DecodeStep, EngineModel, PrefillTime
from autoscaler.core.engines import find_engine
from autoscaler.core.passes import full_pass
from autoscaler.core.policy import LatencyObjective, Objectives, Role
from autoscaler.core.prompts import Prompts
from autoscaler.core.queueing import share_waiting_longer
from autoscaler.simulation.config import PoolConfig, ServiceConfig, TransferConfig
from autoscaler.simulation.static import run_static
from autoscaler.simulation.traces import Trace
from tests.support.queueing import highest_utilization, wait_quantile_s

MEAN_TOKENS = 4000
ENGINE = EngineModel(
    PrefillTime(0.0, 0.05, 0.0),
    DecodeStep(1.0, 0.001, 1e-6),
    kv_capacity_tokens=1e9,
    max_sequences=100_000,
    max_batched_tokens=MEAN_TOKENS // 8,
)
DENSE = find_engine("llama-3.1-70b", "h100", 4)[1]
EXPERTS = find_engine("deepseek-r1", "h200", 8)[1]
OBJECTIVES = Objectives(LatencyObjective(0.95, 2.0), LatencyObjective(0.95, 0.1), 0.95)
POISSON, BURSTY = 1.0, 4.0
# The tail of a busy queue settles slowly.
REQUESTS = {0.3: 40_000, 0.6: 40_000, 0.9: 400_000}


def gaps(scv: float, count: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Gaps of mean 1: exponential, or hyperexponential with balanced means."""
    share = (1 + np.sqrt((scv - 1) / (scv + 1))) / 2
    rates = np.where(random.random(count) < share, 2 * share, 2 * (1 - share))
    found: NDArray[np.float64] = random.exponential(1.0, count) / rates
    return np.asarray(found / found.mean())


def prefill_done_s(
    engine: EngineModel, servers: int, arrival_s: NDArray[np.float64], tokens: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Simulated time from arrival to the end of prefill, shape (requests,); nothing behind prefill holds it up."""
    models = {Role.PREFILL: engine, Role.DECODE: ENGINE}
    pools = {role: PoolConfig(model, link_bytes_per_s=1e18) for role, model in models.items()}
    config = ServiceConfig("queue", pools, OBJECTIVES, transfer=TransferConfig(setup_s=0.0, lease_s=1e9))
    trace = Trace.of(arrival_s, tokens, 1)
    parts_s = run_static(config, trace, {Role.PREFILL: servers, Role.DECODE: 1}).requests.parts_s
    return np.asarray(parts_s["prefill_queue"] + parts_s["prefill"])


def simulated_wait_s(servers: int, utilization: float, arrival_scv: float) -> tuple[float, float, float]:
    """p95 of what queueing adds; mean and squared coefficient of variation of the service times."""
    random = np.random.default_rng(5)
    count = REQUESTS[utilization]
    tokens = np.maximum(random.exponential(MEAN_TOKENS, count).astype(int), 1)
    service_s = ENGINE.prefill.b_ms_per_token * tokens / 1e3
    arrival_s = np.cumsum(gaps(arrival_scv, count, random)) * service_s.mean() / (utilization * servers)
    added_s = prefill_done_s(ENGINE, servers, arrival_s, tokens) - service_s
    scv = float((service_s.std() / service_s.mean()) ** 2)
    return float(np.quantile(added_s[count // 10 :], 0.95)), float(service_s.mean()), scv


@pytest.mark.parametrize("arrival_scv", [POISSON, BURSTY], ids=["poisson", "bursty"])
@pytest.mark.parametrize("utilization", REQUESTS)
@pytest.mark.parametrize("servers", [1, 4, 32])
def test_the_formula_is_within_15_percent_of_the_simulated_wait(
    servers: int, utilization: float, arrival_scv: float
) -> None:
    simulated_s, service_s, service_scv = simulated_wait_s(servers, utilization, arrival_scv)

    wait_s = wait_quantile_s(servers, utilization, service_s, 0.95, (arrival_scv + service_scv) / 2, service_scv)

    assert wait_s == pytest.approx(simulated_s, rel=0.15, abs=0.05 * service_s)


@pytest.mark.parametrize("servers", [2, 4, 8])
@pytest.mark.parametrize("utilization", [0.5, 0.7])
def test_who_waits_behind_prompts_of_a_long_tail_is_told_within_a_factor_of_two(
    servers: int, utilization: float
) -> None:
    random = np.random.default_rng(5)
    count, wait_s = 100_000, 4.0 * ENGINE.prefill.request_ms(MEAN_TOKENS) / 1e3
    lengths = np.where(random.random(count) < 0.9, random.gamma(1.0, 1000.0, count), random.exponential(31_000, count))
    tokens = np.maximum(lengths.astype(int), 1)
    service_s = ENGINE.prefill.b_ms_per_token * tokens / 1e3
    mean_s, scv = float(service_s.mean()), float((service_s.std() / service_s.mean()) ** 2)
    arrival_s = np.cumsum(random.exponential(mean_s / (utilization * servers), count))
    waited_s = prefill_done_s(ENGINE, servers, arrival_s, tokens) - service_s
    simulated = float(np.mean(waited_s[count // 10 :] > wait_s))

    told = share_waiting_longer(servers, utilization, mean_s, wait_s, (POISSON + scv) / 2, scv)
    as_exponential = share_waiting_longer(servers, utilization, mean_s, wait_s)

    assert scv > 6.0
    assert simulated / 2 < told < simulated * 2
    assert as_exponential < simulated / 3


def share_too_late(engine: EngineModel, servers: int, rate: float, mean_tokens: int, target_s: float) -> float:
    """Share of simulated requests whose prefill ends later than the target after their arrival."""
    random = np.random.default_rng(5)
    count = 60_000
    tokens = np.maximum(random.exponential(mean_tokens, count).astype(int), 1)
    arrival_s = np.cumsum(random.exponential(1 / rate, count))
    done_s = prefill_done_s(engine, servers, arrival_s, tokens)
    return float(np.mean(done_s[count // 10 :] > target_s))


@pytest.mark.parametrize("engine", [DENSE, EXPERTS], ids=["dense", "experts"])
@pytest.mark.parametrize("mean_tokens", [260, 1600])
@pytest.mark.parametrize("servers", [1, 4, 8])
@pytest.mark.parametrize("target_s", [1.0, 2.0])
def test_full_passes_tell_what_a_pool_can_take(
    engine: EngineModel, mean_tokens: int, servers: int, target_s: float
) -> None:
    full = full_pass(Prompts(1.0, 1.0, mean_tokens, squares_ratio=2.0), engine, target_s)
    busy = highest_utilization(
        servers, full.service_s, target_s - engine.prefill.request_ms(mean_tokens) / 1e3, 0.95, variability=1.1
    )
    rate = busy * servers / full.service_s

    assert share_too_late(engine, servers, 0.95 * rate, mean_tokens, target_s) <= 0.05
    assert share_too_late(engine, servers, 1.35 * rate, mean_tokens, target_s) > 0.05
