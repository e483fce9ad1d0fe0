"""What docs/capacity-model.md claims about the formulas."""

from __future__ import annotations

import csv
import gzip
import heapq
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from autoscaler.core.engines import ENGINES, find_engine
from autoscaler.core.queueing import highest_utilization

TEXT = (Path(__file__).parents[2] / "docs" / "capacity-model.md").read_text(encoding="utf-8")
BUDGET_S = 1.8
ASSUMED_VARIABILITY = 1.5
REQUESTS = 250_000  # the tail of a busy queue settles slowly


@pytest.fixture(scope="module")
def service_s() -> NDArray[np.float64]:
    """Prefill times of the prompts of Azure's conversation trace, on a 70B."""
    engine = find_engine("llama-3.1-70b", "h100", 4)[1]
    packed = files("autoscaler.simulation").joinpath("data/azure2023_conv.csv.gz").read_bytes()
    rows = csv.DictReader(gzip.decompress(packed).decode().splitlines())
    return np.array([engine.prefill.request_ms(float(row["input_tokens"])) / 1e3 for row in rows])


def simulated_waits(servers: int, busy: float, service_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Waits of Poisson arrivals in one queue in front of some servers."""
    random = np.random.default_rng(7)
    services = random.choice(service_s, REQUESTS)
    gaps = random.exponential(service_s.mean() / (busy * servers), REQUESTS)
    free, now, waits = [0.0] * servers, 0.0, []
    for gap, service in zip(gaps, services, strict=True):
        now += gap
        begun = max(now, heapq.heappop(free))
        waits.append(begun - now)
        heapq.heappush(free, begun + service)
    return np.array(waits[REQUESTS // 20 :])


def true_variability(service_s: NDArray[np.float64]) -> float:
    return float((1 + (service_s.std() / service_s.mean()) ** 2) / 2)


@pytest.mark.parametrize("servers", [1, 4])
@pytest.mark.parametrize("share", [0.95, 0.99])
def test_the_default_variability_keeps_the_promised_share(
    service_s: NDArray[np.float64], servers: int, share: float
) -> None:
    busy = highest_utilization(servers, service_s.mean(), BUDGET_S, share, ASSUMED_VARIABILITY)

    waits = simulated_waits(servers, busy, service_s)

    assert (waits <= BUDGET_S).mean() >= share
    assert 0.45 <= np.quantile(waits, share) / BUDGET_S <= 0.65


@pytest.mark.parametrize("servers", [1, 4])
@pytest.mark.parametrize("share", [0.95, 0.99])
def test_with_the_true_variability_the_formula_is_right_within_a_fifth(
    service_s: NDArray[np.float64], servers: int, share: float
) -> None:
    variability = true_variability(service_s)
    busy = highest_utilization(servers, service_s.mean(), BUDGET_S, share, variability)

    wait_s = np.quantile(simulated_waits(servers, busy, service_s), share)

    assert variability == pytest.approx(0.86, abs=0.01)
    assert 0.8 <= wait_s / BUDGET_S <= 1.1


def test_the_page_has_every_built_in_engine() -> None:
    for key, engine in ENGINES.items():
        a_ms, b_ms, _ = engine.prefill.terms_ms(1.0)
        row = f"| {key.model} {key.precision} | {key.tensor_parallel} {key.gpu} | {a_ms:.1f} | {b_ms * 1e3:.1f} |"
        assert row in TEXT


def test_the_page_says_how_busy_a_pool_may_be(service_s: NDArray[np.float64]) -> None:
    one, four = (
        highest_utilization(servers, service_s.mean(), BUDGET_S, 0.99, ASSUMED_VARIABILITY) for servers in (1, 4)
    )

    assert f"one replica {one:.0%}, four {four:.0%}".replace("%", " %") in " ".join(TEXT.split())
