"""Make the profiles that the tests read, with the writers of the profilers themselves.

Runs in the environment of `requirements.txt`, from the repository's root:
`.bench/nvidia/venv/bin/python -m benchmarks.nvidia.peer.make_test_profiles`. Times come from the formula below, so the
tests know what a fit has to find; only `aiconfigurator-static.csv` holds NVIDIA's own estimates.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from aiconfigurator_core.sdk.backends.factory import get_backend
from aiconfigurator_core.sdk.common import ColumnsDisagg
from aiconfigurator_core.sdk.config import ModelConfig, RuntimeConfig
from aiconfigurator_core.sdk.models import get_model
from aiconfigurator_core.sdk.perf_database import get_database
from dynamo.profiler.utils.profile_decode import _profile_decode_helper
from dynamo.profiler.utils.profile_prefill import _profile_prefill_helper

HERE = Path(__file__).parents[3] / "tests" / "config" / "profiles"
KV_CAPACITY = 457_000
CONTEXT = 16_384


def prefill_ms(tokens: int) -> float:
    """Prefill of Llama 3.1 70B on H100 TP4, as in the built-in table."""
    return 10.9 + 56.7e-3 * tokens + 0.69e-6 * tokens**2


def step_ms(batch: float, context: float) -> float:
    """A decode step of the same."""
    return 15.2 + 32.1e-3 * batch + 26.6e-6 * batch * context


def dynamo(folder: Path) -> None:
    """The folder that Dynamo's profiler leaves, and the JSON that its operator mounts."""
    prefill, decode = folder / "selected_prefill_interpolation", folder / "selected_decode_interpolation"
    with tempfile.TemporaryDirectory() as scratch:
        _profile_prefill_helper(scratch, 4, CONTEXT, 8, prefill_ms)
        prefill.mkdir(parents=True, exist_ok=True)
        shutil.copy(f"{scratch}/raw_data.npz", prefill)
        _profile_decode_helper(scratch, 4, KV_CAPACITY, CONTEXT, 5, _decode_measurement, 1)
        decode.mkdir(parents=True, exist_ok=True)
        shutil.copy(f"{scratch}/raw_data.npz", decode)
    for phase, source in (("prefill", prefill), ("decode", decode)):
        with np.load(source / "raw_data.npz") as arrays:
            columns = {name: arrays[name].tolist() for name in arrays.files}
        if phase == "decode":
            columns["max_kv_tokens"] = columns["max_kv_tokens"][0]  # a number there, as in dgd_generation.py
        (HERE / "dynamo-json" / f"{phase}_raw_data.json").write_text(json.dumps(columns))


def _decode_measurement(isl: int, osl: int, requests: int) -> tuple[float, float]:
    itl_ms = step_ms(requests, isl + osl / 2)
    return itl_ms, requests / itl_ms * 1e3 / 4


def aiconfigurator_static(path: Path) -> None:
    """Single runs of Qwen3-32B on an H200, as AIConfigurator composes them of measured kernels."""
    database = get_database(system="h200_sxm", backend="vllm", version="0.24.0")
    backend, model = get_backend("vllm"), get_model("Qwen/Qwen3-32B", ModelConfig(tp_size=1), "vllm")
    frames = []
    for isl in (500, 1000, 2000, 4000, 8000):
        for batch in (1, 8, 32):
            config = RuntimeConfig(batch_size=batch, beam_width=1, isl=isl, osl=200)
            frames.append(backend.run_static(model, database, config, "static", stride=32).get_summary_df())
    frame = pd.concat(frames)[["model", "isl", "osl", "prefix", "bs", "ttft", "tpot", "context_latency", "memory"]]
    frame.to_csv(path, index=False)


def aiconfigurator_sweep(path: Path) -> None:
    """A sweep over disaggregated arrangements: its columns, our formula, and rows of another parallelism."""
    rows = []
    for batch in (6, 14, 24, 36, 48, 60):
        pair = dict.fromkeys(ColumnsDisagg, 0)
        pair |= {"isl": 4000, "osl": 500, "(p)bs": 1, "(d)bs": batch, "(p)parallel": "tp4", "(d)parallel": "tp4"}
        pair |= {"ttft": 2 * prefill_ms(4000), "tpot": step_ms(batch, 4250), "(p)seq/s/worker": 1e3 / prefill_ms(4000)}
        rows += [pair, pair | {"(p)parallel": "tp8", "(d)parallel": "tp8", "tpot": 3.0, "(p)seq/s/worker": 50.0}]
    pd.DataFrame(rows, columns=ColumnsDisagg).round(4).to_csv(path, index=False)


def main() -> None:
    """Write them all."""
    logging.disable(logging.WARNING)
    for folder in ("dynamo", "dynamo-json", "aiconfigurator"):
        (HERE / folder).mkdir(exist_ok=True)
    dynamo(HERE / "dynamo")
    aiconfigurator_static(HERE / "aiconfigurator-static.csv")
    aiconfigurator_sweep(HERE / "aiconfigurator" / "pareto.csv")


if __name__ == "__main__":
    main()
