"""From a configuration and a trace to the tables of the inner loop."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np

from autoscaler.core.policy import Role
from autoscaler.simulation.config import PoolConfig, Routing, ServiceConfig, TimingTables
from autoscaler.simulation.counters import LAYOUT, Floats
from autoscaler.simulation.engine import world as w
from autoscaler.simulation.traces import Trace

ROLE_NUMBER = {Role.PREFILL: w.PREFILL, Role.DECODE: w.DECODE, Role.AGGREGATED: w.AGGREGATED}

_FIRST_SLOTS = 16
_QUEUES = ("waiting", "prefilling", "loaded", "fresh")


def build(config: ServiceConfig, trace: Trace) -> w.World:
    """Make the world before the first event; no replica serves yet."""
    pools, tables = _pools(config)
    return w.World(
        requests=_requests(config, trace),
        pools=cast("w.Table[w.Pool]", pools),
        clock=_clock(config),
        tables=tables,
        **_slots(_FIRST_SLOTS, int(pools["max_sequences"].max()), config.block_size),
    )


def monitor_of(config: ServiceConfig) -> w.Monitor:
    """An empty memory of scrapes, for the longest window and what is too young to be seen."""
    monitoring = config.monitoring
    longest_s = max(monitoring.rate_window_s, monitoring.shape_window_s) + monitoring.delay_s
    ring = math.ceil(longest_s / monitoring.scrape_interval_s) + 2
    return w.Monitor(
        samples=np.zeros((ring, w.GATEWAY + 1, w.SAMPLE_WIDTH)),
        sample_s=np.full(ring, np.nan),
        retired=np.zeros((w.POOLS, LAYOUT.width)),
    )


def with_more_slots(world: w.World) -> w.World:
    """The same world with twice the slots."""
    old: Any = world
    slots = world.replicas.size
    fresh = _slots(2 * slots, world.batches.shape[1], world.phases.shape[1])
    for name in ("replicas", "batches", "phases"):
        fresh[name][:slots] = getattr(old, name)
    fresh["transfers"][: old.transfers.size] = old.transfers
    fresh["counters"][:slots] = old.counters[:slots]
    fresh["counters"][-1] = old.counters[-1]
    next_s = fresh["agenda"].next_s
    next_s[:slots], next_s[-1] = old.agenda.next_s[:slots], old.agenda.next_s[-1]
    fresh["agenda"] = w.Agenda(next_s, _tournament(next_s))
    return world._replace(**fresh)


def _slots(slots: int, sequences: int, block_size: int) -> dict[str, Any]:
    replicas = _table(w.Replica, slots)
    for queue in _QUEUES:
        replicas[queue]["head"] = replicas[queue]["tail"] = w.NOBODY
    replicas["drained_s"] = np.nan
    next_s = np.full(2 * slots, math.inf)
    return {
        "replicas": replicas,
        "transfers": _table(w.Transfer, slots * sequences),
        "batches": np.zeros((slots, sequences), dtype=np.int32),
        "phases": np.zeros((slots, block_size), dtype=np.int32),
        "agenda": w.Agenda(next_s, _tournament(next_s)),
        "counters": np.zeros((slots + 1, LAYOUT.width)),
    }


def _tournament(next_s: Floats) -> w.Ints:
    leaves = next_s.size
    tree = np.empty(2 * leaves, dtype=np.int32)
    tree[leaves:] = np.arange(leaves)
    for node in range(leaves - 1, 0, -1):
        left, right = tree[2 * node], tree[2 * node + 1]
        tree[node] = right if next_s[right] < next_s[left] else left
    tree[0] = w.NOBODY
    return tree


def _table(row: type, size: int) -> Any:
    return np.zeros(size, dtype=w.dtype_of(row)).view(np.recarray)


def _requests(config: ServiceConfig, trace: Trace) -> w.Table[w.Request]:
    requests = _table(w.Request, trace.arrival_s.size)
    for name in requests.dtype.names:
        if name.endswith("_s"):
            requests[name] = np.nan
    requests["arrival_s"] = trace.arrival_s
    requests["input_tokens"] = trace.input_tokens
    requests["output_tokens"] = trace.output_tokens
    requests["cached_tokens"] = np.floor(trace.cached_tokens * config.prefix_hit_ratio)
    for name in ("prefill_slot", "slot", "next", "next_lease"):
        requests[name] = w.NOBODY
    return cast("w.Table[w.Request]", requests)


def _clock(config: ServiceConfig) -> w.Table[w.Clock]:
    clock = _table(w.Clock, 1)
    clock["disaggregate_from_tokens"] = config.disaggregate_from_tokens if Role.PREFILL in config.pools else math.inf
    clock["local_role"] = w.AGGREGATED if Role.AGGREGATED in config.pools else w.DECODE
    clock["round_robin"] = config.routing is Routing.ROUND_ROBIN
    clock["lease_s"] = config.transfer.lease_s
    clock["transfer_setup_s"] = config.transfer.setup_s
    clock["block_size"] = config.block_size
    clock["scrape_interval_s"] = config.monitoring.scrape_interval_s
    clock["lease_head"] = clock["lease_tail"] = w.NOBODY
    clock["lease_due_s"] = math.inf
    for queue in ("gateway", "handoff"):
        clock[queue]["head"] = clock[queue]["tail"] = w.NOBODY
    return cast("w.Table[w.Clock]", clock)


def _pools(config: ServiceConfig) -> tuple[Any, Floats]:
    """One row per role, and the tables that the rows point into."""
    pools, tables = _table(w.Pool, w.POOLS), np.zeros(0)
    for role, pool in config.pools.items():
        row = pools[ROLE_NUMBER[role]]
        _fill_pool(row, pool, config.block_size)
        if pool.tables is not None:
            row.tables_at = tables.size
            row.prefill_points = pool.tables.prefill_tokens.size
            row.kv_points = pool.tables.kv_tokens.size
            row.context_points = pool.tables.context_tokens.size
            tables = np.concatenate((tables, _flat(pool.tables)))
    return pools, tables


def _flat(tables: TimingTables) -> Floats:
    return np.concatenate(
        (
            tables.prefill_tokens,
            tables.prefill_ms / 1000,
            tables.kv_tokens,
            tables.context_tokens,
            tables.step_ms.ravel() / 1000,
        )
    )


def _fill_pool(row: w.Pool, pool: PoolConfig, block_size: int) -> None:
    engine = pool.engine
    row.prefill_a_s = engine.prefill.a_ms / 1000
    row.prefill_b_s = engine.prefill.b_ms_per_token / 1000
    row.prefill_c_s = engine.prefill.c_ms_per_token2 / 1000
    row.d0_s = engine.decode.d0_ms / 1000
    row.d1_s = engine.decode.d1_ms_per_sequence / 1000
    row.d2_s = engine.decode.d2_ms_per_kv_token / 1000
    small = engine.decode.small_batch
    if small is not None:
        row.small_d0_s = small.d0_ms / 1000
        row.small_d1_s = small.d1_ms_per_sequence / 1000
        row.small_d2_s = small.d2_ms_per_kv_token / 1000
        row.small_batch_max = engine.decode.small_batch_max
    row.num_blocks = int(engine.kv_capacity_tokens // block_size)
    row.max_sequences = engine.max_sequences
    row.max_batched_tokens = engine.max_batched_tokens
    row.kv_bytes_per_token = engine.kv_bytes_per_token
    row.link_bytes_per_s = pool.link_bytes_per_s
    row.turn = w.NOBODY
