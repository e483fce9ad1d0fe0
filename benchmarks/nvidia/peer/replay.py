"""Run one job in NVIDIA's simulator: `python -m benchmarks.nvidia.peer.replay CELL TRACE`.

Reads CELL/request.json; writes CELL/requests.npz and, last, CELL/summary.json.
"""

from __future__ import annotations

import json
import math
import pickle
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from dynamo._core import MockEngineArgs, run_mocker_trace_replay

from benchmarks.nvidia import scene
from benchmarks.nvidia.peer.hook import DecideBehindHook
from benchmarks.nvidia.peer.planner import planner

_HASH_TOKENS = 512
_ROUTERS = {"round_robin": "round_robin", "by_load": "kv_router"}


def engine_args(role: str, startup_time_s: float) -> MockEngineArgs:
    """One worker of a role."""
    settings = {
        "engine_type": "vllm",
        "worker_type": role,
        "planner_profile_data": str(scene.PROFILE),
        "num_gpu_blocks": scene.NUM_BLOCKS,
        "block_size": scene.BLOCK_SIZE,
        "max_num_seqs": scene.MAX_SEQUENCES,
        "max_num_batched_tokens": scene.MAX_BATCHED_TOKENS,
        "max_model_len": scene.MAX_MODEL_TOKENS,
        "enable_prefix_caching": False,
        "enable_chunked_prefill": True,
        "kv_bytes_per_token": scene.KV_BYTES_PER_TOKEN,
        "kv_transfer_bandwidth": scene.LINK_BYTES_PER_S / 1e9,
        "startup_time": startup_time_s or None,
    }
    return MockEngineArgs.from_json(json.dumps(settings))


def main(cell: Path, trace: Path) -> None:
    """Play the trace under the cell's policy."""
    request = json.loads((cell / "request.json").read_text())
    job = scene.Job(**request["job"])
    bare = request["policy"].get("bare", False)
    prefill, decode = (engine_args(role, job.startup_time_s) for role in ("prefill", "decode"))
    with scaling_policy(request["policy"], cell, prefill, decode) as policy:
        result = run_mocker_trace_replay(
            [str(trace)],
            prefill_engine_args=prefill,
            decode_engine_args=decode,
            num_prefill_workers=job.prefill,
            num_decode_workers=job.decode,
            router_mode=_ROUTERS[job.routing],
            trace_block_size=_HASH_TOKENS,
            report_jsonl_path=None if bare else str(cell / "report.jsonl"),
            scaling_policy=policy,
        )
    if not bare:
        keep_requests(cell / "report.jsonl", cell / "requests.npz")
    keep_summary(cell / "summary.json", job, result)


@contextmanager
def scaling_policy(
    policy: Mapping[str, Any], cell: Path, prefill: MockEngineArgs, decode: MockEngineArgs
) -> Iterator[Any]:
    """The object that NVIDIA's loop asks at each tick, or None for a static fleet."""
    match policy["kind"]:
        case "static":
            yield None
        case "ours":
            scaling = pickle.loads((cell / "policy.pickle").read_bytes())  # noqa: S301 - our own process wrote it
            yield DecideBehindHook(scaling, float(scene.NUM_BLOCKS * scene.BLOCK_SIZE))
        case "planner":
            with planner(policy["config"], prefill, decode) as adapter:
                yield adapter
        case other:
            raise ValueError(f"unknown policy kind {other!r}; known are static, ours, planner")


def keep_requests(report: Path, requests: Path) -> None:
    """Turn the report, one JSON object per request, into columns."""
    rows = []
    with report.open() as lines:
        for line in lines:
            row = json.loads(line)
            rows.append(
                (
                    row["arrival_time_ms"] / 1e3,
                    row["input_length"],
                    row["requested_output_length"],
                    _seconds(row["ttft_ms"]),
                    _seconds(row["itl_ms"]) if row["output_length"] > 1 else math.nan,
                    row["terminal_status"] == "completed",
                    row["readmission_count"],
                )
            )
    names = ("arrival_s", "input_tokens", "output_tokens", "ttft_s", "tpot_s", "finished", "preemptions")
    columns = dict(zip(names, map(np.array, zip(*rows, strict=True)), strict=True))
    np.savez_compressed(requests, **columns)
    report.unlink()


def _seconds(milliseconds: float | None) -> float:
    return math.nan if milliseconds is None else milliseconds / 1e3


def keep_summary(path: Path, job: scene.Job, result: Any) -> None:
    """Keep cost, scaling and speed; written last, so that a cell with a summary is whole."""
    wanted = {"prefill": job.prefill, "decode": job.decode}
    changes = []
    for operation in result.lifecycle_operations:
        if operation["cause"] != "planner_scale":
            continue
        role, state = operation["pool"], operation["state_after_batch"]
        after = len(state["active"]) + len(state["starting"])
        changes.append((operation["at_ms"] / 1e3, role, wanted[role], after))
        wanted[role] = after
    summary = {
        "gpu_hours": result.summary["gpu_hours"],
        "duration_s": result.summary["duration_ms"] / 1e3,
        "took_s": result.summary["wall_time_ms"] / 1e3,
        "changes": changes,
    }
    path.write_text(json.dumps(summary))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
