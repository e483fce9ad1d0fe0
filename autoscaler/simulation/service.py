"""A simulated service: what the daemon would see and do in a cluster, at any speed."""

from __future__ import annotations

import math

from autoscaler.core.policy import Role
from autoscaler.core.signals import Signals
from autoscaler.core.snapshot import Snapshot
from autoscaler.simulation.build import build, monitor_of
from autoscaler.simulation.config import ServiceConfig, SimulationError
from autoscaler.simulation.counters import PodCounters
from autoscaler.simulation.engine.loop import advance
from autoscaler.simulation.engine.routing import reroute_gateway
from autoscaler.simulation.faults import Fault, MonitoringOutage, NoRoom, ReplicaDeath
from autoscaler.simulation.fleet import Fleet
from autoscaler.simulation.pages import pod_counters
from autoscaler.simulation.results import Action, Results, summarize
from autoscaler.simulation.signals import observe
from autoscaler.simulation.traces import Trace


class Service:
    """One simulated service, played forward in time.

    Not thread-safe: a caller that reads from another thread holds its own lock around every call.

    Attributes:
        now_s: Time reached, in seconds since the trace began.
    """

    def __init__(self, config: ServiceConfig, trace: Trace, seed: int = 0) -> None:
        """Set up the initial replicas, ready to serve.

        Args:
            config: What the service is made of.
            trace: The requests that arrive.
            seed: Of everything random: startup times.
        """
        self.now_s = 0.0
        self._config = config
        self._monitor = monitor_of(config)
        self._fleet = Fleet(config, build(config, trace), self._monitor.retired, seed)
        self._faults: list[Fault] = []
        self._actions: list[Action] = []

    @property
    def settled(self) -> bool:
        """Whether every request of the trace has finished, failed or been rejected."""
        return bool(self._fleet.world.clock[0].settled == self._fleet.world.requests.size)

    @property
    def unrouted(self) -> int:
        """Requests that wait for a replica to become ready, at the gateway or between prefill and decode."""
        clock = self._fleet.world.clock[0]
        return int(clock.gateway.count + clock.handoff.count)

    @property
    def desired(self) -> dict[Role, int]:
        """Replicas asked for, per role."""
        return dict(self._fleet.desired)

    @property
    def disaggregate_from_tokens(self) -> float:
        """Prompts with at least so many uncached tokens go through the prefill pool; infinity: none."""
        return float(self._fleet.world.clock[0].disaggregate_from_tokens)

    def advance_to(self, at_s: float) -> None:
        """Play everything up to and including `at_s`.

        How the way there is cut into calls changes nothing.

        Raises:
            SimulationError: `at_s` lies in the past.
        """
        if at_s < self.now_s:
            raise SimulationError(f"time runs forward only: now is {self.now_s} s, asked for {at_s} s")
        while True:
            fault_s = self._faults[0].at_s if self._faults else math.inf
            due_s = min(float(at_s), self._fleet.next_change_s(), fault_s)
            more = advance(self._fleet.world, self._monitor, due_s)
            self.now_s = float(self._fleet.world.clock[0].now_s)
            self._fleet.change(self.now_s)
            if fault_s <= self.now_s:
                self._strike(self._faults.pop(0))
            elif self.now_s >= at_s and not more:
                return

    def observe(self, now_s: float) -> Signals:
        """Canonical signals as a query at `now_s` sees them."""
        return observe(self._fleet.world, self._monitor, self._config, now_s)

    def snapshot(self, now_s: float) -> Snapshot:
        """Everything that `core.decide` is told in production. Startup times are told once."""
        pools = {role: self._fleet.pool_state(role) for role in self._config.pools}
        disaggregated = self.disaggregate_from_tokens < math.inf if Role.PREFILL in pools else None
        threshold = self.disaggregate_from_tokens if disaggregated else None
        return Snapshot(self._config.name, now_s, pools, self.observe(now_s), {}, disaggregated, threshold)

    def scale(self, role: Role, replicas: int) -> None:
        """Ask for a number of replicas of a role, as of now.

        Raises:
            SimulationError: The service has no such pool, or the number is negative.
        """
        before = self._fleet.desired.get(role)
        self._fleet.scale(role, replicas, self.now_s)
        if before is not None and before != replicas:
            self._actions.append(Action(self.now_s, role, before, replicas))

    def set_disaggregation(self, from_tokens: float) -> None:
        """Send prompts with at least so many uncached tokens through the prefill pool: 0 for all, infinity for none.

        Raises:
            SimulationError: There is no prefill pool, or the threshold is negative.
        """
        if Role.PREFILL not in self._config.pools:
            raise SimulationError("the service has no prefill pool to send prompts through")
        if not from_tokens >= 0:
            raise SimulationError(f"the threshold must be at least 0 tokens, got {from_tokens}")
        self._fleet.world.clock[0].disaggregate_from_tokens = from_tokens
        reroute_gateway(self._fleet.world, self.now_s)

    def pods(self) -> list[PodCounters]:
        """Every replica that exists and what it has counted so far, in order of creation."""
        return [pod_counters(self._fleet.world, replica, self.now_s) for replica in self._fleet.live]

    def inject(self, fault: Fault) -> None:
        """Let a fault strike at its time; one whose time is past strikes with the next advance.

        Raises:
            SimulationError: It is about a pool that the service does not have.
        """
        if not isinstance(fault, MonitoringOutage) and fault.role not in self._config.pools:
            raise SimulationError(f"the service has no {fault.role} pool; it has {sorted(self._config.pools)}")
        self._faults.append(fault)
        self._faults.sort(key=lambda item: item.at_s)

    def finish(self) -> Results:
        """Sum up what has happened until now; requests still in the system count as misses."""
        return summarize(self._config, self._fleet, tuple(self._actions), self.now_s)

    def _strike(self, fault: Fault) -> None:
        match fault:
            case ReplicaDeath():
                self._fleet.kill(fault.role, fault.replicas, self.now_s)
            case NoRoom():
                self._fleet.block(fault.role, fault.until_s)
            case MonitoringOutage():
                self._fleet.world.clock[0].blind_until_s = fault.until_s
