"""NVIDIA's planner on a pipe: JSON lines in, JSON lines out.

The first line in holds the job and the planner's settings, its answer the time of the first tick; each further line in
holds tick metrics, its answer the targets, the time of the next tick and the CPU time of this one. Ends with its input.
"""

from __future__ import annotations

import json
import os
import sys
import time

from benchmarks.nvidia import scene
from benchmarks.nvidia.peer.planner import planner
from benchmarks.nvidia.peer.replay import engine_args


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever the planner prints is no answer
    request = json.loads(sys.stdin.readline())
    job = scene.Job(**request["job"])
    prefill, decode = (engine_args(role, job.startup_time_s) for role in ("prefill", "decode"))
    with planner(request["config"], prefill, decode) as adapter:
        answers.write(json.dumps({"next_tick_ms": adapter.initial_tick_ms()}) + "\n")
        for line in sys.stdin:
            metrics = json.loads(line)
            begun_s = time.process_time()
            answer = adapter.on_tick(metrics)
            answers.write(json.dumps({**answer, "cpu_s": time.process_time() - begun_s}) + "\n")


if __name__ == "__main__":
    main()
