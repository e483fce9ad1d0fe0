"""What policies would have done with a recorded load: one row per policy, ours first.

Every policy starts from the same fleet and is played on the same requests with the same seed. A request counts as
attained only if TTFT and mean TPOT both hold; failed, rejected and unfinished ones are misses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any, Protocol

from autoscaler.core.policy import Role, ServicePolicy
from autoscaler.report.run import RunTimeline
from autoscaler.simulation.baselines.registry import BASELINES
from autoscaler.simulation.baselines.site import Bounds, Site
from autoscaler.simulation.clairvoyant.bound import clairvoyant_cost
from autoscaler.simulation.clairvoyant.demand import sustained_peak
from autoscaler.simulation.clairvoyant.work import work_of
from autoscaler.simulation.config import PoolConfig, ServiceConfig, SimulationError
from autoscaler.simulation.counters import Floats
from autoscaler.simulation.results import Results
from autoscaler.simulation.run import Controller, PolicyAt, run, unchanging
from autoscaler.simulation.static import run_static
from autoscaler.simulation.timeline import clairvoyant_need, timeline_of
from autoscaler.simulation.traces import Trace
from autoscaler.simulation.traces.reshape import between

# The fleet at the start is what the first minutes need at their peak, for everyone alike.
_FIRST_S = 600.0
_HOUR_S = 3600.0
STATIC_PEAK = "static-peak"


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one policy.

    Attributes:
        policy: Its name.
        attainment: Share of requests inside both objectives.
        ttft_p95_s: 95th percentile of the time to first token.
        tpot_p95_s: 95th percentile of the mean time per output token.
        gpu_hours: GPU time, starting and draining replicas included.
        bound_gpu_hours: Estimated cost of a schedule that knows the load beforehand, at the objectives' share.
        actions: Changes of replica counts.
        reversals_per_hour: Changes against the direction of the last one within ten minutes, per hour.
        misses: Requests outside an objective.
        violation_s: Time in minutes that attained less than the objective.
        worst_5min: Attainment of the worst five minutes.
        simulated_requests_per_s: Speed of the simulation, decisions included.
    """

    policy: str
    attainment: float
    ttft_p95_s: float
    tpot_p95_s: float
    gpu_hours: float
    bound_gpu_hours: float
    actions: int
    reversals_per_hour: float
    misses: int
    violation_s: float
    worst_5min: float
    simulated_requests_per_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """One load under several policies.

    Attributes:
        trace: Name of the load.
        requests: Requests in it.
        duration_s: Its length.
        rows: What came of each policy.
        timelines: How each run went, in the order of the rows.
        need: Replicas that a schedule which knows the load keeps, per role and bin of the timelines.
    """

    trace: str
    requests: int
    duration_s: float
    rows: tuple[Row, ...]
    timelines: tuple[RunTimeline, ...] = ()
    need: Mapping[Role, Floats] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """The stable plain form: trace, requests, how long they take to arrive, and rows."""
        return {
            "trace": self.trace,
            "requests": self.requests,
            "duration_s": self.duration_s,
            "rows": [asdict(row) for row in self.rows],
        }


class Watcher(Protocol):
    """Is told how a replay gets on."""

    def begins(self, what: str) -> None:
        """The next part is about to begin, in words."""
        ...

    def reached(self, share: float) -> None:
        """How much of it is done, from 0 to 1."""
        ...


class Nobody:
    """Watches nothing."""

    def begins(self, what: str) -> None:
        """Ignored."""

    def reached(self, share: float) -> None:
        """Ignored."""


NOBODY = Nobody()


def service_of(policy: ServicePolicy, trace: Trace) -> ServiceConfig:
    """The service that a policy describes, started with what the load's first minutes need.

    Raises:
        SimulationError: A pool has no engine model, so nobody knows how fast a replica is.
    """
    pools = {}
    for role, pool in policy.roles.items():
        if pool.engine is None:
            raise SimulationError(f"{policy.service}: {role} has no engine model; a replay needs spec.engine")
        pools[role] = PoolConfig(
            pool.engine, gpus_per_replica=pool.gpus_per_replica, startup_time_s=pool.startup_time_s
        )
    config = ServiceConfig(policy.service, pools, policy.objectives)
    first = between(trace, 0.0, _FIRST_S)
    peak = sustained_peak(work_of(config, first)) if len(first) else {}
    bounds = {role: Bounds(pool.min_replicas, pool.max_replicas) for role, pool in policy.roles.items()}
    return config.starting_with({role: bounds[role].clamp(peak.get(role, 1)) for role in pools})


