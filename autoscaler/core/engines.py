"""Built-in timing of known model, accelerator and parallelism combinations.

Constants are least-squares fits to NVIDIA's measured kernel tables (AIConfigurator 0.12.0; vLLM 0.24.0 on H100, H200,
0.14.0 on A100). They are kernel sums: serving adds host overhead, which online calibration finds out.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from autoscaler.core.capacity import DecodeStep, EngineModel, PrefillTime

_KIB = 1024.0


@dataclass(frozen=True, slots=True)
class EngineKey:
    """What tells built-in engines apart: model family, weight precision, accelerator, tensor parallelism."""

    model: str
    precision: str
    gpu: str
    tensor_parallel: int

    def __str__(self) -> str:
        return f"{self.model} {self.precision} on {self.gpu} TP{self.tensor_parallel}"


def _dense(
    prefill: tuple[float, float, float], decode: tuple[float, float, float], kv_k_tokens: float, kv_kib: float
) -> EngineModel:
    """A dense model: prefill in ms, us/token, 1e-6 ms/token^2; decode in ms, us/sequence, ns/KV token."""
    a_ms, b_us, c_micro = prefill
    d0_ms, d1_us, d2_ns = decode
    return EngineModel(
        PrefillTime(a_ms, b_us * 1e-3, c_micro * 1e-6),
        DecodeStep(d0_ms, d1_us * 1e-3, d2_ns * 1e-6),
        kv_capacity_tokens=kv_k_tokens * 1e3,
        kv_bytes_per_token=kv_kib * _KIB,
    )


def _experts(
    prefill: tuple[float, float, float],
    small: tuple[float, float, float],
    large: tuple[float, float, float],
    kv_k_tokens: float,
    kv_kib: float,
) -> EngineModel:
    """A mixture-of-experts model: as `_dense`, with other decode constants for batches up to 16."""
    base = _dense(prefill, large, kv_k_tokens, kv_kib)
    few = _dense(prefill, small, kv_k_tokens, kv_kib).decode
    step = DecodeStep(
        base.decode.d0_ms, base.decode.d1_ms_per_sequence, base.decode.d2_ms_per_kv_token, few, small_batch_max=16
    )
    return EngineModel(base.prefill, step, base.kv_capacity_tokens, kv_bytes_per_token=base.kv_bytes_per_token)


ENGINES: dict[EngineKey, EngineModel] = {
    EngineKey("llama-3.1-8b", "bf16", "h100", 1): _dense((4.5, 17.5, 0.52), (6.4, 10.4, 42.0), 435, 128),
    EngineKey("llama-3.1-8b", "bf16", "a100", 1): _dense((7.7, 54.7, 1.52), (11.6, 28.8, 83.9), 435, 128),
    EngineKey("llama-3.1-70b", "bf16", "h100", 4): _dense((10.9, 56.7, 0.69), (15.2, 32.1, 26.6), 457, 320),
    EngineKey("llama-3.1-70b", "bf16", "h100", 8): _dense((8.3, 37.2, 0.30), (10.0, 23.4, 13.7), 1343, 320),
    EngineKey("llama-3.1-70b", "fp8", "h100", 2): _dense((10.5, 68.0, 1.07), (16.4, 37.6, 28.6), 445, 160),
    EngineKey("llama-3.1-70b", "fp8", "h100", 4): _dense((9.0, 45.3, 0.46), (10.2, 36.8, 14.9), 1330, 160),
    EngineKey("llama-3.1-70b", "bf16", "a100", 4): _dense((18.2, 154.9, 1.59), (27.8, 99.8, 55.5), 457, 320),
    EngineKey("llama-3.1-70b", "bf16", "a100", 8): _dense((12.8, 102.8, 0.49), (17.3, 68.1, 26.9), 1343, 320),
    EngineKey("qwen3-32b", "bf16", "h100", 2): _dense((11.2, 43.9, 1.09), (13.6, 25.9, 42.6), 305, 256),
    EngineKey("qwen3-32b", "bf16", "h200", 1): _dense((10.8, 80.0, 2.00), (19.0, 32.3, 60.9), 219, 256),
    EngineKey("deepseek-r1", "fp8", "h200", 8): _experts(
        (39.2, 47.5, 0.43), (14.5, 587.0, 12.3), (23.3, 87.0, 13.5), 904, 34.3
    ),
    EngineKey("gpt-oss-120b", "mxfp4", "h100", 2): _experts(
        (15.1, 14.2, 0.03), (3.6, 273.0, 6.3), (7.4, 53.0, 7.3), 2300, 36
    ),
}


class UnknownEngineError(LookupError):
    """No built-in timing for this combination; the message names the nearest ones."""


def find_engine(
    model: str, gpu: str, tensor_parallel: int, precision: str | None = None
) -> tuple[EngineKey, EngineModel]:
    """Look a combination up.

    Args:
        model: Model name as people write it (`meta-llama/Llama-3.1-70B-Instruct`, `llama-3.1-70b`).
        gpu: Accelerator (`h100`, `NVIDIA H100`, `h200`, `a100`).
        tensor_parallel: GPUs per replica.
        precision: Weights (`bf16`, `fp8`, `mxfp4`); None takes what the name says, else the first that exists.

    Raises:
        UnknownEngineError: No such row.
    """
    name = _normalize(model)
    wanted = precision or ("fp8" if "fp8" in name else None)
    rows = [
        key
        for key in ENGINES
        if _matches(key.model, name)
        and key.gpu in re.split(r"[^a-z0-9]+", gpu.lower())
        and key.tensor_parallel == tensor_parallel
        and wanted in (None, key.precision)
    ]
    if rows:
        return rows[0], ENGINES[rows[0]]
    label = f"{name} {wanted or ''} on {gpu.lower()} TP{tensor_parallel}"
    near = difflib.get_close_matches(label, [str(key) for key in ENGINES], n=3, cutoff=0.3)
    weights = f" in {precision}" if precision else ""
    raise UnknownEngineError(
        f"no built-in timing for {model}{weights} on {gpu} with tensor parallelism {tensor_parallel}; "
        f"nearest: {', '.join(near)}"
    )


def _normalize(model: str) -> str:
    return re.sub(r"[_\s]+", "-", model.lower().rsplit("/", 1)[-1])


def _matches(family: str, name: str) -> bool:
    # Llama 3.1 and 3.3 share their shape; suffixes such as -instruct or -fp8 do not change the timing model's row.
    alike = re.sub(r"llama-3\.[0-9]", "llama-3.1", name.replace("meta-", ""))
    return alike == family or (alike.startswith(f"{family}-") and "distill" not in alike)
