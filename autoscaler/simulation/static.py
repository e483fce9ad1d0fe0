"""Fleets of constant size: what the same load costs without an autoscaler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.core.policy import Role
from autoscaler.simulation.config import ServiceConfig, SimulationError
from autoscaler.simulation.results import Results
from autoscaler.simulation.run import run
from autoscaler.simulation.traces import Trace

_GROWTH_DIVISOR = 4
_MOST_REPLICAS = 256


@dataclass(frozen=True, slots=True)
class StaticFleet:
    """A constant number of replicas per role, and what came of it."""

    replicas: Mapping[Role, int]
    results: Results


def run_static(config: ServiceConfig, trace: Trace, replicas: Mapping[Role, int], *, seed: int = 0) -> Results:
    """Play a trace on a fleet of constant size, to the end that a run under any controller has."""
    return run(lambda _snapshot, _memory, _now_s: replicas, config.starting_with(replicas), trace, seed=seed)


def smallest_static_fleet(
    config: ServiceConfig, trace: Trace, *, start: Mapping[Role, int], seed: int = 0
) -> StaticFleet:
    """Search the smallest constant fleet that keeps the objectives through the peak of a trace.

    Grows all pools from `start` until the worst five minutes attain what the objectives ask for, then takes replicas
    away pool by pool as long as they still do. The fleet found can spare no replica in either pool; it is sized with
    the whole trace known beforehand, so it flatters static fleets.

    Args:
        config: The service; its pools' own replica counts are not used.
        trace: The load.
        start: Where to begin; the nearer the answer, the faster.
        seed: Of everything random.

    Raises:
        SimulationError: No number of replicas is enough; the objective is out of the engine's reach.
    """

    def attempt(replicas: Mapping[Role, int]) -> StaticFleet:
        return StaticFleet(replicas, run_static(config, trace, replicas, seed=seed))

    def suffices(fleet: StaticFleet) -> bool:
        return fleet.results.worst_5min_ratio >= config.objectives.attainment_ratio

    best = attempt({role: max(start[role], 1) for role in config.pools})
    while not suffices(best):
        if max(best.replicas.values()) >= _MOST_REPLICAS:
            raise SimulationError(
                f"{dict(best.replicas)} replicas still miss the objectives of {config.name}: one replica alone is too "
                f"slow for TTFT {config.objectives.ttft.target_s} s or TPOT {config.objectives.tpot.target_s} s"
            )
        best = attempt({role: count + max(count // _GROWTH_DIVISOR, 1) for role, count in best.replicas.items()})
    for role in config.pools:
        while best.replicas[role] > 1 and suffices(
            smaller := attempt({**best.replicas, role: best.replicas[role] - 1})
        ):
            best = smaller
    return best
