"""What docs/capacity-model.md claims about the formulas."""

from __future__ import annotations

import csv
import gzip
import heapq
import math
import re
from importlib.resources import files
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from numpy.typing import NDArray

from autoscaler.core import headroom
from autoscaler.core.arrangement import Load, compare
from autoscaler.core.capacity import kv_setpoint_ratio
from autoscaler.core.decide import decide
from autoscaler.core.engines import ENGINES, find_engine
from autoscaler.core.learn import excess_ratio
from autoscaler.core.policy import LatencyObjective, Objectives, Role
from autoscaler.core.queueing import servers_for
from autoscaler.core.roles.staffing import reserve_ratio
from autoscaler.core.state import State
from tests.support.core import OBJECTIVES, START_S, service_policy, snapshot, with_unspent
from tests.support.queueing import highest_utilization

TEXT = (Path(__file__).parents[2] / "docs" / "capacity-model.md").read_text(encoding="utf-8")
BUDGET_S = 1.8
TPOTS_MS = (25, 40, 60, 100)
DERATING = 1.10
VARIABILITY = float(re.findall(r"sized with `ca\^2` = ([\d.]+),", TEXT)[0])
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
    busy = highest_utilization(servers, service_s.mean(), BUDGET_S, share, VARIABILITY)

    waits = simulated_waits(servers, busy, service_s)

    assert (waits <= BUDGET_S).mean() >= share
    lowest, highest = map(float, re.findall(r"([\d.]+) to ([\d.]+) of it with\s", TEXT)[0])
    assert lowest - 0.005 <= np.quantile(waits, share) / BUDGET_S <= highest + 0.005


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


def arrangement_rows() -> list[tuple[tuple[float, float, float], list[tuple[float, float]]]]:
    """Prompt, answer and cached share, and per TPOT target the measured ratio with that of the formula."""
    rows = []
    for prompt, answer, cached, cells in re.findall(
        r"^\| (\d+) / (\d+)(?:, (\d+) % cached)? \|(.+)\|$", TEXT, re.MULTILINE
    ):
        pairs = re.findall(r"([\d.]+) \(([\d.]+)\)", cells)
        shape = (float(prompt), float(answer), float(cached or 0) / 100)
        rows.append((shape, [(float(measured), float(ours)) for measured, ours in pairs]))
    return rows


def formula(shape: tuple[float, float, float], tpot_ms: float) -> float:
    prompt, answer, cached = shape
    engine = find_engine("llama-3.1-70b", "h100", 4)[1]
    objectives = Objectives(LatencyObjective(0.95, 2.0), LatencyObjective(0.95, tpot_ms / 1e3), 0.99)
    load = Load(1000.0, prompt, prompt * (1 - cached), answer)
    return compare(engine, engine, (4.0, 4.0), load, objectives).advantage_ratio / DERATING


def test_the_table_of_apart_and_together_shows_what_the_formula_gives() -> None:
    rows = arrangement_rows()

    assert len(rows) == 7
    for shape, pairs in rows:
        for tpot_ms, (_, ours) in zip(TPOTS_MS, pairs, strict=True):
            assert formula(shape, tpot_ms) == pytest.approx(ours, abs=0.006), (shape, tpot_ms)


def test_the_page_says_how_far_formula_and_kernel_tables_differ() -> None:
    errors = [abs(ours / measured - 1) for _, pairs in arrangement_rows() for measured, ours in pairs]

    assert f"{fmean(errors):.0%} on average and by {max(errors):.0%} at most".replace("%", " %") in " ".join(
        TEXT.split()
    )


