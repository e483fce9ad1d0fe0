"""The least work that each request is to each role, in replica-seconds."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np

from autoscaler.core.capacity import DecodeStep, EngineModel
from autoscaler.core.policy import Role
from autoscaler.simulation.config import ServiceConfig
from autoscaler.simulation.traces.trace import Floats, Trace

# Share of KV blocks that a clairvoyant scheduler fills; more leaves no room to grow into.
KV_FILL_RATIO = 0.95


class Limit(Enum):
    """What ends the growth of a decode batch."""

    TPOT = "tpot"
    KV = "kv"
    SEQUENCES = "sequences"


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """Work of every request of a trace, in order of arrival.

    Attributes:
        arrival_s: When it arrives.
        prefill_s: Replica-seconds of prefill.
        decode_s: Replica-seconds of decode, in the best batch that its length and TPOT allow.
        link_s: Seconds for which its KV occupies a link of either role, side by side with compute.
        prefill_slack_s: How long prefill may wait so that the first token still comes in time.
        residence_s: Longest stay in decode inside the TPOT objective.
        duration_s: Length of the trace.
    """

    arrival_s: Floats
    prefill_s: Floats
    decode_s: Floats
    link_s: Mapping[Role, Floats]
    prefill_slack_s: Floats
    residence_s: Floats
    duration_s: float


def work_of(config: ServiceConfig, trace: Trace, *, least_by: Limit | None = None) -> Work:
    """Work of a trace on a service's replicas.

    Prefill takes `a + b*u + c*(L^2 - cached^2)`; a decoded token at mean resident length L `(d0 + B*(d1 + d2*L))/B`
    with `B = floor(min(max_sequences, 0.95*K/L, (TPOT - d0)/(d1 + d2*L)))`. The cost per token falls with the batch,
    so the largest feasible one is the cheapest; batches of unlike lengths could use both limits slightly better.

    Args:
        config: The service, with a prefill and a decode pool.
        trace: Its requests.
        least_by: Leave out what a perfect scheduler might save, so that sums of work are lower bounds: the fixed time
            of a prefill pass, which a batch shares, whole sequences, free KV, and every limit of a decode batch but
            this one. One batch may be full of short sequences by number and of a few long ones by KV, and pays for its
            step once; so what each request costs by its own tightest limit adds up to too much, while what all cost by
            the same limit does not. Each limit makes a bound, and the largest of the three holds.
    """
    prefill, decode = config.pools[Role.PREFILL], config.pools[Role.DECODE]
    prompt, output = trace.input_tokens.astype(np.float64), trace.output_tokens.astype(np.float64)
    cached = np.minimum(np.floor(trace.cached_tokens * config.prefix_hit_ratio), prompt)
    time = prefill.engine.prefill
    terms = (time.b_ms_per_token * (prompt - cached), time.c_ms_per_token2 * (prompt**2 - cached**2))
    prefill_s = (sum(terms) + (time.a_ms if least_by is None else 0.0)) / 1e3
    tpot_s = config.objectives.tpot.target_s
    kv_bytes = prompt * prefill.engine.kv_bytes_per_token
    link_s = {role: kv_bytes / config.pools[role].link_bytes_per_s for role in (Role.PREFILL, Role.DECODE)}
    transfer_s = config.transfer.setup_s + np.maximum(link_s[Role.PREFILL], link_s[Role.DECODE])
    first_step_s = decode.engine.decode.piece(1).d0_ms / 1e3
    slack_s = config.objectives.ttft.target_s - prefill_s - transfer_s - first_step_s
    if least_by is None:
        token_s = _token_ms(decode.engine, tpot_s * 1e3, prompt + output / 2) / 1e3
    else:  # the first step reads the prompt alone
        token_s = _least_token_ms(decode.engine, tpot_s * 1e3, prompt + (output - 1.0) / 2, least_by) / 1e3
    return Work(
        arrival_s=trace.arrival_s,
        prefill_s=prefill_s,
        decode_s=output * token_s,
        link_s=link_s,
        prefill_slack_s=np.maximum(slack_s, 0.0),
        residence_s=output * tpot_s,
        duration_s=trace.duration_s,
    )


def _token_ms(engine: EngineModel, tpot_ms: float, resident: Floats) -> Floats:
    """Replica time per token at the largest batch of requests alike, per request."""
    limit = np.minimum(float(engine.max_sequences), KV_FILL_RATIO * engine.kv_capacity_tokens / resident)
    large = _largest_batch(engine.decode, tpot_ms, resident)
    batch = np.minimum(large, limit)
    cost = _cost_ms(engine.decode, batch, resident)
    small = engine.decode.small_batch
    if small is None:
        return cost
    most = float(engine.decode.small_batch_max)
    few = np.minimum(_largest_batch(small, tpot_ms, resident), np.minimum(limit, most))
    return np.where(batch > most, cost, _cost_ms(small, few, resident))


def _largest_batch(step: DecodeStep, tpot_ms: float, resident: Floats) -> Floats:
    """Sequences that one step inside TPOT has room for; no end of them where a sequence takes no time."""
    spare_ms = tpot_ms - step.d0_ms
    each_ms = _each_ms(step, resident)
    endless = np.full_like(each_ms, math.copysign(math.inf, spare_ms))
    return np.divide(spare_ms, each_ms, out=endless, where=each_ms > 0)


def _cost_ms(step: DecodeStep, batch: Floats, resident: Floats) -> Floats:
    return step.d0_ms / np.maximum(np.floor(batch), 1.0) + _each_ms(step, resident)


def _least_token_ms(engine: EngineModel, tpot_ms: float, resident: Floats, limit: Limit) -> Floats:
    """Replica time per token that no batch undercuts, however mixed, by one of its limits; per request.

    A step of sequences that each add `c = d1 + d2*L` takes `d0 + sum(c)`. By what a limit says of it, each sequence
    has its share of `d0`, and the shares of a step never exceed `d0`: `c/(TPOT - d0)`, for the sum of `c` fits beside
    `d0`; `L/K`, for the sum of `L` fits in the KV; `1/S`, for no more than `S` run. An engine with other constants for
    small batches may run any of its steps either way.
    """
    pieces = [(engine.decode, engine.max_sequences)]
    if engine.decode.small_batch is not None:
        pieces.append((engine.decode.small_batch, min(engine.decode.small_batch_max, engine.max_sequences)))
    costs = (_shared_ms(step, engine, most, tpot_ms, resident, limit) for step, most in pieces)
    return functools.reduce(np.minimum, costs)


def _shared_ms(
    step: DecodeStep, engine: EngineModel, most: int, tpot_ms: float, resident: Floats, limit: Limit
) -> Floats:
    """A sequence's own time and its share of the fixed time of one step; alone it has all of it."""
    match limit:
        case Limit.TPOT:
            share = 1.0 / np.maximum(_largest_batch(step, tpot_ms, resident), 1.0)
        case Limit.KV:
            share = np.minimum(resident / engine.kv_capacity_tokens, 1.0)
        case Limit.SEQUENCES:
            share = np.full_like(resident, 1.0 / most)
    return _each_ms(step, resident) + step.d0_ms * share


def _each_ms(step: DecodeStep, resident: Floats) -> Floats:
    """What one sequence adds to a step."""
    return step.d1_ms_per_sequence + step.d2_ms_per_kv_token * resident
