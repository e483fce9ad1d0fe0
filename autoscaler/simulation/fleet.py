"""The replicas of all pools: ordered, scheduled, starting, ready, draining, gone.

Decides when replicas serve and what they cost; what they do while they serve is the engine's business.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np

from autoscaler.core.policy import Role
from autoscaler.core.snapshot import PoolState
from autoscaler.simulation.build import ROLE_NUMBER, with_more_slots
from autoscaler.simulation.config import Lost, Removal, ServiceConfig, SimulationError
from autoscaler.simulation.counters import Floats, ReplicaPhase
from autoscaler.simulation.engine.fleet import close_slot, open_slot, stop_routing
from autoscaler.simulation.engine.world import NOBODY, World

_SCHEDULED = (ReplicaPhase.STARTING, ReplicaPhase.READY, ReplicaPhase.DRAINING)


@dataclass(slots=True)
class Replica:
    """One replica from its order to its end; times in seconds, infinite where they have not come.

    Attributes:
        startup_s: Time that it takes from being scheduled to ready.
        leave_by_s: When a draining replica is killed.
        slot: Its place in the engine while it serves.
    """

    role: Role
    name: str
    created_s: float
    startup_s: float
    phase: ReplicaPhase = ReplicaPhase.UNSCHEDULABLE
    scheduled_s: float = math.inf
    ready_s: float = math.inf
    leave_by_s: float = math.inf
    removed_s: float = math.inf
    slot: int = NOBODY

    def held_gpus_for_s(self, until_s: float) -> float:
        """Seconds for which it held its GPUs: from being scheduled to its end, starting and draining included."""
        return max(min(self.removed_s, until_s) - self.scheduled_s, 0.0)


class Fleet:
    """All replicas of a service, present and past.

    Attributes:
        world: The engine's tables; replaced by larger ones when slots run out.
        live: Replicas that exist, in order of creation.
        gone: Those that do not any more.
        desired: Replicas asked for, per role.
    """

    def __init__(self, config: ServiceConfig, world: World, retired: Floats, seed: int) -> None:
        self.world = world
        self.live: list[Replica] = []
        self.gone: list[Replica] = []
        self.desired = {role: pool.replicas for role, pool in config.pools.items()}
        self._config, self._retired = config, retired
        self._free_slots = list(range(world.replicas.size))  # a heap
        self._blocked_until_s = dict.fromkeys(config.pools, -math.inf)
        self._rng = {role: np.random.default_rng((seed, ROLE_NUMBER[role])) for role in config.pools}
        self._created = dict.fromkeys(config.pools, 0)
        self._startup_times_s: dict[Role, list[float]] = {role: [] for role in config.pools}
        for role, pool in config.pools.items():
            for _ in range(pool.replicas):
                replica = self._order(role, 0.0)
                replica.phase, replica.scheduled_s = ReplicaPhase.STARTING, 0.0
                self._serve(replica, 0.0)

    def scale(self, role: Role, replicas: int, now_s: float) -> None:
        """Ask for a number of replicas of a role.

        Raises:
            SimulationError: The service has no such pool, or the number is negative.
        """
        if role not in self.desired:
            raise SimulationError(f"the service has no {role} pool; it has {sorted(self.desired)}")
        if replicas < 0:
            raise SimulationError(f"replicas must be at least 0, got {replicas} for {role}")
        if replicas != self.desired[role]:
            self.desired[role] = replicas
            self._reconcile(role, now_s)

    def block(self, role: Role, until_s: float) -> None:
        """Let no new replica of a role find a node before `until_s`."""
        self._blocked_until_s[role] = max(self._blocked_until_s[role], until_s)

    def kill(self, role: Role, replicas: int, now_s: float) -> None:
        """Let the longest-serving replicas die; new ones are started in their place."""
        for replica in self._of(role, ReplicaPhase.READY)[:replicas]:
            self._end(replica, now_s, retry=self._config.lost is Lost.RETRY)
        self._reconcile(role, now_s)

    def next_change_s(self) -> float:
        """When the next replica becomes ready, is killed or may find room."""
        times = [math.inf]
        for replica in self.live:
            if replica.phase is ReplicaPhase.STARTING:
                times.append(replica.scheduled_s + replica.startup_s)
            elif replica.phase is ReplicaPhase.DRAINING:
                times.append(replica.leave_by_s)
            elif replica.phase is ReplicaPhase.UNSCHEDULABLE and math.isfinite(self._blocked_until_s[replica.role]):
                times.append(self._blocked_until_s[replica.role])
        return min(times)

    def change(self, now_s: float) -> None:
        """Do what is due."""
        for replica in list(self.live):
            if replica.phase is ReplicaPhase.STARTING and replica.scheduled_s + replica.startup_s <= now_s:
                self._serve(replica, now_s)
                self._startup_times_s[replica.role].append(now_s - replica.created_s)
            elif replica.phase is ReplicaPhase.DRAINING and (self._is_drained(replica) or replica.leave_by_s <= now_s):
                self._end(replica, now_s, retry=False)
        for role, until_s in self._blocked_until_s.items():
            if until_s <= now_s:
                self._blocked_until_s[role] = -math.inf
        self._schedule(now_s)

    def pool_state(self, role: Role) -> PoolState:
        """What the cluster would report of a pool. Startup times are told once."""
        startup_times_s = tuple(self._startup_times_s[role])
        self._startup_times_s[role].clear()
        return PoolState(
            current=self.desired[role],
            ready=len(self._of(role, ReplicaPhase.READY)),
            unschedulable=len(self._of(role, ReplicaPhase.UNSCHEDULABLE)),
            terminating=len(self._of(role, ReplicaPhase.DRAINING)),
            startup_times_s=startup_times_s,
        )

    def gpu_seconds(self, until_s: float) -> dict[Role, float]:
        """GPU time held so far, per role."""
        held = dict.fromkeys(self.desired, 0.0)
        for replica in (*self.gone, *self.live):
            held[replica.role] += replica.held_gpus_for_s(until_s) * self._config.pools[replica.role].gpus_per_replica
        return held

    def _of(self, role: Role, *phases: ReplicaPhase) -> list[Replica]:
        return [replica for replica in self.live if replica.role is role and replica.phase in phases]

    def _reconcile(self, role: Role, now_s: float) -> None:
        wanted = self._of(role, ReplicaPhase.UNSCHEDULABLE, ReplicaPhase.STARTING, ReplicaPhase.READY)
        excess = len(wanted) - self.desired[role]
        for _ in range(-excess):
            self._order(role, now_s)
        if excess > 0:
            wanted.reverse()  # so that the newest of equals goes first
            wanted.sort(key=self._removal_order)
            for replica in wanted[:excess]:
                self._remove(replica, now_s)
        self._schedule(now_s)

    def _order(self, role: Role, now_s: float) -> Replica:
        pool = self._config.pools[role]
        sigma = pool.startup_sigma
        factor = math.exp(sigma * float(self._rng[role].standard_normal()) - sigma * sigma / 2.0)
        replica = Replica(role, f"{role}-{self._created[role]}", now_s, pool.startup_time_s * factor)
        self._created[role] += 1
        self.live.append(replica)
        return replica

    def _schedule(self, now_s: float) -> None:
        """Give nodes to waiting replicas in order of creation, as far as there is room."""
        for replica in self.live:
            if replica.phase is ReplicaPhase.UNSCHEDULABLE and self._has_room(replica.role, now_s):
                replica.phase, replica.scheduled_s = ReplicaPhase.STARTING, now_s

    def _has_room(self, role: Role, now_s: float) -> bool:
        pool = self._config.pools[role]
        most = pool.schedulable_replicas
        if now_s < self._blocked_until_s[role] or (most is not None and len(self._of(role, *_SCHEDULED)) >= most):
            return False
        gpus = sum(
            self._config.pools[replica.role].gpus_per_replica for replica in self.live if replica.phase in _SCHEDULED
        )
        return gpus + pool.gpus_per_replica <= self._config.schedulable_gpus

    def _removal_order(self, replica: Replica) -> tuple[float, ...]:
        """Sort key: unschedulable, then starting, then ready ones."""
        if replica.phase is ReplicaPhase.UNSCHEDULABLE:
            return (0.0, -replica.created_s)
        if replica.phase is ReplicaPhase.STARTING:
            return (1.0, -replica.scheduled_s)
        load = float(self._requests_on(replica)) if self._config.removal is Removal.LEAST_LOADED else 0.0
        return (2.0, load, -replica.ready_s)

    def _requests_on(self, replica: Replica) -> int:
        row = self.world.replicas[replica.slot]
        queued = row.waiting.count + row.prefilling.count + row.loaded.count
        return int(queued + row.batch + row.transferring + row.held)

    def _remove(self, replica: Replica, now_s: float) -> None:
        if replica.phase is not ReplicaPhase.READY:
            self._end(replica, now_s, retry=False)
            return
        replica.phase, replica.leave_by_s = ReplicaPhase.DRAINING, now_s + self._config.drain_grace_s
        stop_routing(self.world, replica.slot, now_s)
        if self._is_drained(replica):
            self._end(replica, now_s, retry=False)

    def _is_drained(self, replica: Replica) -> bool:
        return not math.isnan(self.world.replicas[replica.slot].drained_s)

    def _serve(self, replica: Replica, now_s: float) -> None:
        if not self._free_slots:
            slots = self.world.replicas.size
            self.world = with_more_slots(self.world)
            self._free_slots = list(range(slots, self.world.replicas.size))
        slot = heapq.heappop(self._free_slots)
        replica.phase, replica.ready_s, replica.slot = ReplicaPhase.READY, now_s, slot
        open_slot(self.world, slot, ROLE_NUMBER[replica.role], now_s)

    def _end(self, replica: Replica, now_s: float, *, retry: bool) -> None:
        if replica.slot != NOBODY:
            close_slot(self.world, self._retired, replica.slot, now_s, retry)
            heapq.heappush(self._free_slots, replica.slot)
            replica.slot = NOBODY
        replica.removed_s = now_s
        self.live.remove(replica)
        self.gone.append(replica)
