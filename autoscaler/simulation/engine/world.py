"""The state of a simulated service as a few tables; everything that the inner loop reads or writes.

Rows are read and written as `world.replicas[slot].used_blocks`, compiled or not. A slot is a place for a serving
replica; it is used again when a replica is gone. Times are seconds of the simulation, NaN where something has not
happened yet. Queues are linked lists through `Request.next`.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from autoscaler.simulation.counters import LAYOUT, Floats

NOBODY = -1

# Roles, as rows of `samples` and `retired`; the gateway counts what users see.
PREFILL, DECODE, AGGREGATED, GATEWAY = 0, 1, 2, 3
POOLS = 3

# Where a request is. From FINISHED on it has left the system.
PENDING = 0  # not arrived yet
AT_GATEWAY = 1  # waits for a ready replica
QUEUED = 2  # waits for prefill
PREFILLING = 3
AWAITING_DECODE = 4  # prefilled, no decode replica is ready
AWAITING_PULL = 5  # waits at a decode replica for blocks and a sequence slot
TRANSFERRING = 6
LOADED = 7  # its KV is there, it joins at the next step
DECODING = 8
FINISHED = 9
FAILED = 10
REJECTED = 11

Int32 = Annotated[int, np.int32]
Ints = npt.NDArray[np.int32]
Row = TypeVar("Row")


class Table(Protocol[Row]):
    """Rows that have the fields of `Row`."""

    @property
    def size(self) -> int:
        """Number of rows."""
        ...

    def __getitem__(self, index: int) -> Row: ...

    def __setitem__(self, index: int, row: Row) -> None: ...


class Queue:
    """A linked list of requests."""

    head: Int32
    tail: Int32
    count: int


class Request:
    """One request of the trace.

    Times: `entered_s` when it was routed to the replica that prefills, `decode_arrival_s` to the one that decodes,
    `pod_scheduled_s` and `pod_first_token_s` on the latter; `first_token_s` is what the user saw.
    """

    arrival_s: float
    entered_s: float
    prefill_start_s: float
    prefill_end_s: float
    decode_arrival_s: float
    transfer_start_s: float
    transfer_end_s: float
    pod_scheduled_s: float
    pod_first_token_s: float
    first_token_s: float
    finish_s: float
    finish_step: int
    joined_step: int
    join_order: int
    input_tokens: Int32
    output_tokens: Int32
    cached_tokens: Int32
    generated_tokens: Int32  # when it last joined a batch
    context_tokens: Int32  # to prefill: the prompt, and what was generated before a preemption or loss
    computed_tokens: Int32  # of them done or cached
    chunk_tokens: Int32  # of them in the pass under way
    joined_context: Int32  # tokens that its first decode step reads
    blocks: Int32  # needed on the replica where it is, until it joins
    held_blocks: Int32  # kept on the prefill replica until pulled
    state: Int32
    local: Int32  # prefills where it decodes
    prefill_slot: Int32
    slot: Int32  # replica that queues, prefills or decodes it now
    next: Int32
    next_lease: Int32
    leased: Int32  # is in the lease queue
    preemptions: Int32
    retries: Int32


class Replica:
    """A slot: one serving replica, and the run of steps that is under way.

    The run began at `anchor_s` with step number `step`; its j-th step takes `q0_s + q1_s*j + q2_s*j^2`.
    """

    anchor_s: float
    q0_s: float
    q1_s: float
    q2_s: float
    drained_s: float
    kv_tokens: float  # read by the run's first step
    outstanding_tokens: float  # uncached prompt tokens still to prefill
    step: int
    run_steps: int
    counted_steps: int  # of the run, already in the counters
    joins: int
    num_blocks: int
    used_blocks: int
    wanted_blocks: int  # of waiting requests
    max_sequences: int
    max_batched_tokens: int
    pass_tokens: int  # prompt tokens in the pass under way
    batch: int
    transferring: int
    held: int  # prefilled requests not yet pulled
    flows: int  # transfers that use its link now
    waiting: Queue
    prefilling: Queue
    loaded: Queue
    fresh: Queue  # joined with this run, first token still to come
    role: int
    in_use: int
    accepting: int
    running: int


class Transfer:
    """A KV transfer; bytes flow from `start_s` on."""

    start_s: float
    finish_s: float
    bytes_per_s: float
    bytes: float
    request: int
    source: int
    target: int
    flowing: int


class Pool:
    """What every replica of a role is like; timing in seconds, 0 table points for linear timing."""

    prefill_a_s: float
    prefill_b_s: float
    prefill_c_s: float
    d0_s: float
    d1_s: float
    d2_s: float
    small_d0_s: float
    small_d1_s: float
    small_d2_s: float
    small_batch_max: int
    num_blocks: int
    max_sequences: int
    max_batched_tokens: int
    kv_bytes_per_token: float
    link_bytes_per_s: float
    prefill_points: int
    kv_points: int
    context_points: int
    tables_at: int  # where its tables begin in `World.tables`
    turn: int  # slot that round robin chose last


class Clock:
    """Everything there is one of."""

    now_s: float
    next_arrival: int
    disaggregate_from_tokens: float
    local_role: int
    round_robin: int
    lease_s: float
    transfer_setup_s: float
    block_size: int
    transfers: int
    scrape_interval_s: float
    next_scrape: int  # index of the next scrape since the start
    samples: int  # scrapes that were taken
    blind_until_s: float
    gateway: Queue
    handoff: Queue
    lease_head: int
    lease_tail: int
    lease_due_s: float
    drained: int  # a draining replica has become empty
    settled: int  # requests that left the system
    events: int


# Gauges of a sample, after the counters.
G_RUNNING = LAYOUT.width
G_WAITING = LAYOUT.width + 1
G_WAITING_FOR_KV = LAYOUT.width + 2
G_KV_SUM = LAYOUT.width + 3
G_KV_MAX = LAYOUT.width + 4
G_PODS = LAYOUT.width + 5  # that were scraped
G_READY = LAYOUT.width + 6
SAMPLE_WIDTH = LAYOUT.width + 7


class Agenda(NamedTuple):
    """The next event of every leaf: a slot, or, the last one, the transfers.

    Attributes:
        next_s: When it is.
        tree: Tournament over `next_s`; `tree[1]` is the leaf with the earliest event.
    """

    next_s: Floats
    tree: Ints


class World(NamedTuple):
    """Every table of one service.

    Attributes:
        requests: One row per request of the trace.
        replicas: One row per slot.
        pools: One row per role.
        clock: One row.
        transfers: The first `clock.transfers` rows are under way.
        batches: Per slot, decoding requests as a heap ordered by the step at which they finish.
        phases: Per slot and step modulo block size, how many sequences need a new block at such a step.
        agenda: The next event of every slot and of the transfers.
        counters: Per slot and for the gateway (last row) what was counted, laid out as `LAYOUT`.
        tables: Per role with tables: tokens and seconds of prefill passes, KV tokens and mean contexts of decode steps,
            seconds of these steps row by row.
    """

    requests: Table[Request]
    replicas: Table[Replica]
    pools: Table[Pool]
    clock: Table[Clock]
    transfers: Table[Transfer]
    batches: Ints
    phases: Ints
    agenda: Agenda
    counters: Floats
    tables: Floats


class Monitor(NamedTuple):
    """What Prometheus would hold.

    Attributes:
        samples: Ring of scrapes: sample, role, counters and gauges.
        sample_s: When each of them was taken.
        retired: Per role, what replicas had counted that are gone.
    """

    samples: Floats
    sample_s: Floats
    retired: Floats
