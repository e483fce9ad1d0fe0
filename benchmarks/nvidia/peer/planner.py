"""NVIDIA's planner as its own replay sets it up, with a profile as good as can be had.

Its performance model is seeded with its own benchmark sweep over the tables that the engine runs on, and it is told
the native AIConfigurator identity of the worker; so its capacity estimates are right, and what is measured is policy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from dynamo._core import MockEngineArgs
from dynamo.planner.config.planner_config import PlannerConfig
from dynamo.planner.core.types import WorkerCapabilities
from dynamo.planner.offline.replay_adapter import ReplayPlannerAdapter, create_replay_planner_adapter
from dynamo.replay.planner import _engine_caps, _generate_aic_decode_fpms, _generate_aic_prefill_fpms

from benchmarks.nvidia import scene

_GRANULARITY = 8


class ProfileSession:
    """Stands in for an AIConfigurator session in the planner's benchmark sweep, and answers from the profile."""

    def __init__(self) -> None:
        self._tables = scene.timing_tables()

    def predict_prefill(self, batch: int, tokens: int, prefix: int) -> float:
        """Time of a prefill pass in ms."""
        new_tokens = batch * (tokens - prefix)
        return float(np.interp(new_tokens, self._tables.prefill_tokens, self._tables.prefill_ms))

    def predict_decode(self, batch: int, context: int, _output_tokens: int) -> float:
        """Time of a decode step in ms."""
        tables = self._tables
        by_context = [np.interp(batch * context, tables.kv_tokens, column) for column in tables.step_ms.T]
        return float(np.interp(context, tables.context_tokens, by_context))


@contextmanager
def planner(
    settings: Mapping[str, Any], prefill: MockEngineArgs, decode: MockEngineArgs
) -> Iterator[ReplayPlannerAdapter]:
    """A planner that NVIDIA's replay loop can ask; `settings` are fields of its own configuration."""
    pick = {"tp": 1}
    config = PlannerConfig.model_validate(
        {
            "mode": "disagg",
            "backend": "vllm",
            "ttft_ms": scene.OBJECTIVES.ttft.target_s * 1e3,
            "itl_ms": scene.OBJECTIVES.tpot.target_s * 1e3,
            "prefill_engine_num_gpu": 1,
            "decode_engine_num_gpu": 1,
            "aic_perf_model": {
                "hf_id": "Qwen/Qwen3-32B",
                "system": "h200_sxm",
                "backend": "vllm",
                "backend_version": "0.24.0",
                "prefill_pick": pick,
                "decode_pick": pick,
            },
            "advisory": True,
            "report_interval_hours": None,
            "live_dashboard_port": 0,
            "control_api_port": 0,
            **settings,
        }
    )
    adapter = create_replay_planner_adapter(
        config,
        WorkerCapabilities(prefill=_engine_caps(prefill), decode=_engine_caps(decode)),
        benchmark_granularity=_GRANULARITY,
        capture_details=False,
    )
    if config.optimization_target == "sla":
        session = ProfileSession()
        adapter.install_benchmark_fpms(
            prefill_fpms=_generate_aic_prefill_fpms(session, prefill, _GRANULARITY),
            decode_fpms=_generate_aic_decode_fpms(session, decode, _GRANULARITY),
        )
    with adapter:
        yield adapter
