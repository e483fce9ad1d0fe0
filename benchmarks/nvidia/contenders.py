"""Who plays: our default policy, NVIDIA's planner in its modes, and the static fleet of hindsight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autoscaler.config.behavior import Behavior
from autoscaler.core.engines import find_engine
from autoscaler.core.policy import Mode, Role, RolePolicy, ServicePolicy
from benchmarks.nvidia import scene

Settings = Mapping[str, object]
Row = Mapping[str, Any]

BUDGET_GPUS = 32

STATIC, OURS = "static in hindsight", "ours"

_SLA: Settings = {"optimization_target": "sla"}
_BOTH: Settings = {**_SLA, "enable_throughput_scaling": True, "enable_load_scaling": True}
_LOAD: Settings = {**_SLA, "enable_throughput_scaling": False, "enable_load_scaling": True}
_MINUTE: Settings = {"throughput_adjustment_interval_seconds": 60, "load_predictor": "constant"}

DEFAULT_PLANNER = "planner, default target"
PLANNERS: Mapping[str, Settings] = {
    DEFAULT_PLANNER: {},
    "planner, latency": {"optimization_target": "latency"},
    "planner, sla": _SLA,
    "planner, sla 60 s": {**_SLA, **_MINUTE},
    "planner, load 5 s": _LOAD,
    "planner, load 10 s": {**_LOAD, "load_adjustment_interval_seconds": 10},
    "planner, hybrid 180/5": _BOTH,
    "planner, hybrid 60/5": {**_BOTH, **_MINUTE},
    "planner, hybrid 60/5 Kalman": {**_BOTH, **_MINUTE, "load_predictor": "kalman"},
    "planner, hybrid 60/5, down at 70 %": {**_BOTH, **_MINUTE, "load_scaling_down_sensitivity": 70},
    "planner, hybrid 60/5, down at 90 %": {**_BOTH, **_MINUTE, "load_scaling_down_sensitivity": 90},
    # Tuned on the planner's behalf, with objectives tighter than those that count.
    "planner, tight": {**_BOTH, **_MINUTE, "ttft_ms": 200, "itl_ms": 30, "load_scaling_down_sensitivity": 20},
    "planner, never down": {**_BOTH, **_MINUTE, "ttft_ms": 400, "itl_ms": 30, "load_scaling_down_sensitivity": 0},
}
"""The planner's modes, its published sweep (predictors, intervals, sensitivities), and two tuned settings."""


def planner(name: str) -> Settings:
    """A planner's settings under the match's budget."""
    return {**PLANNERS[name], "max_gpu_budget": BUDGET_GPUS}


def finalists(rows: Sequence[Row]) -> list[str]:
    """Of the planner's settings: its default, the one that attains most, and the one that does per GPU-hour."""
    best = (
        max(rows, key=lambda row: (row[measure], -row["gpu_hours"]))
        for measure in ("attainment", "attained_per_gpu_hour")
    )
    return list(dict.fromkeys((DEFAULT_PLANNER, *(row["contender"] for row in best))))


def ours(startup_time_s: float) -> ServicePolicy:
    """Our policy as a user gets it: objectives, startup time, the engine's built-in timing; all else default."""
    _, engine = find_engine("Qwen/Qwen3-32B", "h200", tensor_parallel=1)
    role = RolePolicy(
        min_replicas=1,
        max_replicas=BUDGET_GPUS - 1,
        gpus_per_replica=1.0,
        startup_time_s=startup_time_s,
        behavior=Behavior().core(),
        engine=engine,
    )
    return ServicePolicy(
        "match",
        Mode.ENFORCE,
        scene.OBJECTIVES,
        {Role.PREFILL: role, Role.DECODE: role},
        budget_gpus=float(BUDGET_GPUS),
    )
