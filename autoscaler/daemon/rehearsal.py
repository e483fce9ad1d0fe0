"""The daemon's own pipeline on a simulated service, faster than time.

Simulated pods serve vLLM's metrics pages over HTTP on loopback; the direct-scrape source reads them, `core.decide`
decides, and a simulated cluster carries the decisions out. Only the clock and the cluster are not real.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

from autoscaler.config import ScalingPolicy
from autoscaler.core.policy import Role
from autoscaler.daemon import logs
from autoscaler.daemon.queries import page_labels, pod_label, service_queries
from autoscaler.daemon.service import ServiceRunner
from autoscaler.daemon.state_store import MemoryStateStore
from autoscaler.daemon.tick import Tick
from autoscaler.simulation.config import PoolConfig, ServiceConfig, SimulationError
from autoscaler.simulation.pods import PodServer
from autoscaler.simulation.results import Results
from autoscaler.simulation.service import Service
from autoscaler.simulation.traces import Trace
from autoscaler.simulation.wall_clock import MONDAY_S
from autoscaler.sources.endpoints import INSTANCE, Endpoint
from autoscaler.sources.scrape import ScrapeSource
from autoscaler.targets.simulated import SimulatedTarget

_SETTLE_S = 300.0


@dataclass(frozen=True, slots=True)
class Beat:
    """One tick of a rehearsal: when, what the daemon did, and where the load stands."""

    elapsed_s: float
    tick: Tick
    arrived: int
    gpus: float


def simulated_service(policy: ScalingPolicy, replicas: dict[Role, int]) -> ServiceConfig:
    """The service that a policy describes, as the simulation wants it.

    Raises:
        SimulationError: The policy names no engine, so nobody knows how fast a replica is.
    """
    core = policy.core()
    pools = {}
    for role, pool in core.roles.items():
        if pool.engine is None:
            raise SimulationError("the policy has no spec.engine; a simulation needs to know how fast a replica is")
        pools[role] = PoolConfig(
            engine=pool.engine,
            replicas=replicas[role],
            gpus_per_replica=pool.gpus_per_replica,
            startup_time_s=pool.startup_time_s,
        )
    return ServiceConfig(policy.service, pools, core.objectives)


class Rehearsal:
    """One policy on one simulated service and one trace, which begins on a Monday at 00:00 UTC.

    Args:
        policy: The policy; with mode enforce it acts.
        trace: The load.
        replicas: The fleet at the start.
        seed: Of everything random.
        clock: Seconds, for the pace.
        sleep: Waits, for the pace.
    """

    def __init__(
        self,
        policy: ScalingPolicy,
        trace: Trace,
        replicas: dict[Role, int],
        *,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.config = simulated_service(policy, replicas)
        self._policy, self._trace = policy, trace
        self._service = Service(self.config, trace, seed)
        self._clock, self._sleep = clock, sleep
        self._epoch_s = MONDAY_S
        self._pods = PodServer(
            model_name=policy.spec.model or "", namespace=policy.metadata.namespace, epoch_unix_s=self._epoch_s
        )
        self._labels, self._pod_label = page_labels(policy), pod_label(policy)
        self._source = ScrapeSource(service_queries(policy), self._endpoints)
        self._runner = ServiceRunner(
            policy.core(), self._source, SimulatedTarget(self._service), MemoryStateStore(), logs.get(), at=policy.at
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._runner.close()
        self._pods.close()

    def beats(self, *, speed: float) -> Iterator[Beat]:
        """Play the trace to its end and until its last requests are done.

        Args:
            speed: Simulated seconds per second; 0 is as fast as the machine can.
        """
        interval_s = self._policy.spec.interval_s
        started_s = self._clock()
        elapsed_s = 0.0
        end_s = self._trace.duration_s
        while elapsed_s < end_s or (not self._service.settled and elapsed_s < end_s + _SETTLE_S):
            elapsed_s += interval_s
            self._service.advance_to(elapsed_s)
            self._pods.publish(self._service.pods())
            # Once a tick: eight samples in a rate window of two minutes, and time to render a fleet
            self._source.scrape(self._epoch_s + elapsed_s)
            tick = self._runner.tick(self._epoch_s + elapsed_s)
            yield Beat(elapsed_s, tick, self._arrived(elapsed_s), self._gpus())
            if speed > 0:
                self._sleep(max(started_s + elapsed_s / speed - self._clock(), 0.0))

    def results(self) -> Results:
        """What it came to so far."""
        return self._service.finish()

    def _endpoints(self) -> tuple[Endpoint, ...]:
        address = self._pods.address
        return tuple(
            Endpoint(
                f"http://{address}/pods/{pod.name}/metrics",
                {**self._labels[pod.role], self._pod_label: pod.name, INSTANCE: address},
            )
            for pod in self._service.pods()
            if pod.ready
        )

    def _arrived(self, elapsed_s: float) -> int:
        return int((self._trace.arrival_s <= elapsed_s).sum())

    def _gpus(self) -> float:
        return sum(self.config.pools[role].gpus_per_replica * count for role, count in self._service.desired.items())
