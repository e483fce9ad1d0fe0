from __future__ import annotations

from typing import NamedTuple

import pytest

from autoscaler.core.engines import ENGINES, EngineKey, UnknownEngineError, find_engine

Triple = tuple[float, float, float]
Key = tuple[str, str, str, int]


class Row(NamedTuple):
    """One line of docs/capacity-model.md.

    Prefill in ms, us/token, 1e-6 ms/token^2; decode in ms, us/sequence, ns/KV token, also for batches up to 16 where
    they have their own; prefill throughput in thousands of tokens/s at 2k and 8k, and the largest error of the fit.
    """

    prefill: Triple
    decode: Triple
    kv_k_tokens: float
    kv_kib_per_token: float
    throughput: tuple[float, float]
    fit_error_ratio: float
    small_batch: Triple | None = None


TABLE = {
    ("llama-3.1-8b", "bf16", "h100", 1): Row((4.5, 17.5, 0.52), (6.4, 10.4, 42.0), 435, 128, (46.0, 41.0), 0.13),
    ("llama-3.1-8b", "bf16", "a100", 1): Row((7.7, 54.7, 1.52), (11.6, 28.8, 83.9), 435, 128, (16.4, 14.7), 0.03),
    ("llama-3.1-70b", "bf16", "h100", 4): Row((10.9, 56.7, 0.69), (15.2, 32.1, 26.6), 457, 320, (15.7, 14.2), 0.11),
    ("llama-3.1-70b", "bf16", "h100", 8): Row((8.3, 37.2, 0.30), (10.0, 23.4, 13.7), 1343, 320, (23.8, 23.8), 0.05),
    ("llama-3.1-70b", "fp8", "h100", 2): Row((10.5, 68.0, 1.07), (16.4, 37.6, 28.6), 445, 160, (12.6, 13.5), 0.09),
    ("llama-3.1-70b", "fp8", "h100", 4): Row((9.0, 45.3, 0.46), (10.2, 36.8, 14.9), 1330, 160, (19.0, 20.8), 0.07),
    ("llama-3.1-70b", "bf16", "a100", 4): Row((18.2, 154.9, 1.59), (27.8, 99.8, 55.5), 457, 320, (6.1, 6.0), 0.07),
    ("llama-3.1-70b", "bf16", "a100", 8): Row((12.8, 102.8, 0.49), (17.3, 68.1, 26.9), 1343, 320, (9.1, 9.8), 0.15),
    ("qwen3-32b", "bf16", "h100", 2): Row((11.2, 43.9, 1.09), (13.6, 25.9, 42.6), 305, 256, (19.1, 17.2), 0.13),
    ("qwen3-32b", "bf16", "h200", 1): Row((10.8, 80.0, 2.00), (19.0, 32.3, 60.9), 219, 256, (11.1, 9.5), 0.10),
    ("deepseek-r1", "fp8", "h200", 8): Row(
        (39.2, 47.5, 0.43), (23.3, 87.0, 13.5), 904, 34.3, (14.7, 17.7), 0.03, (14.5, 587.0, 12.3)
    ),
    ("gpt-oss-120b", "mxfp4", "h100", 2): Row(
        (15.1, 14.2, 0.03), (7.4, 53.0, 7.3), 2300, 36, (44.0, 66.0), 0.13, (3.6, 273.0, 6.3)
    ),
}


def test_the_table_has_the_twelve_published_rows() -> None:
    assert {(key.model, key.precision, key.gpu, key.tensor_parallel) for key in ENGINES} == TABLE.keys()


@pytest.mark.parametrize("key", TABLE)
def test_a_row_has_the_published_constants(key: Key) -> None:
    row, engine = TABLE[key], ENGINES[EngineKey(*key)]

    assert engine.prefill.terms_ms(1000) == pytest.approx(row.prefill)
    assert engine.decode.terms_ms(1000, 1e6) == pytest.approx(row.decode)
    fixed, per_sequence, per_token = row.small_batch or row.decode
    assert engine.decode.terms_ms(16, 1e6) == pytest.approx((fixed, 0.016 * per_sequence, per_token))
    assert engine.kv_capacity_tokens == row.kv_k_tokens * 1000
    assert engine.kv_bytes_per_token == pytest.approx(row.kv_kib_per_token * 1024)


