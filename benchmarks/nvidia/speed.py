"""Requests per second of both simulators, on the same loads and fleets, one after the other.

Run as `TRACES=folder python -m benchmarks.nvidia.speed`; writes results/speed.json.
"""

from __future__ import annotations

import statistics
from dataclasses import asdict

from benchmarks.nvidia import kept, loads, ours, tables, theirs
from benchmarks.nvidia.scene import Job

JOBS = (
    Job("azure2023-conv-x4", 5, 3),
    Job("azure2023-conv-x4", 5, 3, routing="by_load"),
    Job("azure2023-conv-x8", 8, 4),
    Job("servegen-r1-x2", 2, 4),
    Job("mooncake-conversation-x1", 8, 5),
)
_RUNS = 3


def main() -> None:
    """Measure and keep the medians; ours is compiled before."""
    ours.replay(Job("warm-up", 1, 1), loads.load("steady-12"))
    rows = []
    for job in JOBS:
        trace = loads.load(job.load)
        pairs = [(ours.replay(job, trace).took_s, theirs.bare_speed_s(job, trace)) for _ in range(_RUNS)]
        mine_s, peers_s = (statistics.median(times_s) for times_s in zip(*pairs, strict=True))
        rows.append({"job": asdict(job), "requests": len(trace), "ours_s": mine_s, "theirs_s": peers_s})
        print(tables.speed(rows[-1:]).splitlines()[-1], flush=True)
    kept.write("speed", rows)
    tables.main()


if __name__ == "__main__":
    main()
