"""Made-up replays to render."""

from __future__ import annotations

from typing import Any

import numpy as np

from autoscaler.core.policy import LatencyObjective, Objectives, Role
from autoscaler.report.html.replay import ReplayView
from autoscaler.report.run import RunTimeline

HOSTILE = "</script><script>alert('x')</script><b>\"&"
OBJECTIVES = Objectives(LatencyObjective(0.95, 2.0), LatencyObjective(0.95, 0.05), 0.99)


def row(policy: str = "pd-autoscaler", **changed: Any) -> dict[str, Any]:
    return {
        "policy": policy,
        "attainment": 0.9942,
        "ttft_p95_s": 0.84,
        "tpot_p95_s": 0.031,
        "gpu_hours": 512.25,
        "bound_gpu_hours": 401.5,
        "actions": 42,
        "reversals_per_hour": 0.25,
        "misses": 1234,
        "violation_s": 540.0,
        "worst_5min": 0.61,
        "simulated_requests_per_s": 48_000.0,
        **changed,
    }


def timeline(*, bins: int = 288, scale: float = 1.0) -> RunTimeline:
    at_s = 300.0 * np.arange(bins, dtype=np.float64)
    wave = (1.2 - np.cos(at_s / 86_400 * 2 * np.pi)) * scale
    ttft_s = 0.4 + 0.3 * wave
    ttft_s[100:103] = 14.0
    quiet = slice(10, 20)
    ttft_s[quiet] = np.nan
    apart = np.where(wave > 1.0, 1.0, 0.3)
    apart[:30], apart[quiet] = 0.0, np.nan
    return RunTimeline(
        bin_s=300.0,
        at_s=at_s,
        requests_per_s=9.0 * wave,
        input_tokens_per_s=18_000.0 * wave,
        ttft_p95_s=ttft_s,
        tpot_p95_s=0.02 + 0.01 * wave,
        in_time_ratio=np.where(ttft_s > 2, 0.4, 1.0),
        missed=np.where(ttft_s > 2, 310.0, 0.0),
        apart_ratio=apart,
        ready={Role.PREFILL: np.ceil(4 * wave), Role.DECODE: np.ceil(7 * wave)},
        gpus=4 * (np.ceil(4 * wave) + np.ceil(7 * wave)),
    )


def replay_view(policy: str = "pd-autoscaler") -> ReplayView:
    shown = timeline()
    rows = [row(policy), row("hpa", attainment=0.71, gpu_hours=766.0), row("static-peak", gpu_hours=900.0)]
    record = {"trace": f"azure2024 {HOSTILE}", "requests": 271_828, "rows": rows}
    need = {role: np.maximum(ready - 1, 1) for role, ready in shown.ready.items()}
    runs = (shown, timeline(scale=1.5), timeline(scale=1.8))
    return ReplayView(record, 86_400.0, OBJECTIVES, runs, need, ("Lengths were drawn from histograms.",))


def sweep_record() -> dict[str, Any]:
    rows = [
        {
            "policy": "chat",
            "startup": startup,
            "ttft": ttft,
            **{key: value for key, value in row().items() if key != "policy"},
        }
        for startup in ("60s", "240s", "600s")
        for ttft in ("1s", "2s")
    ]
    return {"trace": "a day", "requests": 271_828, "rows": rows}
