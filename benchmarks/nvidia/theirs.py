"""NVIDIA's simulator on a job: a process in its own environment, its answers kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from autoscaler.core.policy import ServicePolicy
from autoscaler.simulation.traces import Trace
from benchmarks.nvidia import scene
from benchmarks.nvidia.outcome import Outcome, request_order

PYTHON = scene.BENCH / "venv" / "bin" / "python"
_HASH_TOKENS = 512
_LONGEST_S = 3600.0

PlannerConfig = Mapping[str, object]
"""Fields of the planner's own configuration."""


def replay(job: scene.Job, trace: Trace, scaling: ServicePolicy | PlannerConfig | None = None) -> Outcome:
    """Play a load in NVIDIA's simulator, or read what an equal earlier call kept.

    Args:
        job: The load and the fleet to start with.
        trace: The load's requests.
        scaling: Our scaling policy, a configuration of their planner, or None for a static fleet.
    """
    cell = _cell(job, trace, _policy(scaling))
    if not (cell / "summary.json").exists():
        if isinstance(scaling, ServicePolicy):
            (cell / "policy.pickle").write_bytes(pickle.dumps(scaling))
        _run("replay", str(cell), str(_trace_file(job.load, trace)))
    return _read(cell, trace)


def bare_speed_s(job: scene.Job, trace: Trace) -> float:
    """Wall time of a static run that keeps nothing per request; always run anew."""
    cell = _cell(job, trace, {"kind": "static", "bare": True})
    _run("replay", str(cell), str(_trace_file(job.load, trace)))
    return float(json.loads((cell / "summary.json").read_text())["took_s"])


def _policy(scaling: ServicePolicy | PlannerConfig | None) -> Mapping[str, object]:
    if scaling is None:
        return {"kind": "static"}
    if isinstance(scaling, ServicePolicy):
        hook = hashlib.sha256((scene.HERE / "peer" / "hook.py").read_bytes()).hexdigest()[:16]
        return {"kind": "ours", "policy": repr(scaling), "code": sources_digest("core"), "hook": hook}
    return {"kind": "planner", "config": dict(scaling)}


def sources_digest(package: str) -> str:
    """What tells one state of a package of ours from another."""
    digest = hashlib.sha256()
    for path in sorted((scene.ROOT / "autoscaler" / package).rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _cell(job: scene.Job, trace: Trace, policy: Mapping[str, object]) -> Path:
    request = {"job": asdict(job), "policy": policy, "scene": _scene(), "trace": _digest(trace)}
    text = json.dumps(request, sort_keys=True)
    cell = scene.BENCH / "cells" / f"{job.load}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    cell.mkdir(parents=True, exist_ok=True)
    (cell / "request.json").write_text(text)
    return cell


def versions() -> Mapping[str, str]:
    """Versions of NVIDIA's packages in the environment that runs them."""
    answer: dict[str, str] = json.loads(_run("versions"))
    return answer


def environment() -> dict[str, str]:
    """Environment of a process on their side: our sources in sight, their log silent, nothing to download from."""
    return {**os.environ, "PYTHONPATH": str(scene.ROOT), "DYN_LOG": "error", "HF_HUB_OFFLINE": "1"}


def _run(module: str, *arguments: str) -> str:
    if not PYTHON.exists():
        sys.exit(f"{PYTHON} is missing: run `make -C benchmarks/nvidia env` first")
    command = [str(PYTHON), "-m", f"benchmarks.nvidia.peer.{module}", *arguments]
    done = subprocess.run(
        command, cwd=scene.ROOT, env=environment(), capture_output=True, text=True, timeout=_LONGEST_S, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    return done.stdout


def _scene() -> dict[str, object]:
    names = (
        "NUM_BLOCKS",
        "BLOCK_SIZE",
        "KV_BYTES_PER_TOKEN",
        "MAX_SEQUENCES",
        "MAX_BATCHED_TOKENS",
        "LINK_BYTES_PER_S",
    )
    return {
        **{name: getattr(scene, name) for name in names},
        "profile": hashlib.sha256(scene.PROFILE.read_bytes()).hexdigest()[:16],
        "requirements": hashlib.sha256((scene.HERE / "requirements.txt").read_bytes()).hexdigest()[:16],
    }


def _digest(trace: Trace) -> str:
    columns = (trace.arrival_s, trace.input_tokens, trace.output_tokens)
    return hashlib.sha256(b"".join(column.tobytes() for column in columns)).hexdigest()[:16]


def _trace_file(name: str, trace: Trace) -> Path:
    path = scene.BENCH / "traces" / f"{name}-{_digest(trace)}.jsonl"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_mooncake(trace, path)
    return path


def write_mooncake(trace: Trace, path: Path) -> None:
    """Write a trace as Mooncake JSON lines in which no two prompts share a prefix."""
    first = np.concatenate(([0], np.cumsum(-(-trace.input_tokens // _HASH_TOKENS))))
    with path.open("w") as file:
        for row in range(len(trace)):
            line = {
                "timestamp": float(trace.arrival_s[row]) * 1e3,
                "input_length": int(trace.input_tokens[row]),
                "output_length": int(trace.output_tokens[row]),
                "hash_ids": list(range(int(first[row]), int(first[row + 1]))),
            }
            file.write(json.dumps(line) + "\n")


def _read(cell: Path, trace: Trace) -> Outcome:
    summary = json.loads((cell / "summary.json").read_text())
    with np.load(cell / "requests.npz") as rows:
        order = request_order(rows["arrival_s"], rows["input_tokens"], rows["output_tokens"])
        mine = request_order(trace.arrival_s, trace.input_tokens, trace.output_tokens)
        if not np.array_equal(rows["input_tokens"][order], trace.input_tokens[mine]):
            sys.exit(f"{cell}: NVIDIA's simulator served other requests than the load has")
        return Outcome(
            rows["ttft_s"][order],
            rows["tpot_s"][order],
            rows["finished"][order],
            int(rows["preemptions"].sum()),
            summary["gpu_hours"],
            tuple((at_s, role, before, after) for at_s, role, before, after in summary["changes"]),
            summary["duration_s"],
            summary["took_s"],
        )
