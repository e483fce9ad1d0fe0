"""What both arrangements cost: prefill and decode apart, or one pool that does both.

Per request per second a disaggregated service needs `s_P` prefill replicas, in full passes, and `osl * step / B` decode
replicas; an aggregated one `osl * step / B` replicas whose step also carries prompt chunks. Both get the same headroom;
two pools need two safety margins, so the square-root staffing term is added per pool. The formula agrees with measured
kernel tables within 10 % on average (docs/capacity-model.md), which is why the switch has a dead zone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from autoscaler.core.capacity import KV_CEILING_RATIO, EngineModel, decode_point
from autoscaler.core.passes import full_pass
from autoscaler.core.policy import Objectives
from autoscaler.core.prompts import Prompts

# Share of a chunk's compute that adds to a mixed step; the rest hides behind reading the weights. Fitted to 28 points
# of AIConfigurator's tables for a 70B model on H100.
MIXED_STEP_SHARE = 0.95
# Safety margin of a pool, in standard deviations of Poisson work.
_STAFFING = 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """Traffic as both arrangements see it: arrival rate and the mean request."""

    request_rate: float
    prompt_tokens: float
    uncached_tokens: float
    output_tokens: float

    @property
    def resident_tokens(self) -> float:
        """Tokens that a running sequence holds on average."""
        return self.prompt_tokens + self.output_tokens / 2

    @property
    def prompts(self) -> Prompts:
        """The prompts alone, as if all were as long as the mean."""
        uncached_ratio = self.uncached_tokens / max(self.prompt_tokens, 1.0)
        return Prompts(self.request_rate * self.prompt_tokens, uncached_ratio, self.prompt_tokens)


@dataclass(frozen=True, slots=True)
class MixedPoint:
    """Where one aggregated replica should run.

    Attributes:
        sequences: Batch inside the TPOT objective.
        step_s: Time of a mixed step.
        requests_per_s: Requests that one replica serves.
        feasible: Whether prefill in chunks of the remaining step time still meets the TTFT objective.
    """

    sequences: float
    step_s: float
    requests_per_s: float
    feasible: bool


def mixed_point(model: EngineModel, load: Load, objectives: Objectives) -> MixedPoint:
    """Set-point of an aggregated replica for a load."""
    tpot_ms = objectives.tpot.target_s * 1e3
    resident, output = max(load.resident_tokens, 1.0), max(load.output_tokens, 1.0)
    per_token_ms = model.prefill.b_ms_per_token + model.prefill.c_ms_per_token2 * load.prompt_tokens
    piece = model.decode
    decode_ms = piece.d1_ms_per_sequence + piece.d2_ms_per_kv_token * resident
    slope_ms = decode_ms + MIXED_STEP_SHARE * per_token_ms * load.uncached_tokens / output
    by_tpot = (tpot_ms - piece.d0_ms) / slope_ms
    sequences = min(by_tpot, KV_CEILING_RATIO * model.kv_capacity_tokens / resident, float(model.max_sequences))
    if sequences <= 0:
        return MixedPoint(0.0, math.inf, 0.0, feasible=False)
    step_ms = piece.d0_ms + sequences * slope_ms
    chunk_tokens = (tpot_ms - piece.d0_ms - sequences * decode_ms) / per_token_ms
    ttft_s = load.uncached_tokens / chunk_tokens * tpot_ms / 1e3 if chunk_tokens > 0 else math.inf
    step_s = step_ms / 1e3
    return MixedPoint(sequences, step_s, sequences / (output * step_s), feasible=ttft_s <= objectives.ttft.target_s)


@dataclass(frozen=True, slots=True)
class Comparison:
    """GPUs that each arrangement needs for the same load and objectives.

    Attributes:
        apart_gpus: Disaggregated; infinite where it cannot meet the objectives.
        together_gpus: Aggregated; infinite where it cannot meet the objectives.
        prefill_replicas: Disaggregated prefill replicas, fractional.
        decode_replicas: Disaggregated decode replicas, fractional.
        together_replicas: Aggregated replicas, fractional.
    """

    apart_gpus: float
    together_gpus: float
    prefill_replicas: float
    decode_replicas: float
    together_replicas: float

    @property
    def advantage_ratio(self) -> float:
        """Aggregated over disaggregated GPUs: above 1 disaggregation saves; 1 where neither can serve."""
        if math.isinf(self.apart_gpus):
            return 1.0 if math.isinf(self.together_gpus) else 0.0
        return self.together_gpus / self.apart_gpus if self.apart_gpus > 0 else 1.0


def compare(
    prefill: EngineModel, decode: EngineModel, gpus: tuple[float, float], load: Load, objectives: Objectives
) -> Comparison:
    """Size both arrangements for a load.

    Args:
        prefill: Model of a prefill replica.
        decode: Model of a decode replica, which is also the aggregated one.
        gpus: GPUs per prefill and per decode replica.
        load: The traffic.
        objectives: What must hold.
    """
    alone_s = prefill.prefill.request_ms(load.prompt_tokens, load.prompt_tokens - load.uncached_tokens) / 1e3
    point = decode_point(decode, objectives.tpot.target_s, load.resident_tokens)
    prefill_work = load.request_rate * full_pass(load.prompts, prefill, objectives.ttft.target_s).service_s
    decode_work = load.request_rate * load.output_tokens / point.tokens_per_s
    mixed = mixed_point(decode, load, objectives)
    together_work = load.request_rate / mixed.requests_per_s if mixed.requests_per_s > 0 else math.inf
    apart_feasible = alone_s < objectives.ttft.target_s and point.limit != "unreachable"
    apart = gpus[0] * staffed(prefill_work) + gpus[1] * staffed(decode_work) if apart_feasible else math.inf
    together = gpus[1] * staffed(together_work) if mixed.feasible else math.inf
    return Comparison(apart, together, staffed(prefill_work), staffed(decode_work), staffed(together_work))


def staffed(work: float) -> float:
    """Replicas of a pool with its safety margin; a pool that serves has one at least."""
    return max(work + _STAFFING * math.sqrt(work), 1.0) if work > 0 else 0.0
