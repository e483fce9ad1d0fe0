"""CPU time of one decision of ours, and of one tick of NVIDIA's planner, on the same simulated service.

Run as `python -m benchmarks.decision_cost` from the repository's root; `make -C benchmarks/nvidia env` first. Both
watch the same load on a fleet that is as large as it should be; their first half hour warms them up and does not count.
What the simulator takes to tell them, and the pipe to the planner's process, are not in it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from autoscaler.core.decide import decide
from autoscaler.core.state import State
from autoscaler.simulation.service import Service
from autoscaler.simulation.traces import Trace
from autoscaler.simulation.traces.synthetic import poisson
from benchmarks.nvidia import contenders, ours
from benchmarks.nvidia.feed import Feed
from benchmarks.nvidia.home import piped_planner
from benchmarks.nvidia.scene import Job

JOB = Job("decision-cost", prefill=4, decode=3, startup_time_s=120.0)
HOUR_S, WARM_UP_S = 3600.0, 1800.0
PLANNERS = (contenders.DEFAULT_PLANNER, "planner, sla", "planner, load 5 s", "planner, hybrid 60/5")


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU times of single ticks, in seconds, and how long they watched."""

    ticks_s: Sequence[float]
    watched_s: float

    @property
    def median_ms(self) -> float:
        """Of one tick."""
        return statistics.median(self.ticks_s) * 1e3

    @property
    def ms_per_minute(self) -> float:
        """Of all ticks, by the minute that was watched."""
        return sum(self.ticks_s) * 1e3 / (self.watched_s / 60.0)


def load() -> Trace:
    """An hour of Poisson arrivals."""
    return poisson(8.0, HOUR_S, Trace.of(0.0, 2000, 200), seed=1)


def our_cost() -> Cost:
    """Our default policy; every decision is taken and none is carried out."""
    policy, service, state = contenders.ours(JOB.startup_time_s), Service(ours.service_config(JOB), load()), State()
    spent_s: list[float] = []
    while service.now_s < HOUR_S:
        service.advance_to(service.now_s + policy.interval_s)
        snapshot = service.snapshot(service.now_s)
        begun_s = time.process_time()
        _, state = decide(policy, snapshot, state, service.now_s)
        if service.now_s > WARM_UP_S:
            spent_s.append(time.process_time() - begun_s)
    return Cost(spent_s, HOUR_S - WARM_UP_S)


def planner_cost(name: str) -> Cost:
    """NVIDIA's planner with some settings; it is told that its targets came."""
    service = Service(ours.service_config(JOB), load())
    feed, spent_s = Feed(service), []
    with piped_planner(JOB, contenders.planner(name)) as (first_tick_ms, ask):
        tick_ms = first_tick_ms
        while tick_ms / 1e3 < HOUR_S:
            service.advance_to(tick_ms / 1e3)
            answer = ask(feed.metrics())
            if service.now_s > WARM_UP_S:
                spent_s.append(answer["cpu_s"])
            tick_ms = answer["next_tick_ms"]
    return Cost(spent_s, HOUR_S - WARM_UP_S)


def main() -> None:
    """Print the costs and their ratio to ours."""
    mine = our_cost()
    print(f"{'':24}{'ms a tick':>12}{'times ours':>12}{'ms a minute':>14}{'times ours':>12}")
    print(f"{'ours':24}{mine.median_ms:12.3f}{1:12.1f}{mine.ms_per_minute:14.2f}{1:12.1f}")
    for name in PLANNERS:
        their = planner_cost(name)
        per_tick, per_minute = their.median_ms / mine.median_ms, their.ms_per_minute / mine.ms_per_minute
        print(f"{name:24}{their.median_ms:12.3f}{per_tick:12.1f}{their.ms_per_minute:14.2f}{per_minute:12.1f}")


if __name__ == "__main__":
    main()
