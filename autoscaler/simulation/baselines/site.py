"""What whoever sets a baseline up knows of the service beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from autoscaler.core.capacity import EngineModel
from autoscaler.core.policy import Objectives, Role
from autoscaler.simulation.config import ServiceConfig
from autoscaler.simulation.traces import Trace


@dataclass(frozen=True, slots=True)
class Bounds:
    """Fewest and most replicas of a pool."""

    least: int = 1
    most: int = 64

    def clamp(self, replicas: int) -> int:
        """The nearest number inside."""
        return min(max(replicas, self.least), self.most)


@dataclass(frozen=True, slots=True)
class Site:
    """A service as its operator has profiled it.

    Attributes:
        engines: Timing and size of one replica per role.
        objectives: What is promised.
        bounds: Replica bounds per role.
        gpus: GPUs per replica and role.
        input_tokens: Mean prompt length of the load it was profiled with.
        output_tokens: Mean generated length.
        uncached_ratio: Share of prompt tokens that no cache holds.
        link_bytes_per_s: KV transfer rate of one prefill replica.
    """

    engines: Mapping[Role, EngineModel]
    objectives: Objectives
    bounds: Mapping[Role, Bounds]
    gpus: Mapping[Role, float]
    input_tokens: float
    output_tokens: float
    uncached_ratio: float = 1.0
    link_bytes_per_s: float = 40e9

    @classmethod
    def of(cls, config: ServiceConfig, trace: Trace, bounds: Bounds | None = None) -> Site:
        """The site that a careful operator knows after profiling the very load that is to come."""
        prompt = float(np.mean(trace.input_tokens))
        return cls(
            engines={role: pool.engine for role, pool in config.pools.items()},
            objectives=config.objectives,
            bounds=dict.fromkeys(config.pools, bounds or Bounds()),
            gpus={role: pool.gpus_per_replica for role, pool in config.pools.items()},
            input_tokens=prompt,
            output_tokens=float(np.mean(trace.output_tokens)),
            uncached_ratio=1.0 - float(np.mean(trace.cached_tokens)) * config.prefix_hit_ratio / prompt,
            link_bytes_per_s=min(pool.link_bytes_per_s for pool in config.pools.values()),
        )
