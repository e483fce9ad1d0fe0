"""The cheapest constant fleet, chosen after the fact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autoscaler.core.policy import Role
from autoscaler.simulation.baselines.static import StaticSettings, static
from autoscaler.simulation.clairvoyant.verdict import attains
from autoscaler.simulation.config import ServiceConfig, SimulationError
from autoscaler.simulation.results import Results
from autoscaler.simulation.run import run
from autoscaler.simulation.traces import Trace

Fleet = tuple[int, int]
"""Prefill and decode replicas."""

_TICK_S = 60.0  # a constant fleet needs no decisions, but a run ends with one


@dataclass(frozen=True, slots=True)
class StaticBest:
    """The cheapest constant fleet for a load.

    Attributes:
        fleet: Prefill and decode replicas.
        results: What it came to.
        runs: Simulations that the search took.
    """

    fleet: Fleet
    results: Results
    runs: int


def best_static(
    config: ServiceConfig, trace: Trace, *, attainment_ratio: float, most: Fleet, seed: int = 0
) -> StaticBest:
    """Search the constant fleet with the fewest GPUs that attains enough over the whole trace.

    More replicas never attain less, so bisection with the other role at its maximum gives the least of either role,
    and a fleet that fails rules out all smaller ones. Of the fleets left, the cheapest is tried first.

    Args:
        config: The service; replica counts of its pools are not used.
        trace: The load.
        attainment_ratio: What to attain.
        most: Where to look at most; the fleet for the peak slot is a good guess.
        seed: Of everything random.

    Raises:
        SimulationError: Not even the largest fleet attains enough.
    """
    search = _Search(config, trace, attainment_ratio, seed)
    if not search.attains(most):
        raise SimulationError(
            f"{config.name}: {most[0]} prefill and {most[1]} decode replicas attain less than asked for"
        )
    least_prefill = _least(most[0], lambda prefill: search.attains((prefill, most[1])))
    least_decode = _least(most[1], lambda decode: search.attains((most[0], decode)))
    fleets = [
        (prefill, decode)
        for prefill in range(least_prefill, most[0] + 1)
        for decode in range(least_decode, most[1] + 1)
    ]
    fleet = next(fleet for fleet in sorted(fleets, key=search.cost) if search.attains(fleet))
    return StaticBest(fleet, constant(config, trace, fleet, seed=seed), search.runs)


def constant(config: ServiceConfig, trace: Trace, fleet: Fleet, *, seed: int = 0) -> Results:
    """Play a load on a constant fleet, which is paid for until the last request is settled, as everybody else's is."""
    return run(static(StaticSettings(*fleet)), _with(config, fleet), trace, seed=seed, interval_s=_TICK_S)


def _with(config: ServiceConfig, fleet: Fleet) -> ServiceConfig:
    return config.starting_with({Role.PREFILL: fleet[0], Role.DECODE: fleet[1]})


def _least(most: int, suffices: Callable[[int], bool]) -> int:
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        if suffices(middle):
            high = middle
        else:
            low = middle + 1
    return high


class _Search:
    """Which fleets attain enough; each is simulated once, and not at all where a comparison already tells."""

    def __init__(self, config: ServiceConfig, trace: Trace, attainment_ratio: float, seed: int) -> None:
        self._config, self._trace, self._seed = config, trace, seed
        self._attainment_ratio = attainment_ratio
        self._known: dict[Fleet, bool] = {}
        self.runs = 0

    def cost(self, fleet: Fleet) -> float:
        """GPUs of a fleet."""
        pools = self._config.pools
        return fleet[0] * pools[Role.PREFILL].gpus_per_replica + fleet[1] * pools[Role.DECODE].gpus_per_replica

    def attains(self, fleet: Fleet) -> bool:
        """Whether a fleet attains enough."""
        for known, verdict in self._known.items():
            larger = fleet[0] >= known[0] and fleet[1] >= known[1]
            smaller = fleet[0] <= known[0] and fleet[1] <= known[1]
            if (larger and verdict) or (smaller and not verdict):
                return verdict
        self._known[fleet] = self._simulate(fleet)
        self.runs += 1
        return self._known[fleet]

    def _simulate(self, fleet: Fleet) -> bool:
        return attains(
            _with(self._config, fleet),
            self._trace,
            static(StaticSettings(*fleet)),
            attainment_ratio=self._attainment_ratio,
            seed=self._seed,
            interval_s=_TICK_S,
        )