def test_the_page_says_how_variable_arrivals_and_prompts_are_taken_to_be() -> None:
    decision, _ = decide(service_policy(), snapshot(), State(), START_S)

    numbers = decision.roles[Role.PREFILL].stages[0].numbers
    work, service_s, budget_s = numbers["work"] * numbers["margin"], numbers["service_s"], numbers["wait_budget_s"]
    scv = numbers["service_scv"]
    variability = (VARIABILITY + scv) / 2
    need, _ = servers_for([work], service_s, budget_s, 1.0 - OBJECTIVES.attainment_ratio, variability, scv)
    assert numbers["utilization_ratio"] == pytest.approx(work / math.ceil(need))


def test_the_page_says_how_much_load_may_exceed_the_bound() -> None:
    for name, role in (("load that may exceed the bound, prefill", Role.PREFILL), ("the same, decode", Role.DECODE)):
        assert f"| {name} | {excess_ratio(role, 240.0):.0%} at 240 s of startup |".replace("%", " %") in TEXT
    assert f"in inverse proportion, {excess_ratio(Role.DECODE, 1.0):.0%} at most".replace("%", " %") in TEXT
    assert excess_ratio(Role.DECODE, 480.0) == pytest.approx(excess_ratio(Role.DECODE, 240.0) / 2)


@pytest.mark.parametrize(("unspent_ratio", "row"), [(0.0, "nothing, or no"), (0.5, "half"), (1.0, "all")])
def test_the_page_says_how_many_budgets_may_be_planned_to_wait(unspent_ratio: float, row: str) -> None:
    found = re.search(rf"^\| {row}[^|]*\| ([\d.]+)", TEXT, re.MULTILINE)
    assert found is not None
    _, state = decide(service_policy(), snapshot(), State(), START_S)

    decision, _ = decide(service_policy(), snapshot(), with_unspent(state, unspent_ratio), START_S)

    budgets = float(found[1]) * (1.0 - OBJECTIVES.attainment_ratio)
    assert decision.roles[Role.PREFILL].stages[0].numbers["missed_ratio"] == pytest.approx(min(budgets, 0.3))
    assert "30 % of the requests at most" in TEXT


def test_the_page_says_what_is_left_to_spare_after_a_shrink() -> None:
    least = reserve_ratio(10_000)

    assert f"{least:.0%} + {reserve_ratio(2) - least:.0%} / (n-1)²".replace("%", " %") in TEXT


def test_the_page_says_how_far_headroom_goes() -> None:
    assert f"A margin of {headroom.LEAST:.2f} to {headroom.MOST:.2f} multiplies demand." in TEXT


def test_the_page_has_every_built_in_engine_with_all_of_its_constants() -> None:
    for key, engine in ENGINES.items():
        prefill, step = engine.prefill, engine.decode
        constants = (
            f"{prefill.a_ms:.1f} | {prefill.b_ms_per_token * 1e3:.1f} | {prefill.c_ms_per_token2 * 1e6:.2f} | "
            f"{step.d0_ms:.1f} | {step.d1_ms_per_sequence * 1e3:.1f} | {step.d2_ms_per_kv_token * 1e6:.1f} | "
            f"{engine.kv_capacity_tokens / 1e3:.0f} |"
        )
        assert f"| {key.model} {key.precision} | {key.tensor_parallel} {key.gpu} | {constants}" in TEXT


def test_the_page_says_at_which_kv_use_a_step_reaches_the_target() -> None:
    targets_ms, resident_tokens = (20, 25, 30, 40, 50, 100), 1500.0
    rows = re.findall(r"^\| (llama-[\d.]+-\d+b)(?: (\w+))?, (\d) (\w+) \|(.+)\|$", TEXT, re.MULTILINE)

    assert len(rows) == 6
    for model, precision, gpus, gpu, cells in rows:
        engine = find_engine(model, gpu, int(gpus), precision or None)[1]
        ratios = [kv_setpoint_ratio(engine, target_ms / 1e3, resident_tokens) for target_ms in targets_ms]
        ours = ["none" if ratio == 0 else "full" if ratio == 1 else f"{ratio * 100:.0f} %" for ratio in ratios]
        assert [cell.strip() for cell in cells.split("|")] == ours
