"""Home match: our default policy and NVIDIA's planner, in our simulator.

Run as `TRACES=folder python -m benchmarks.nvidia.home`; writes results/home.json. The planner runs in its own
environment and is asked over a pipe.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from autoscaler.core.policy import Role
from autoscaler.simulation.run import run
from autoscaler.simulation.service import Service
from autoscaler.simulation.traces import Trace
from benchmarks.nvidia import contenders, loads, match, ours, outcome, scene, theirs
from benchmarks.nvidia.feed import Feed
from benchmarks.nvidia.outcome import Outcome
from benchmarks.nvidia.scene import Job

_TAIL_S = 3600.0

Ask = Callable[[dict[str, Any]], dict[str, Any]]


def play(job: Job, name: str) -> Outcome:
    """Run one contender in our simulator."""
    trace = loads.load(job.load)
    if name == contenders.STATIC:
        return ours.replay(job, trace)
    if name == contenders.OURS:
        return _ours(job, trace)
    settings = contenders.planner(name)
    key = json.dumps([asdict(job), settings, theirs.sources_digest("simulation")], sort_keys=True)
    cell = scene.BENCH / "home" / f"{job.load}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
    if not cell.exists():
        cell.parent.mkdir(parents=True, exist_ok=True)
        outcome.keep(_planner(job, trace, settings), cell)
    return outcome.recall(cell)


def _ours(job: Job, trace: Trace) -> Outcome:
    begun_s = time.perf_counter()
    results = run(contenders.ours(job.startup_time_s), ours.service_config(job), trace, tail_s=_TAIL_S)
    return ours.outcome(results, trace, time.perf_counter() - begun_s)


def _planner(job: Job, trace: Trace, settings: contenders.Settings) -> Outcome:
    begun_s = time.perf_counter()
    service = Service(ours.service_config(job), trace)
    feed = Feed(service)
    with piped_planner(job, settings) as (first_tick_ms, ask):
        tick_ms = first_tick_ms
        while not service.settled and service.now_s < trace.duration_s + _TAIL_S:
            service.advance_to(tick_ms / 1e3)
            answer = ask(feed.metrics())
            for role in (Role.PREFILL, Role.DECODE):
                if answer[f"target_{role.value}"] is not None:
                    service.scale(role, answer[f"target_{role.value}"])
            tick_ms = answer["next_tick_ms"]
    return ours.outcome(service.finish(), trace, time.perf_counter() - begun_s)


@contextmanager
def piped_planner(job: Job, settings: contenders.Settings) -> Iterator[tuple[float, Ask]]:
    """A planner in its own environment: the time of its first tick in ms, and how to ask it."""
    command = [str(theirs.PYTHON), "-m", "benchmarks.nvidia.peer.pipe"]
    log = scene.BENCH / "planner.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command,
            cwd=scene.ROOT,
            env=theirs.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - asked for above

        def ask(message: dict[str, Any]) -> dict[str, Any]:
            print(json.dumps(message), file=process.stdin, flush=True)
            line = process.stdout.readline() if process.stdout is not None else ""
            if not line:
                raise SystemExit(f"the planner died; see {log}")
            answer: dict[str, Any] = json.loads(line)
            return answer

        first = ask({"job": asdict(job), "config": dict(settings)})
        yield first["next_tick_ms"], ask
        process.stdin.close()


if __name__ == "__main__":
    match.run("home", play)