@pytest.mark.parametrize("key", TABLE)
def test_a_row_reproduces_the_measured_prefill_throughput_within_its_fit_error(key: Key) -> None:
    row, prefill = TABLE[key], ENGINES[EngineKey(*key)].prefill
    throughput = tuple(tokens / prefill.request_ms(tokens) for tokens in (2048, 8192))

    assert throughput == pytest.approx(row.throughput, rel=row.fit_error_ratio)


@pytest.mark.parametrize(
    ("model", "gpu", "tensor_parallel", "precision", "key"),
    [
        ("llama-3.1-70b", "h100", 4, None, "llama-3.1-70b bf16 on h100 TP4"),
        ("meta-llama/Llama-3.1-70B-Instruct", "NVIDIA H100 80GB HBM3", 4, None, "llama-3.1-70b bf16 on h100 TP4"),
        ("meta-llama/Llama-3.3-70B-Instruct", "h100", 8, None, "llama-3.1-70b bf16 on h100 TP8"),
        ("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", "h100", 4, None, "llama-3.1-70b fp8 on h100 TP4"),
        ("llama-3.1-70b", "h100", 4, "fp8", "llama-3.1-70b fp8 on h100 TP4"),
        ("Meta-Llama-3.1-8B-Instruct", "A100", 1, None, "llama-3.1-8b bf16 on a100 TP1"),
        ("Qwen/Qwen3-32B", "H200", 1, None, "qwen3-32b bf16 on h200 TP1"),
        ("deepseek-ai/DeepSeek-R1-0528", "h200", 8, None, "deepseek-r1 fp8 on h200 TP8"),
        ("openai/gpt-oss-120b", "h100", 2, None, "gpt-oss-120b mxfp4 on h100 TP2"),
    ],
)
def test_an_engine_is_found_by_the_names_that_people_write(
    model: str, gpu: str, tensor_parallel: int, precision: str | None, key: str
) -> None:
    found, engine = find_engine(model, gpu, tensor_parallel, precision)

    assert str(found) == key
    assert engine is ENGINES[found]


@pytest.mark.parametrize(
    ("model", "gpu", "tensor_parallel", "precision", "nearest"),
    [
        ("llama-3.1-70b", "h100", 2, "bf16", "llama-3.1-70b bf16 on h100 TP4"),
        ("llama-3.1-70b", "b200", 4, None, "llama-3.1-70b bf16 on h100 TP4"),
        ("qwen3-30b-a3b", "h100", 2, None, "qwen3-32b bf16 on h100 TP2"),
        ("gpt-oss-120b", "h100", 4, None, "gpt-oss-120b mxfp4 on h100 TP2"),
    ],
)
def test_an_unknown_engine_is_an_error_that_names_the_nearest(
    model: str, gpu: str, tensor_parallel: int, precision: str | None, nearest: str
) -> None:
    with pytest.raises(UnknownEngineError) as error:
        find_engine(model, gpu, tensor_parallel, precision)

    asked, _, near = str(error.value).partition("nearest")
    assert all(part in asked for part in (model, gpu, f"tensor parallelism {tensor_parallel}", precision or ""))
    assert nearest in near


def test_an_unknown_precision_is_named_in_the_error() -> None:
    with pytest.raises(UnknownEngineError) as error:
        find_engine("qwen3-32b", "h200", 1, "fp8")

    assert "fp8" in str(error.value).partition("nearest")[0]


@pytest.mark.parametrize(
    "model",
    [
        "mistral-7b",
        "llama-3.1-405b",
        "gpt-oss-20b",
        "deepseek-r1-distill-llama-70b",
    ],
)
def test_a_model_of_another_size_is_not_taken_for_a_known_one(model: str) -> None:
    for gpu, tensor_parallel in (("h100", 1), ("h100", 2), ("h100", 4), ("h200", 8)):
        with pytest.raises(UnknownEngineError):
            find_engine(model, gpu, tensor_parallel)


def test_an_accelerator_of_another_kind_is_not_taken_for_a_known_one() -> None:
    with pytest.raises(UnknownEngineError):
        find_engine("deepseek-r1", "NVIDIA GH200 480GB", 8)


def test_a_name_like_nothing_known_says_what_is_known() -> None:
    with pytest.raises(UnknownEngineError) as error:
        find_engine("zzz", "tpu", 99)

    assert not str(error.value).endswith("nearest: ")
