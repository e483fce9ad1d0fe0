"""The least work that each request is to each role, in replica-seconds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from autoscaler.core.capacity import DecodeStep, EngineModel
from autoscaler.core.policy import Role
from autoscaler.simulation.config import ServiceConfig
from autoscaler.simulation.traces.trace import Floats, Trace

# Share of KV blocks that a clairvoyant scheduler fills; more leaves no room to grow into.
KV_FILL_RATIO = 0.95


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


def work_of(config: ServiceConfig, trace: Trace, *, strict: bool = False) -> Work:
    """Work of a trace on a service's replicas.

    Prefill takes `a + b*u + c*(L^2 - cached^2)`; a decoded token at mean resident length L `(d0 + B*(d1 + d2*L))/B`
    with `B = floor(min(max_sequences, 0.95*K/L, (TPOT - d0)/(d1 + d2*L)))`. The cost per token falls with the batch,
    so the largest feasible one is the cheapest; batches of unlike lengths could use both limits slightly better.

    Args:
        config: The service, with a prefill and a decode pool.
        trace: Its requests.
        strict: Leave out what a perfect scheduler might save: the fixed time of a prefill pass, which a batch shares,
            whole sequences, and free KV. Makes sums of work lower bounds.
    """
    prefill, decode = config.pools[Role.PREFILL], config.pools[Role.DECODE]
    prompt, output = trace.input_tokens.astype(np.float64), trace.output_tokens.astype(np.float64)
    cached = np.minimum(np.floor(trace.cached_tokens * config.prefix_hit_ratio), prompt)
    time = prefill.engine.prefill
    terms = (time.b_ms_per_token * (prompt - cached), time.c_ms_per_token2 * (prompt**2 - cached**2))
    prefill_s = (sum(terms) + (0.0 if strict else time.a_ms)) / 1e3
    tpot_s = config.objectives.tpot.target_s
    kv_bytes = prompt * prefill.engine.kv_bytes_per_token
    link_s = {role: kv_bytes / config.pools[role].link_bytes_per_s for role in (Role.PREFILL, Role.DECODE)}
    transfer_s = config.transfer.setup_s + np.maximum(link_s[Role.PREFILL], link_s[Role.DECODE])
    first_step_s = decode.engine.decode.piece(1).d0_ms / 1e3
    slack_s = config.objectives.ttft.target_s - prefill_s - transfer_s - first_step_s
    token_s = _token_ms(decode.engine, tpot_s * 1e3, prompt + output / 2, strict=strict) / 1e3
    return Work(
        arrival_s=trace.arrival_s,
        prefill_s=prefill_s,
        decode_s=output * token_s,
        link_s=link_s,
        prefill_slack_s=np.maximum(slack_s, 0.0),
        residence_s=output * tpot_s,
        duration_s=trace.duration_s,
    )


def _token_ms(engine: EngineModel, tpot_ms: float, resident: Floats, *, strict: bool) -> Floats:
    """Replica time per token at the largest batch, per request."""
    fill = 1.0 if strict else KV_FILL_RATIO
    limit = np.minimum(float(engine.max_sequences), fill * engine.kv_capacity_tokens / resident)
    large = _largest_batch(engine.decode, tpot_ms, resident)
    batch = np.minimum(large, limit)
    cost = _cost_ms(engine.decode, batch, resident, strict=strict)
    small = engine.decode.small_batch
    if small is None:
        return cost
    most = float(engine.decode.small_batch_max)
    few = np.minimum(_largest_batch(small, tpot_ms, resident), np.minimum(limit, most))
    return np.where(batch > most, cost, _cost_ms(small, few, resident, strict=strict))


def _largest_batch(step: DecodeStep, tpot_ms: float, resident: Floats) -> Floats:
    """Sequences that one step inside TPOT has room for; no end of them where a sequence takes no time."""
    spare_ms = tpot_ms - step.d0_ms
    each_ms = step.d1_ms_per_sequence + step.d2_ms_per_kv_token * resident
    endless = np.full_like(each_ms, math.copysign(math.inf, spare_ms))
    return np.divide(spare_ms, each_ms, out=endless, where=each_ms > 0)


def _cost_ms(step: DecodeStep, batch: Floats, resident: Floats, *, strict: bool) -> Floats:
    whole = np.maximum(batch if strict else np.floor(batch), 1.0)
    return step.d0_ms / whole + step.d1_ms_per_sequence + step.d2_ms_per_kv_token * resident
