from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.capacity import (
    KV_CEILING_RATIO,
    DecodeStep,
    EngineModel,
    PrefillTime,
    decode_point,
    kv_setpoint_ratio,
    scaled_decode,
    scaled_prefill,
)
from autoscaler.core.engines import find_engine

RESIDENT_TOKENS = 1500.0
TPOTS_MS = (20, 25, 30, 40, 50, 100)

# docs/capacity-model.md: KV set-points at a mean resident context of 1,500 tokens; 0 where not one sequence fits.
SETPOINTS = {
    ("llama-3.1-8b", "h100", 1, "bf16"): (0.64, 0.87, 1, 1, 1, 1),
    ("llama-3.1-8b", "a100", 1, "bf16"): (0.19, 0.30, 0.41, 0.63, 0.86, 1),
    ("llama-3.1-70b", "h100", 4, "bf16"): (0.22, 0.45, 0.68, 1, 1, 1),
    ("llama-3.1-70b", "h100", 8, "bf16"): (0.26, 0.38, 0.51, 0.76, 1, 1),
    ("llama-3.1-70b", "h100", 4, "fp8"): (0.19, 0.28, 0.38, 0.57, 0.76, 1),
    ("llama-3.1-70b", "a100", 4, "bf16"): (0, 0, 0.04, 0.22, 0.40, 1),
}

ENGINE = find_engine("llama-3.1-70b", "h100", 4)[1]
EXPERTS = find_engine("deepseek-r1", "h200", 8)[1]


@pytest.mark.parametrize(
    ("model", "gpu", "tensor_parallel", "precision", "tpot_ms", "ratio"),
    [(*key, tpot_ms, ratio) for key, row in SETPOINTS.items() for tpot_ms, ratio in zip(TPOTS_MS, row, strict=True)],
)
def test_the_kv_set_point_follows_from_the_tpot_objective(
    model: str, gpu: str, tensor_parallel: int, precision: str, tpot_ms: float, ratio: float
) -> None:
    _, engine = find_engine(model, gpu, tensor_parallel, precision)

    assert kv_setpoint_ratio(engine, tpot_ms / 1e3, RESIDENT_TOKENS) == pytest.approx(ratio, abs=0.015)


def test_prefill_time_is_fixed_plus_linear_plus_quadratic() -> None:
    time = PrefillTime(10.0, 0.05, 1e-6)

    assert time.terms_ms(2000) == pytest.approx((10.0, 100.0, 4.0))
    assert time.request_ms(2000) == pytest.approx(114.0)


def test_cached_tokens_cost_nothing_but_their_attention() -> None:
    time = PrefillTime(10.0, 0.05, 1e-6)

    assert time.terms_ms(2000, 1000) == pytest.approx((10.0, 50.0, 3.0))
    assert time.request_ms(2000, 2000) == pytest.approx(10.0)


def test_a_decode_step_is_fixed_plus_per_sequence_plus_per_token() -> None:
    step = DecodeStep(15.0, 0.03, 25e-6)

    assert step.terms_ms(64, 100_000) == pytest.approx((15.0, 1.92, 2.5))
    assert step.step_ms(64, 100_000) == pytest.approx(19.42)


def test_a_mixture_of_experts_has_other_constants_for_small_batches() -> None:
    assert EXPERTS.decode.step_ms(16, 0) == pytest.approx(14.5 + 16 * 0.587)
    assert EXPERTS.decode.step_ms(17, 0) == pytest.approx(23.3 + 17 * 0.087)


@given(
    st.sampled_from([ENGINE.decode, EXPERTS.decode]),
    st.floats(5.0, 200.0),
    st.floats(1.0, 32_000.0),
)
def test_the_largest_batch_is_inside_the_step_and_one_more_is_not(
    step: DecodeStep, step_ms: float, resident_tokens: float
) -> None:
    batch = step.largest_batch(step_ms, resident_tokens)
    more = batch + 1.0

    assert batch == 0.0 or step.step_ms(batch, batch * resident_tokens) <= step_ms * (1 + 1e-9)
    assert step.step_ms(more, more * resident_tokens) > step_ms


