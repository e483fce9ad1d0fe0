from __future__ import annotations

import math
from dataclasses import replace
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.arrangement import Comparison, Load, compare, mixed_point
from autoscaler.core.policy import LatencyObjective, Objectives
from tests.support.core import ENGINE, OBJECTIVES

TPOTS_MS = (25, 40, 60, 100)
# docs/capacity-model.md: throughput per GPU, disaggregated over aggregated, of a 70B on 64 H100 by measured kernel
# tables; prompt, output, cached share.
MEASURED = {
    (300, 200, 0.0): (1.08, 0.88, 0.85, 0.80),
    (1400, 210, 0.0): (1.28, 1.14, 0.99, 0.92),
    (4000, 200, 0.0): (1.42, 1.07, 0.91, 0.84),
    (8000, 200, 0.0): (1.42, 1.13, 1.04, 0.87),
    (1300, 1500, 0.0): (1.02, 0.89, 0.91, 0.91),
    (2500, 20, 0.0): (2.55, 1.24, 1.24, 0.96),
    (12_000, 340, 0.37): (1.54, 1.20, 1.04, 0.92),
}
# Rate-matching losses that the tables take off the disaggregated side.
DERATING = 1.10


def objectives(tpot_ms: float, ttft_s: float = 2.0) -> Objectives:
    return replace(OBJECTIVES, ttft=LatencyObjective(0.95, ttft_s), tpot=LatencyObjective(0.95, tpot_ms / 1e3))


def compared(
    prompt: float, output: float, cached: float, tpot_ms: float, rate: float = 1000.0, ttft_s: float = 2.0
) -> Comparison:
    load = Load(rate, prompt, prompt * (1.0 - cached), output)
    return compare(ENGINE, ENGINE, (4.0, 4.0), load, objectives(tpot_ms, ttft_s))


def test_the_comparison_agrees_with_measured_tables_within_the_dead_zone_on_average() -> None:
    errors = [
        abs(compared(*shape, tpot_ms).advantage_ratio / DERATING / ratio - 1.0)
        for shape, row in MEASURED.items()
        for tpot_ms, ratio in zip(TPOTS_MS, row, strict=True)
    ]

    assert fmean(errors) < 0.15


@pytest.mark.parametrize("shape", MEASURED)
def test_apart_pays_more_the_tighter_the_tpot(shape: tuple[float, float, float]) -> None:
    ratios = [compared(*shape, tpot_ms).advantage_ratio for tpot_ms in TPOTS_MS]

    assert ratios == sorted(ratios, reverse=True)


def test_apart_pays_for_long_prompts_at_a_tight_tpot_and_together_for_chat_at_a_loose_one() -> None:
    assert compared(8000, 200, 0.0, 25).advantage_ratio > 1.15
    assert compared(300, 200, 0.0, 100).advantage_ratio < 1 / 1.15


def test_a_small_service_pays_more_for_two_margins() -> None:
    assert compared(4000, 200, 0.0, 40, rate=1.0).advantage_ratio < compared(4000, 200, 0.0, 40).advantage_ratio


def test_a_prompt_that_prefill_alone_cannot_serve_in_time_speaks_against_apart() -> None:
    assert math.isinf(compared(60_000, 200, 0.0, 40).apart_gpus)


def test_a_tpot_below_a_bare_step_can_be_met_by_neither_and_favours_none() -> None:
    comparison = compared(4000, 200, 0.0, 10)

    assert math.isinf(comparison.apart_gpus)
    assert math.isinf(comparison.together_gpus)
    assert comparison.advantage_ratio == 1.0


def test_what_together_cannot_meet_apart_wins() -> None:
    """Chunks that fit beside decode steps of 17 ms do not bring a long prompt through in half a second."""
    comparison = compared(6000, 400, 0.0, 17, ttft_s=0.6)

    assert math.isinf(comparison.together_gpus)
    assert comparison.advantage_ratio == math.inf


def test_no_traffic_favours_none() -> None:
    assert compared(4000, 200, 0.0, 40, rate=0.0).advantage_ratio == 1.0


@given(
    st.floats(0.0, 1e4),
    st.floats(1.0, 1e5),
    st.floats(0.0, 1.0),
    st.floats(1.0, 1e4),
    st.sampled_from([5.0, 20.0, 50.0, 200.0]),
)
def test_a_comparison_is_made_of_numbers_whatever_the_load(
    rate: float, prompt: float, cached: float, output: float, tpot_ms: float
) -> None:
    comparison = compared(prompt, output, cached, tpot_ms, rate=rate)

    assert comparison.advantage_ratio >= 0.0
    assert not math.isnan(comparison.advantage_ratio)
    assert comparison.prefill_replicas >= 0.0
    assert comparison.decode_replicas >= 0.0


@given(st.floats(10.0, 16_000.0), st.floats(10.0, 4000.0), st.floats(20.0, 200.0))
def test_a_mixed_replica_stays_inside_of_its_limits(prompt: float, output: float, tpot_ms: float) -> None:
    load = Load(1.0, prompt, prompt, output)
    point = mixed_point(ENGINE, load, objectives(tpot_ms))

    assert point.step_s <= tpot_ms / 1e3 * (1 + 1e-9)
    assert point.sequences * load.resident_tokens <= ENGINE.kv_capacity_tokens
    assert point.sequences <= ENGINE.max_sequences
