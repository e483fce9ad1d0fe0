"""llm-d's workload variant autoscaler, saturation analysis V2: KV tokens in use and queued against learned capacity."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autoscaler.core.capacity import EngineModel
from autoscaler.core.policy import Role
from autoscaler.core.snapshot import PoolState, Snapshot
from autoscaler.simulation.baselines import readings
from autoscaler.simulation.baselines.hpa import Metric, MetricType, controller
from autoscaler.simulation.baselines.memory import recall
from autoscaler.simulation.baselines.site import Site
from autoscaler.simulation.baselines.wva_v1 import HPA_BEHAVIOR
from autoscaler.simulation.run import Controller, Memory

_SAMPLES = 10
_SHORT_TOKENS, _MEDIUM_TOKENS = 100, 500


@dataclass(frozen=True, slots=True)
class WvaV2Settings:
    """Utilisation of KV tokens.

    Attributes:
        kv_threshold_ratio: Share of KV that counts as capacity.
        queue_threshold: Waiting requests per replica from which tokens in use are taken for its compute capacity.
        up_ratio: Utilisation aimed at when growing.
        down_ratio: Utilisation that must still hold after shrinking.
    """

    kv_threshold_ratio: float = 0.80
    queue_threshold: float = 5.0
    up_ratio: float = 0.85
    down_ratio: float = 0.70


@dataclass(slots=True)
class _Observed:
    """Tokens in use per replica at moments of saturation, by length of answers."""

    by_bucket: dict[int, deque[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Need:
    """Replicas that a role lacks and could spare, not rounded."""

    required: float
    spare: float


def need(demand_tokens: float, capacity_tokens: float, pool: PoolState, settings: WvaV2Settings) -> Need:
    """Replicas short against `up_ratio` and to spare against `down_ratio`.

    Those that start count as supply for growth, never for shrinking.
    """
    coming = pool.ready + pool.starting
    required = max(demand_tokens / settings.up_ratio - capacity_tokens * coming, 0.0)
    spare = max(capacity_tokens * pool.ready - demand_tokens / settings.down_ratio, 0.0)
    return Need(required / capacity_tokens, spare / capacity_tokens)


def derived_capacity_tokens(engine: EngineModel, prompt: float, output: float) -> float:
    """Compute capacity before any was observed: `n*(I + O/2)`, `n = min(B*O/(I + O), S)`."""
    sequences = min(engine.max_batched_tokens * output / (prompt + output), float(engine.max_sequences))
    return sequences * (prompt + output / 2)


def wva_v2(site: Site, settings: WvaV2Settings) -> Controller:
    """WVA V2 behind an HPA on `wva_desired_replicas`, with its joint commit of the roles.

    Nothing shrinks while any role needs growth, and if a role that needs growth is at its maximum, none grows. A
    prefill replica answers with one token, so its derived capacity is about its batch of prompt tokens: no rate at all.
    WVA reads a hit rate under a name that engines do not export, so queued prompts count in full.
    """

    def control(snapshot: Snapshot, memory: Memory, now_s: float) -> Mapping[Role, int]:
        needs = {role: _need(site, settings, snapshot, memory, role) for role in snapshot.pools}
        wanted = commit({role: pool.current for role, pool in snapshot.pools.items()}, needs, site)

        def metrics(snapshot: Snapshot, role: Role) -> Sequence[Metric]:
            del snapshot
            return (Metric(MetricType.AVERAGE_VALUE, float(wanted[role]), 1.0),)

        return controller(metrics, HPA_BEHAVIOR, site.bounds)(snapshot, memory, now_s)

    return control


def commit(current: Mapping[Role, int], needs: Mapping[Role, Need | None], site: Site) -> dict[Role, int]:
    """One size for every role from what each needs; a role without data keeps its size."""
    known = {role: found for role, found in needs.items() if found is not None}
    growing = {role for role, found in known.items() if found.required > 0}
    if any(current[role] >= site.bounds[role].most for role in growing):
        return dict(current)
    if growing:
        steps = {role: math.ceil(known[role].required) for role in growing}
        room = min(1.0, *((site.bounds[role].most - current[role]) / step for role, step in steps.items()))
        return {role: count + math.ceil(steps.get(role, 0) * room) for role, count in current.items()}
    return {
        role: max(count - math.floor(known[role].spare), 1) if role in known else count
        for role, count in current.items()
    }


def _need(site: Site, settings: WvaV2Settings, snapshot: Snapshot, memory: Memory, role: Role) -> Need | None:
    pool, engine = snapshot.pools[role], site.engines[role]
    kv_sum, waiting = readings.kv_sum(snapshot, role), readings.queue(snapshot, role)
    if kv_sum is None or waiting is None or pool.ready == 0:
        return None
    prompt = readings.mean_input_tokens(snapshot) or site.input_tokens
    output = 1.0 if role is Role.PREFILL else readings.mean_output_tokens(snapshot) or site.output_tokens
    in_use = kv_sum * engine.kv_capacity_tokens
    queued = waiting * (prompt if role is Role.PREFILL else prompt + output)
    observed = recall(memory, f"wva {role}", _Observed).by_bucket.setdefault(_bucket(output), deque(maxlen=_SAMPLES))
    if waiting / pool.ready >= settings.queue_threshold:
        observed.append(in_use / pool.ready)
    compute = statistics.fmean(observed) if observed else derived_capacity_tokens(engine, prompt, output)
    capacity = min(settings.kv_threshold_ratio * engine.kv_capacity_tokens, compute)
    return need(in_use + queued, max(capacity, 1.0), pool, settings)


def _bucket(output_tokens: float) -> int:
    return (output_tokens >= _SHORT_TOKENS) + (output_tokens >= _MEDIUM_TOKENS)
