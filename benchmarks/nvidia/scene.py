"""What both simulators are told of one worker: the same blocks, limits, link and timing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autoscaler.core.policy import LatencyObjective, Objectives
from autoscaler.simulation.config import TimingTables

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BENCH = ROOT / ".bench" / "nvidia"
RESULTS = HERE / "results"
PROFILE = HERE / "profile" / "qwen3-32b-h200-tp1.npz"

# Qwen3-32B in bf16 on one H200, as AIConfigurator's `estimate_num_gpu_blocks` sizes it at 0.9 of the GPU's memory.
NUM_BLOCKS = 3904
BLOCK_SIZE = 64
KV_BYTES_PER_TOKEN = 262_144

MAX_SEQUENCES = 256
MAX_BATCHED_TOKENS = 8192
MAX_MODEL_TOKENS = 40_960
LINK_BYTES_PER_S = 50e9

OBJECTIVES = Objectives(LatencyObjective(0.95, 2.0), LatencyObjective(0.95, 0.05), attainment_ratio=0.99)


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a load on a fleet.

    Attributes:
        load: Name in `loads.LOADS`.
        prefill: Prefill workers at the start.
        decode: Decode workers at the start.
        routing: `round_robin`, or `by_load`: NVIDIA's KV router without any shared prefix, our `least_loaded`.
        startup_time_s: From a worker's order to its first request; constant.
        repeat: Tells repetitions apart; their KV router breaks ties at random.
    """

    load: str
    prefill: int
    decode: int
    routing: str = "round_robin"
    startup_time_s: float = 0.0
    repeat: int = 0


def timing_tables() -> TimingTables:
    """The timing profile in our simulator's form: the very numbers that the mocker interpolates."""
    with np.load(PROFILE) as profile:
        return TimingTables.of(
            profile["prefill_isl"],
            profile["prefill_ttft_ms"],
            profile["decode_active_kv_tokens"],
            profile["decode_context_length"],
            profile["decode_itl"],
        )
