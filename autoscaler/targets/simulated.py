"""A simulated cluster as a target: replica counts are read from and written to a simulated service."""

from __future__ import annotations

from autoscaler.core.policy import Role
from autoscaler.simulation.service import Service
from autoscaler.targets.base import Outcome, PoolReading, WriteResult


class SimulatedTarget:
    """Scales the pools of a simulated service at the time that the simulation has reached.

    Args:
        service: The service; whoever plays it forward does so between calls, as it is not thread-safe.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def read(self) -> PoolReading:
        """Read every pool; the token of a pool is the number of replicas asked for."""
        pools = self._service.snapshot(self._service.now_s).pools
        return PoolReading(pools, basis={role: str(pool.current) for role, pool in pools.items()})

    def write(self, role: Role, replicas: int, *, basis: str, dry_run: bool) -> WriteResult:
        """Order or give up replicas of a pool, as an API server would: not on top of someone else's change."""
        desired = self._service.desired.get(role)
        if desired is None:
            return WriteResult(Outcome.MISSING, f"the simulated service has no {role} pool")
        if basis != str(desired):
            return WriteResult(Outcome.CONFLICT, f"{role} was changed to {desired} replicas since it was read")
        if dry_run:
            return WriteResult(Outcome.DRY_RUN, f"{role} could go from {desired} to {replicas} replicas")
        self._service.scale(role, replicas)
        return WriteResult(Outcome.APPLIED, f"{role} goes from {desired} to {replicas} replicas")

    def close(self) -> None:
        """Nothing to let go of."""
