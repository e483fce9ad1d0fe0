"""Sample NVIDIA's measured kernel times into the tables that its mocker reads.

Runs in the environment of `requirements.txt`, from the repository's root:
`.bench/nvidia/venv/bin/python -m benchmarks.nvidia.peer.make_profile`.
"""

from __future__ import annotations

import logging
from importlib.metadata import version
from pathlib import Path

import numpy as np
from aiconfigurator_core.sdk.backends.factory import get_backend
from aiconfigurator_core.sdk.config import ModelConfig, RuntimeConfig
from aiconfigurator_core.sdk.models import get_model
from aiconfigurator_core.sdk.perf_database import get_database

MODEL, SYSTEM, ENGINE, ENGINE_VERSION, TENSOR_PARALLEL = "Qwen/Qwen3-32B", "h200_sxm", "vllm", "0.24.0", 1
PROFILE = Path(__file__).parents[1] / "profile" / "qwen3-32b-h200-tp1.npz"

PREFILL_TOKENS = np.array(
    [
        1,
        16,
        64,
        128,
        192,
        256,
        320,
        384,
        512,
        640,
        768,
        896,
        *range(1024, 4097, 256),
        *range(4608, 8193, 512),
        12288,
        16384,
    ]
)
KV_TOKENS = np.array(
    [0, 256, 512, 1024, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 24576, *range(32768, 262145, 16384)]
)
CONTEXT_TOKENS = np.array(
    [
        16,
        64,
        128,
        256,
        384,
        512,
        768,
        *range(1024, 4097, 512),
        5120,
        6144,
        8192,
        12288,
        16384,
        24576,
        32768,
        65536,
        131072,
    ]
)


class Estimator:
    """One worker as AIConfigurator composes it of measured kernels."""

    def __init__(self) -> None:
        self._database = get_database(system=SYSTEM, backend=ENGINE, version=ENGINE_VERSION)
        self._backend = get_backend(ENGINE)
        self._model = get_model(MODEL, ModelConfig(tp_size=TENSOR_PARALLEL), ENGINE)

    def prefill_ms(self, tokens: int) -> float:
        """Time of one prompt of so many tokens, alone."""
        return self._run("static_ctx", 1, tokens)["context_latency"]

    def decode_ms(self, kv_tokens: float, context_tokens: float) -> float:
        """Time of one decode step; between whole batch sizes a straight line."""
        batch = max(kv_tokens / context_tokens, 1.0)
        context = max(round(kv_tokens / batch), 1)
        below = int(batch)
        low, high = (self._run("static_gen", size, context)["tpot"] for size in (below, below + 1))
        return low + (high - low) * (batch - below)

    def _run(self, phase: str, batch: int, tokens: int) -> dict[str, float]:
        config = RuntimeConfig(batch_size=batch, beam_width=1, isl=tokens, osl=2)
        summary = self._backend.run_static(self._model, self._database, config, phase, stride=32)
        return summary.get_summary_df().to_dict(orient="records")[0]


def main() -> None:
    """Write the profile."""
    logging.disable(logging.WARNING)
    estimator = Estimator()
    step_ms = [[estimator.decode_ms(kv, context) for context in CONTEXT_TOKENS] for kv in KV_TOKENS]
    np.savez(
        PROFILE,
        prefill_isl=PREFILL_TOKENS.astype(float),
        prefill_ttft_ms=np.array([estimator.prefill_ms(int(tokens)) for tokens in PREFILL_TOKENS]),
        decode_active_kv_tokens=KV_TOKENS.astype(float),
        decode_context_length=CONTEXT_TOKENS.astype(float),
        decode_itl=np.array(step_ms),
    )
    print(f"{PROFILE}: {PROFILE.stat().st_size} bytes, from aiconfigurator-core {version('aiconfigurator-core')}")


if __name__ == "__main__":
    main()
