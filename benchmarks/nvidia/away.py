"""Away match: our default policy and NVIDIA's planner, in NVIDIA's simulator.

Run as `TRACES=folder python -m benchmarks.nvidia.away`; writes results/away.json.
"""

from __future__ import annotations

from benchmarks.nvidia import contenders, loads, match, theirs
from benchmarks.nvidia.outcome import Outcome
from benchmarks.nvidia.scene import Job


def play(job: Job, name: str) -> Outcome:
    """Run one contender in NVIDIA's simulator."""
    trace = loads.load(job.load)
    if name == contenders.STATIC:
        return theirs.replay(job, trace)
    if name == contenders.OURS:
        return theirs.replay(job, trace, contenders.ours(job.startup_time_s))
    return theirs.replay(job, trace, contenders.planner(name))


if __name__ == "__main__":
    # NVIDIA's router breaks ties at random, and what the first minutes bring steers all that ours does later.
    match.run("away", play, repeats=3, own_repeats=8)
