from __future__ import annotations

from typing import Any

import pytest

from autoscaler.core.capacity import EngineModel
from autoscaler.core.engines import find_engine
from autoscaler.core.policy import RatioBand, Role
from tests.config.builders import errors, policy

TIMING = {
    "prefill": {"fixed": "11ms", "microsecondsPerToken": 57.0, "nanosecondsPerSquaredToken": 0.7},
    "decode": {"fixed": "15ms", "microsecondsPerSequence": 32.0, "nanosecondsPerKvToken": 27.0},
    "kvCapacityTokens": 450_000,
}


def engine(changes: dict[str, Any]) -> EngineModel | None:
    return policy(changes).core().roles[Role.DECODE].engine


def test_without_an_engine_the_live_signals_are_all_there_is() -> None:
    assert engine({}) is None


def test_a_row_of_the_built_in_table_is_found_by_the_served_name() -> None:
    found = engine(
        {"spec.model": "meta-llama/Llama-3.1-70B-Instruct", "spec.engine": {"gpu": "h100", "tensorParallel": 4}}
    )

    assert found == find_engine("llama-3.1-70b", "h100", 4)[1]


def test_constants_of_ones_own_keep_their_units() -> None:
    found = engine({"spec.engine": {"timing": TIMING}})

    assert found is not None
    assert found.prefill.request_ms(1000) == pytest.approx(11 + 57 + 0.7)
    assert found.decode.step_ms(10, 10_000) == pytest.approx(15 + 0.32 + 0.27)
    assert (found.kv_capacity_tokens, found.max_sequences, found.max_batched_tokens) == (450_000, 256, 8192)


@pytest.mark.parametrize("key", ["kvCapacityTokens", "maxSequences", "maxBatchedTokens"])
def test_a_limit_that_stands_in_timing_too_is_refused(key: str) -> None:
    (problem,) = errors({"spec.engine": {"timing": TIMING, key: 2048}})

    assert problem.path == f"spec.engine.{key}"
    assert "stands in timing already" in problem.message


def test_prompts_that_cost_nothing_are_refused() -> None:
    free = {**TIMING, "prefill": {"fixed": "11ms", "microsecondsPerToken": 0}}

    (problem,) = errors({"spec.engine": {"timing": free}})

    assert problem.path == "spec.engine.timing.prefill.microsecondsPerToken"
    assert (problem.value, problem.allowed) == ("0", "more than 0")


def test_an_unknown_row_is_refused_with_the_nearest() -> None:
    (problem,) = errors({"spec.model": "llama-3.1-70b", "spec.engine": {"gpu": "h100", "tensorParallel": 3}})

    assert problem.path == "spec.engine"
    assert "llama-3.1-70b fp8 on h100 TP4" in problem.message


def test_a_row_needs_a_model() -> None:
    (problem,) = errors({"spec.engine": {"gpu": "h100"}})

    assert "Set engine.model or spec.model" in problem.message


def test_an_engine_without_any_source_is_refused() -> None:
    (problem,) = errors({"spec.model": "llama-3.1-70b", "spec.engine": {}})

    assert problem.path == "spec.engine.gpu"


def test_constants_of_ones_own_go_before_the_built_in_row() -> None:
    both = policy({"spec.model": "llama-3.1-70b", "spec.engine": {"gpu": "h100", "timing": TIMING}}).core()

    assert both.roles[Role.DECODE].engine == engine({"spec.engine": {"timing": TIMING}})
    assert both.roles[Role.DECODE].engine_source == "policy"


def test_a_step_that_no_load_makes_longer_is_refused() -> None:
    decode = {"fixed": "15ms", "microsecondsPerSequence": 0.0, "nanosecondsPerKvToken": 0.0}

    (problem,) = errors({"spec.engine": {"timing": {**TIMING, "decode": decode}}})

    assert problem.path == "spec.engine.timing.decode.microsecondsPerSequence"


def test_band_and_budget_reach_the_decision() -> None:
    core = policy({"spec.ratio": {"min": 0.5, "max": 4}, "spec.maxGpus": 12}).core()

    assert core.ratio == RatioBand(0.5, 4.0)
    assert core.budget_gpus == 12


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"spec.ratio": {"min": 5, "max": 4}}, "spec.ratio.min"),
        ({"spec.ratio": {"min": 9, "max": 20}}, "spec.ratio"),
        ({"spec.maxGpus": 1}, "spec.maxGpus"),
        ({"spec.ratio": {"min": 3, "max": 4}, "spec.maxGpus": 3}, "spec.maxGpus"),
    ],
)
def test_limits_that_no_pair_of_counts_meets_are_refused(changes: dict[str, Any], path: str) -> None:
    assert path in [problem.path for problem in errors(changes)]
