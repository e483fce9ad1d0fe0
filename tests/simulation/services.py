"""Small simulated services whose times can be worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from autoscaler.core.capacity import DecodeStep, EngineModel, PrefillTime
from autoscaler.core.policy import LatencyObjective, Objectives, Role
from autoscaler.simulation.config import MonitoringConfig, PoolConfig, ServiceConfig, TransferConfig
from autoscaler.simulation.service import Service
from autoscaler.simulation.traces import Trace

OBJECTIVES = Objectives(LatencyObjective(0.95, 2.0), LatencyObjective(0.95, 0.05), 0.95)

#: Prefill takes 1 ms per token, a decode step 10 ms whatever the batch: every time is a round number.
ENGINE = EngineModel(
    PrefillTime(0.0, 1.0, 0.0), DecodeStep(10.0, 0.0, 0.0), kv_capacity_tokens=16_000, max_sequences=32
)

AT_ONCE = TransferConfig(setup_s=0.0)


def pool(replicas: int = 1, engine: EngineModel = ENGINE, **options: Any) -> PoolConfig:
    """A pool whose replicas start in exactly 60 s and whose links take no time."""
    defaults = PoolConfig(engine, replicas, startup_time_s=60.0, startup_sigma=0.0, link_bytes_per_s=math.inf)
    return replace(defaults, **options)


def split(prefill: PoolConfig | None = None, decode: PoolConfig | None = None, **options: Any) -> ServiceConfig:
    """A prefill and a decode pool of one replica each, KV transfers in no time."""
    pools = {Role.PREFILL: prefill or pool(), Role.DECODE: decode or pool()}
    defaults = ServiceConfig("chat", pools, OBJECTIVES, transfer=AT_ONCE, monitoring=MonitoringConfig(delay_s=0.0))
    return replace(defaults, **options)


def together(aggregated: PoolConfig | None = None, **options: Any) -> ServiceConfig:
    """An aggregated pool of one replica."""
    return split(**options, pools={Role.AGGREGATED: aggregated or pool()})


def played(config: ServiceConfig, trace: Trace, until_s: float = 1000.0) -> Service:
    """A service that has played the trace."""
    service = Service(config, trace)
    service.advance_to(until_s)
    return service
