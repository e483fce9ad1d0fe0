"""From a configuration and a trace to the tables of the inner loop."""

from __future__ import annotations

import math

import numpy as np

from autoscaler.core.policy import Role
from autoscaler.simulation.config import PoolConfig, Routing, ServiceConfig, TimingTables
from autoscaler.simulation.counters import LAYOUT, Floats
from autoscaler.simulation.engine import world as w
from autoscaler.simulation.engine.tables import fill, new_table
from autoscaler.simulation.traces import Trace

ROLE_NUMBER = {Role.PREFILL: w.PREFILL, Role.DECODE: w.DECODE, Role.AGGREGATED: w.AGGREGATED}

_FIRST_SLOTS = 16


def build(config: ServiceConfig, trace: Trace) -> w.World:
    """Make the world before the first event; no replica serves yet."""
    pools, tables = _pools(config)
    no_ints, no_floats = np.zeros((0, 0), dtype=np.int32), np.zeros(0)
    empty = w.World(
        requests=_requests(config, trace),
        replicas=new_table(w.Replica, 0),
        pools=pools,
        clock=_clock(config),
        transfers=new_table(w.Transfer, 0),
        batches=no_ints,
        phases=no_ints,
        agenda=w.Agenda(no_floats, no_ints),
        counters=no_floats,
        tables=tables,
    )
    return _with_slots(empty, _FIRST_SLOTS)


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
    slots = world.replicas.size
    larger = _with_slots(world, 2 * slots)
    for index in range(slots):
        larger.replicas[index] = world.replicas[index]
    for index in range(world.clock[0].transfers):
        larger.transfers[index] = world.transfers[index]
    larger.batches[:slots] = world.batches
    larger.phases[:slots] = world.phases
    larger.counters[:slots], larger.counters[-1] = world.counters[:slots], world.counters[-1]
    next_s = larger.agenda.next_s
    next_s[:slots], next_s[-1] = world.agenda.next_s[:slots], world.agenda.next_s[-1]
    return larger._replace(agenda=w.Agenda(next_s, _tournament(next_s)))


def _with_slots(world: w.World, slots: int) -> w.World:
    """The world with so many empty slots in place of its own."""
    sequences = int(max(world.pools[role].max_sequences for role in range(w.POOLS)))
    replicas = new_table(w.Replica, slots)
    for index in range(slots):
        row = replicas[index]
        row.drained_s = math.nan
        _empty(row.waiting, row.prefilling, row.loaded, row.fresh)
    next_s = np.full(2 * slots, math.inf)
    return world._replace(
        replicas=replicas,
        transfers=new_table(w.Transfer, slots * sequences),
        batches=np.zeros((slots, sequences), dtype=np.int32),
        phases=np.zeros((slots, world.clock[0].block_size), dtype=np.int32),
        agenda=w.Agenda(next_s, _tournament(next_s)),
        counters=np.zeros((slots + 1, LAYOUT.width)),
    )


def _tournament(next_s: Floats) -> w.Ints:
    leaves = next_s.size
    tree = np.empty(2 * leaves, dtype=np.int32)
    tree[leaves:] = np.arange(leaves)
    for node in range(leaves - 1, 0, -1):
        left, right = tree[2 * node], tree[2 * node + 1]
        tree[node] = right if next_s[right] < next_s[left] else left
    tree[0] = w.NOBODY
    return tree


def _requests(config: ServiceConfig, trace: Trace) -> w.Table[w.Request]:
    requests = new_table(w.Request, trace.arrival_s.size)
    for name in w.Request.__annotations__:
        if name.endswith("_s"):
            fill(requests, name, math.nan)
    fill(requests, "arrival_s", trace.arrival_s)
    fill(requests, "input_tokens", trace.input_tokens)
    fill(requests, "output_tokens", trace.output_tokens)
    fill(requests, "cached_tokens", np.floor(trace.cached_tokens * config.prefix_hit_ratio))
    for name in ("prefill_slot", "slot", "next", "next_lease"):
        fill(requests, name, w.NOBODY)
    return requests


def _clock(config: ServiceConfig) -> w.Table[w.Clock]:
    table = new_table(w.Clock, 1)
    clock = table[0]
    clock.disaggregate_from_tokens = config.disaggregate_from_tokens if Role.PREFILL in config.pools else math.inf
    clock.local_role = w.AGGREGATED if Role.AGGREGATED in config.pools else w.DECODE
    clock.round_robin = int(config.routing is Routing.ROUND_ROBIN)
    clock.lease_s = config.transfer.lease_s
    clock.transfer_setup_s = config.transfer.setup_s
    clock.block_size = config.block_size
    clock.scrape_interval_s = config.monitoring.scrape_interval_s
    clock.lease_head = clock.lease_tail = w.NOBODY
    clock.lease_due_s = math.inf
    _empty(clock.gateway, clock.handoff)
    return table


def _empty(*queues: w.Queue) -> None:
    for queue in queues:
        queue.head = queue.tail = w.NOBODY


def _pools(config: ServiceConfig) -> tuple[w.Table[w.Pool], Floats]:
    """One row per role, and the tables that the rows point into."""
    pools, tables = new_table(w.Pool, w.POOLS), np.zeros(0)
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