def replay(
    policies: Mapping[str, ServicePolicy],
    trace: Trace,
    *,
    against: Sequence[str] = (),
    seed: int = 0,
    watcher: Watcher = NOBODY,
    at: Mapping[str, PolicyAt] = MappingProxyType({}),
) -> Replay:
    """Play a load under our policies, and then under others with their published defaults.

    Args:
        policies: Ours by name, at least one; the first describes the service for all.
        trace: The load.
        against: Names in the registry of baselines, or `static-peak`.
        seed: Of everything random.
        watcher: Told how it gets on.
        at: What holds of ours when, such as bounds by schedule, by the policy's name.

    Raises:
        SimulationError: A name is not known, or an engine model is missing.
    """
    described_by, first = next(iter(policies.items()))
    config = service_of(at.get(described_by, unchanging)(first, 0.0), trace)
    startup_s = max(pool.startup_time_s for pool in config.pools.values())
    attainment_ratio = first.objectives.attainment_ratio
    cost = clairvoyant_cost(config, trace, (startup_s,), attainment_ratio=attainment_ratio)
    bound = cost.ready_optimum_gpu_hours[startup_s]
    gpus = {role: pool.gpus_per_replica for role, pool in config.pools.items()}
    rows, timelines = [], []
    duration_s = max(trace.duration_s, 1.0)
    for name, play in _plays(policies, at, config, trace, against, seed):
        watcher.begins(f"playing {name}")
        started_s = time.perf_counter()
        results = play(lambda now_s: watcher.reached(min(now_s / duration_s, 1.0)))
        rows.append(_row(name, results, bound, time.perf_counter() - started_s))
        timelines.append(timeline_of(results, trace, gpus))
    need = clairvoyant_need(config, trace, startup_s=startup_s, attainment_ratio=attainment_ratio)
    return Replay(trace.name, len(trace), trace.duration_s, tuple(rows), tuple(timelines), need)


def known_baseline(name: str) -> str:
    """The name of something to play against.

    Raises:
        SimulationError: There is none of that name.
    """
    known = (*BASELINES, STATIC_PEAK)
    if name not in known:
        raise SimulationError(f"no baseline is called {name}; there are {', '.join(known)}")
    return name


Reached = Callable[[float], None]
Play = Callable[[Reached], Results]


def _plays(
    policies: Mapping[str, ServicePolicy],
    at: Mapping[str, PolicyAt],
    config: ServiceConfig,
    trace: Trace,
    against: Sequence[str],
    seed: int,
) -> Iterator[tuple[str, Play]]:
    described = next(iter(policies.values()))
    # What they read is rates and queues of pools that serve: none of them can tell when to start the first replica.
    bounds = {role: Bounds(max(pool.min_replicas, 1), pool.max_replicas) for role, pool in described.roles.items()}
    site = replace(Site.of(config, trace), bounds=bounds)
    others = [known_baseline(name) for name in against]
    for name, policy in policies.items():
        yield name, _controlled(policy, config, trace, seed, at.get(name, unchanging))
    for name in others:
        if name == STATIC_PEAK:
            yield name, _constant(config, trace, sustained_peak(work_of(config, trace)), seed)
        else:
            baseline = BASELINES[name]
            yield name, _controlled(baseline.build(site, baseline.default), config, trace, seed)


def _controlled(
    controller: Controller | ServicePolicy,
    config: ServiceConfig,
    trace: Trace,
    seed: int,
    at: PolicyAt = unchanging,
) -> Play:
    return lambda reached: run(controller, config, trace, seed=seed, at=at, reached=reached)


def _constant(config: ServiceConfig, trace: Trace, replicas: Mapping[Role, int], seed: int) -> Play:
    return lambda _reached: run_static(config, trace, replicas, seed=seed)


def _row(name: str, results: Results, bound: float, took_s: float) -> Row:
    return Row(
        policy=name,
        attainment=results.attainment_ratio,
        ttft_p95_s=results.ttft_s[95],
        tpot_p95_s=results.tpot_s[95],
        gpu_hours=results.gpu_hours,
        bound_gpu_hours=bound,
        actions=len(results.actions),
        # A run may end with its first instant, but not after changing direction.
        reversals_per_hour=results.reversals / (results.duration_s / _HOUR_S) if results.reversals else 0.0,
        misses=results.arrived - round(results.attainment_ratio * results.arrived),
        violation_s=results.violation_s,
        worst_5min=results.worst_5min_ratio,
        simulated_requests_per_s=results.arrived / took_s,
    )
