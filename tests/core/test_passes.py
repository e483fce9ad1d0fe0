"""Prompts that share a pass: what a full one holds, and what a pool does of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.capacity import EngineModel
from autoscaler.core.engines import find_engine
from autoscaler.core.passes import full_pass
from autoscaler.core.prompts import Prompts

DENSE = find_engine("llama-3.1-70b", "h100", 4)[1]
EXPERTS = find_engine("deepseek-r1", "h200", 8)[1]
SLACK = 0.85


def prompts(mean_tokens: float, uncached_ratio: float = 1.0) -> Prompts:
    return Prompts(1000.0, uncached_ratio, mean_tokens)


def test_the_fixed_time_of_a_pass_is_shared_by_the_prompts_in_it() -> None:
    full = full_pass(prompts(260.0), DENSE, ttft_s=60.0)

    assert full.prompts == pytest.approx(8192 / 260)
    saved_ms = DENSE.prefill.a_ms * (1 - 1 / full.prompts)
    assert full.service_s * 1e3 == pytest.approx((DENSE.prefill.request_ms(260.0) - saved_ms) / SLACK)


@pytest.mark.parametrize(
    ("engine", "tokens", "times"),
    [(DENSE, 260, 1.7), (EXPERTS, 260, 3.8), (EXPERTS, 1600, 1.37)],
    ids=["dense, short", "experts, short", "experts, long"],
)
def test_a_busy_replica_does_more_than_one_prompt_after_the_other(
    engine: EngineModel, tokens: float, times: float
) -> None:
    full = full_pass(prompts(tokens), engine, ttft_s=2.0)

    assert engine.prefill.request_ms(tokens) / 1e3 / full.service_s == pytest.approx(times * SLACK, rel=0.02)


def test_what_is_saved_by_less_than_the_slack_is_not_planned_with() -> None:
    assert full_pass(prompts(1600.0), DENSE, 2.0).service_s * 1e3 == pytest.approx(DENSE.prefill.request_ms(1600.0))


def test_what_the_prefix_cache_holds_leaves_room_for_more() -> None:
    assert full_pass(prompts(1000.0, 0.25), DENSE, 60.0).prompts == pytest.approx(8192 / 250)


def test_a_pass_holds_no_more_than_the_engine_batches() -> None:
    assert full_pass(prompts(1.0), replace(DENSE, max_sequences=64), ttft_s=60.0).prompts == 64
    assert full_pass(prompts(100.0), replace(DENSE, max_batched_tokens=1000), ttft_s=60.0).prompts == 10


def test_a_prompt_too_long_for_the_budget_is_one() -> None:
    full = full_pass(prompts(20_000.0), DENSE, ttft_s=2.0)

    assert full.prompts == 1
    assert full.service_s * 1e3 == pytest.approx(DENSE.prefill.request_ms(20_000.0))


def test_a_pass_takes_a_quarter_of_the_target_where_that_is_what_limits_it() -> None:
    full = full_pass(prompts(1600.0), EXPERTS, ttft_s=1.0)

    a_ms, b_ms, c_ms = EXPERTS.prefill.terms_ms(1600.0)
    assert 1 < full.prompts < 8192 / 1600
    assert a_ms + full.prompts * (b_ms + c_ms) == pytest.approx(250.0)
    assert full.share_s == pytest.approx(0.25 / full.prompts)


@given(st.floats(1.0, 200_000.0), st.floats(0.0, 1.0), st.floats(0.05, 60.0))
def test_no_pass_of_several_prompts_takes_more_than_a_quarter_of_the_target(
    tokens: float, uncached_ratio: float, ttft_s: float
) -> None:
    full = full_pass(prompts(tokens, uncached_ratio), EXPERTS, ttft_s)

    uncached_tokens = tokens * uncached_ratio
    a_ms, b_ms, c_ms = EXPERTS.prefill.terms_ms(tokens, tokens - uncached_tokens)
    assert full.prompts == 1 or a_ms + full.prompts * (b_ms + c_ms) <= ttft_s * 1e3 / 4 + 1e-6
    assert 0 < full.service_s * 1e3 <= EXPERTS.prefill.request_ms(tokens, tokens * (1 - uncached_ratio)) + 1e-6