@given(st.sampled_from([ENGINE, EXPERTS]), st.floats(0.005, 0.2), st.floats(1.0, 32_000.0), st.integers(1, 512))
def test_the_set_point_keeps_every_limit_that_can_be_kept(
    engine: EngineModel, tpot_s: float, resident_tokens: float, max_sequences: int
) -> None:
    point = decode_point(replace(engine, max_sequences=max_sequences), tpot_s, resident_tokens)

    assert 1.0 <= point.sequences <= max_sequences
    if point.limit != "unreachable":
        assert point.step_s <= tpot_s * (1 + 1e-9)
    if point.sequences > 1.0:
        assert point.kv_utilization_ratio <= KV_CEILING_RATIO * (1 + 1e-9)


@pytest.mark.parametrize(
    ("tpot_s", "resident_tokens", "limit"), [(0.02, 1500, "tpot"), (0.2, 8000, "kv"), (0.2, 300, "sequences")]
)
def test_the_set_point_names_what_binds(tpot_s: float, resident_tokens: float, limit: str) -> None:
    assert decode_point(ENGINE, tpot_s, resident_tokens).limit == limit


def test_the_set_point_gives_its_tokens_per_second() -> None:
    point = decode_point(ENGINE, 0.025, 1500)

    assert point.step_s == pytest.approx(0.025)
    assert point.tokens_per_s == pytest.approx(point.sequences / 0.025)


def test_an_objective_below_a_bare_step_is_unreachable_and_does_not_cost_a_replica_for_each_request() -> None:
    point = decode_point(ENGINE, 0.010, 1500)

    assert point.limit == "unreachable"
    assert point.sequences == decode_point(ENGINE, 10.0, 1500).sequences
    assert kv_setpoint_ratio(ENGINE, 0.010, 1500) == 0.0


@given(st.sampled_from([ENGINE, EXPERTS]), st.floats(1.0, 32_000.0))
def test_an_objective_that_one_sequence_alone_just_keeps_can_be_reached(
    engine: EngineModel, resident_tokens: float
) -> None:
    alone_s = engine.decode.step_ms(1, resident_tokens) / 1e3

    assert decode_point(engine, alone_s * (1 + 1e-6), resident_tokens).sequences == pytest.approx(1.0, abs=0.01)
    assert decode_point(engine, alone_s * (1 - 1e-6), resident_tokens).limit == "unreachable"


def test_a_sequence_that_no_replica_has_room_for_is_planned_as_one_of_a_replica() -> None:
    small = replace(ENGINE, kv_capacity_tokens=10_000.0)

    point = decode_point(small, 0.05, 32_000.0)

    assert (point.sequences, point.limit) == (1.0, "kv")
    assert point.kv_utilization_ratio == pytest.approx(3.2)


def test_sequences_that_hold_nothing_yet_fill_the_batch_of_an_engine_that_says_nothing_of_its_own() -> None:
    point = decode_point(ENGINE, 0.05, 0.0)

    assert (point.sequences, point.limit) == (256.0, "sequences")


def test_a_step_without_sequences_takes_its_fixed_time() -> None:
    assert ENGINE.decode.step_ms(0, 0) == ENGINE.decode.d0_ms


@given(st.floats(0.016, 0.2), st.floats(0.001, 0.1), st.floats(100.0, 16_000.0))
def test_a_looser_objective_never_means_a_smaller_batch(tpot_s: float, more_s: float, resident_tokens: float) -> None:
    tight, loose = (decode_point(ENGINE, target_s, resident_tokens) for target_s in (tpot_s, tpot_s + more_s))

    assert loose.sequences >= tight.sequences


def test_scaling_multiplies_each_constant_of_both_pieces() -> None:
    prefill = scaled_prefill(ENGINE.prefill, (2.0, 3.0, 4.0))
    decode = scaled_decode(EXPERTS.decode, (2.0, 3.0, 4.0))

    assert prefill.terms_ms(1000) == pytest.approx(
        [f * t for f, t in zip((2, 3, 4), ENGINE.prefill.terms_ms(1000), strict=True)]
    )
    for batch in (8, 64):
        plain = EXPERTS.decode.terms_ms(batch, 10_000)
        assert decode.terms_ms(batch, 10_000) == pytest.approx([f * t for f, t in zip((2, 3, 4), plain, strict=True)])
