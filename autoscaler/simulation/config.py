"""What a simulated service is made of, before it runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

from autoscaler.core.capacity import EngineModel
from autoscaler.core.policy import Objectives, Role
from autoscaler.simulation.counters import Floats


class SimulationError(ValueError):
    """A service that cannot be simulated, or a request that makes no sense; the message says what to change."""


class Routing(StrEnum):
    """How the router picks a replica of a pool.

    `least_loaded` takes the fewest outstanding prompt tokens for prefill, and the lowest share of KV blocks in use or
    wanted for decode.
    """

    LEAST_LOADED = "least_loaded"
    ROUND_ROBIN = "round_robin"


class Removal(StrEnum):
    """Which ready replica a shrinking pool gives up first; those not ready always go before."""

    LEAST_LOADED = "least_loaded"
    NEWEST = "newest"


class Lost(StrEnum):
    """What becomes of the requests of a replica that died: an error, or a new start with what was generated so far."""

    FAIL = "fail"
    RETRY = "retry"


@dataclass(frozen=True, slots=True, eq=False)
class TimingTables:
    """Measured timing in place of the linear model, extrapolated linearly at the ends.

    Attributes:
        prefill_tokens: Prompt tokens computed in one pass, ascending, at least two.
        prefill_ms: Time of such a pass.
        kv_tokens: Resident tokens of a decode batch, ascending, at least two.
        context_tokens: Mean context of its sequences, ascending, at least two.
        step_ms: Time of a decode step, shape (kv_tokens, context_tokens), interpolated bilinearly; at least 1 ms.
    """

    prefill_tokens: Floats
    prefill_ms: Floats
    kv_tokens: Floats
    context_tokens: Floats
    step_ms: Floats

    @classmethod
    def of(
        cls,
        prefill_tokens: ArrayLike,
        prefill_ms: ArrayLike,
        kv_tokens: ArrayLike,
        context_tokens: ArrayLike,
        step_ms: ArrayLike,
    ) -> TimingTables:
        """Make tables of anything array-like.

        Raises:
            SimulationError: An axis does not ascend or shapes do not match.
        """
        prefill_x, prefill_y, kv, context, step = (
            np.asarray(values, dtype=np.float64)
            for values in (prefill_tokens, prefill_ms, kv_tokens, context_tokens, step_ms)
        )
        for name, axis in (("prefill_tokens", prefill_x), ("kv_tokens", kv), ("context_tokens", context)):
            if axis.ndim != 1 or axis.size < 2 or not (np.diff(axis) > 0).all():  # noqa: PLR2004 - a line needs two
                raise SimulationError(f"{name} must be a rising sequence of at least two numbers, got {axis.tolist()}")
        if prefill_y.shape != prefill_x.shape or step.shape != (kv.size, context.size):
            raise SimulationError(
                f"prefill_ms must have shape {prefill_x.shape} and step_ms {(kv.size, context.size)}, "
                f"got {prefill_y.shape} and {step.shape}"
            )
        return cls(prefill_x, prefill_y, kv, context, step)


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """One role's pool.

    Attributes:
        engine: Timing and size of one replica.
        replicas: Ready at the start.
        gpus_per_replica: Accelerators that one replica holds.
        startup_time_s: Mean time from being scheduled to ready; lognormal.
        startup_sigma: Spread of its logarithm; 0 makes it constant.
        schedulable_replicas: How many replicas of this role the cluster has room for, draining ones included.
        link_bytes_per_s: KV transfer rate of one replica's link, shared by its transfers.
        tables: Timing instead of `engine.prefill` and `engine.decode`.
    """

    engine: EngineModel
    replicas: int = 1
    gpus_per_replica: float = 1.0
    startup_time_s: float = 240.0
    startup_sigma: float = 0.15
    schedulable_replicas: int | None = None
    link_bytes_per_s: float = 40e9
    tables: TimingTables | None = None


@dataclass(frozen=True, slots=True)
class TransferConfig:
    """KV transfers between the pools.

    Attributes:
        setup_s: From the pull's start to the first byte.
        lease_s: How long a prefill replica keeps KV for a request that is not pulled.
    """

    setup_s: float = 0.002
    lease_s: float = 480.0


@dataclass(frozen=True, slots=True)
class MonitoringConfig:
    """How the service is observed.

    Attributes:
        scrape_interval_s: Time between samples.
        delay_s: From a sample to the first query that sees it.
        rate_window_s: Window of rates and latencies.
        shape_window_s: Window of prompt and output lengths and of cache shares.
        stale_after_s: A signal whose newest sample is older may not be used.
    """

    scrape_interval_s: float = 5.0
    delay_s: float = 1.0
    rate_window_s: float = 120.0
    shape_window_s: float = 300.0
    stale_after_s: float = 60.0


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """A service: prefill and decode pools, or an aggregated pool, or all three.

    Attributes:
        name: Name of the service in snapshots.
        pools: One entry per role. Requests that skip the prefill pool go to the aggregated pool if there is one, else
            to decode replicas.
        objectives: What attainment is measured against.
        disaggregate_from_tokens: Prompts with at least so many uncached tokens go through the prefill pool; 0 sends
            all, infinity none.
        prefix_hit_ratio: Share of the trace's `cached_tokens` that the real cache holds.
        block_size: Tokens per KV block.
        routing: How the router picks a replica.
        removal: Which replicas go first when a pool shrinks.
        lost: What becomes of requests of a dead replica.
        drain_grace_s: How long a removed replica may finish what it holds; what is left then fails.
        schedulable_gpus: GPUs that all pools together can get.
        transfer: KV transfers.
        monitoring: Scrapes and queries.
    """

    name: str
    pools: Mapping[Role, PoolConfig]
    objectives: Objectives
    disaggregate_from_tokens: float = 0.0
    prefix_hit_ratio: float = 1.0
    block_size: int = 16
    routing: Routing = Routing.LEAST_LOADED
    removal: Removal = Removal.LEAST_LOADED
    lost: Lost = Lost.FAIL
    drain_grace_s: float = 300.0
    schedulable_gpus: float = math.inf
    transfer: TransferConfig = field(default_factory=TransferConfig)
    monitoring: MonitoringConfig = field(default_factory=MonitoringConfig)

    def __post_init__(self) -> None:
        """Refuse pools that cannot serve.

        Raises:
            SimulationError: A phase has no pool, or a number is out of range.
        """
        roles = set(self.pools)
        if Role.AGGREGATED not in roles and Role.DECODE not in roles:
            raise SimulationError(f"pools need a decode or an aggregated role, got {sorted(roles)}")
        if Role.PREFILL in roles and Role.DECODE not in roles:
            raise SimulationError("a prefill pool needs a decode pool to hand requests to")
        for role, pool in self.pools.items():
            if pool.replicas < 0:
                raise SimulationError(f"pools.{role}.replicas must be at least 0, got {pool.replicas}")
            if pool.engine.kv_capacity_tokens < self.block_size:
                raise SimulationError(
                    f"pools.{role}.engine.kv_capacity_tokens must hold at least one block of {self.block_size} tokens, "
                    f"got {pool.engine.kv_capacity_tokens}"
                )

    def starting_with(self, replicas: Mapping[Role, int]) -> ServiceConfig:
        """The same service with so many replicas of each role at the start."""
        return replace(self, pools={role: replace(pool, replicas=replicas[role]) for role, pool in self.pools.items()})
