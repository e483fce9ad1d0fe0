"""The prompt-length threshold: prompts at least that long are prefilled apart, shorter ones where they are decoded.

Every candidate is sized as the two arrangements are: prefill for the long prompts, decode for all outputs with the
short prompts mixed into its steps. The cheapest that meets the objectives is chosen. Before the threshold moves, both
pools hold what either side of the move needs, and until it has been watched none shrinks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from autoscaler.core.arrangement import Load, mixed_point, staffed
from autoscaler.core.capacity import EngineModel
from autoscaler.core.decision import Reason, Stage, StageName, SwitchDecision, SwitchStep
from autoscaler.core.lengths import PromptLengths
from autoscaler.core.passes import full_pass
from autoscaler.core.policy import Objectives, Role, RolePolicy, SwitchPolicy
from autoscaler.core.prompts import Prompts
from autoscaler.core.proposal import whole
from autoscaler.core.snapshot import PoolState, Snapshot
from autoscaler.core.state import ThresholdState

# Share of prompts above a threshold that needs no prefill pool.
_NOBODY = 1e-4


@dataclass(frozen=True, slots=True)
class Sized:
    """What one threshold costs.

    Attributes:
        tokens: The threshold.
        gpus: GPUs of both pools; infinite where the objectives cannot be met.
        prefill_replicas: Fractional; 0 where no prompt is that long.
        decode_replicas: Fractional.
    """

    tokens: float
    gpus: float
    prefill_replicas: float
    decode_replicas: float


def local_load(load: Load, lengths: PromptLengths, tokens: float) -> Load:
    """The traffic as decode sees it under a threshold: all outputs, and of the prompts the short ones."""
    share = 1.0 - lengths.tokens_above(tokens) / max(lengths.tokens_above(0.0), 1e-9)
    return replace(load, uncached_tokens=load.uncached_tokens * min(max(share, 0.0), 1.0))


def size(
    prefill: EngineModel,
    decode: EngineModel,
    gpus: tuple[float, float],
    load: Load,
    lengths: PromptLengths,
    objectives: Objectives,
    tokens: float,
) -> Sized:
    """Replicas and GPUs under one threshold."""
    uncached_ratio = load.uncached_tokens / load.prompt_tokens if load.prompt_tokens > 0 else 1.0
    # The lognormal gives the shape; the measured mean gives the scale.
    scale = load.prompt_tokens / max(lengths.tokens_above(0.0), 1e-9)
    share = lengths.share_above(tokens)
    work = 0.0
    if share > _NOBODY:
        longer = lengths.tokens_above(tokens) * scale / share
        squares_ratio = lengths.squares_above(tokens) * scale**2 / share / longer**2
        prompts = Prompts(load.request_rate * share * longer, uncached_ratio, longer, squares_ratio)
        work = load.request_rate * share * full_pass(prompts, prefill, objectives.ttft.target_s).service_s
    mixed = replace(decode, prefill=prefill.prefill)
    point = mixed_point(mixed, local_load(load, lengths, tokens), objectives)
    longest = Load(load.request_rate, min(tokens, 1e9), min(tokens, 1e9) * uncached_ratio, load.output_tokens)
    # The longest prompt that decode may get has to meet the TTFT objective in the chunks that its steps leave.
    late = tokens > 0 and not mixed_point(mixed, longest, objectives).feasible
    served = load.request_rate / point.requests_per_s if point.requests_per_s > 0 else math.inf
    replicas = (staffed(work), staffed(served))
    cost = math.inf if late or math.isinf(served) else gpus[0] * replicas[0] + gpus[1] * replicas[1]
    return Sized(tokens, cost, *replicas)


def fits(sized: Sized, policies: tuple[RolePolicy, RolePolicy]) -> bool:
    """Whether the pools may become as large as this threshold needs them."""
    prefill, decode = policies
    if math.isinf(sized.prefill_replicas) or math.isinf(sized.decode_replicas):
        return False
    return whole(sized.prefill_replicas) <= prefill.max_replicas and whole(sized.decode_replicas) <= decode.max_replicas


def step_of(policy: SwitchPolicy, memory: ThresholdState, now: float) -> SwitchStep:
    """Where a move stands."""
    if memory.moving_to is not None:
        return SwitchStep.MOVING_THRESHOLD
    watched = memory.changed_at_s is not None and now - memory.changed_at_s < policy.observe_s
    return SwitchStep.OBSERVING if watched else _at_rest(memory)


def _at_rest(memory: ThresholdState) -> SwitchStep:
    return SwitchStep.OFF if memory.tokens is None else SwitchStep.ON


def advance(
    policy: SwitchPolicy,
    snapshot: Snapshot,
    candidates: Sequence[Sized],
    memory: ThresholdState,
    now: float,
    *,
    blocked: str = "",
) -> tuple[SwitchDecision, ThresholdState]:
    """Take one step towards the cheapest threshold.

    Args:
        policy: How patient to be; its dead zone, sustain, dwell, grow and observe times hold here too.
        snapshot: Pools as they are.
        candidates: Every threshold that may be chosen with its cost; empty while that cannot be told.
        memory: Where the threshold stood.
        now: Unix time.
        blocked: Why no move may begin now.
    """
    if memory.moving_to is not None and memory.moving_to in policy.thresholds_tokens:
        return _moving(policy, snapshot, memory, memory.moving_to, now)
    if memory.moving_to is not None:  # it may not be chosen any more
        memory = _rests(memory.tokens, now, memory.changed_at_s)
    memory = _seen(policy, snapshot, memory, now)
    if not memory.known:
        return SwitchDecision(None, SwitchStep.ON, "it is not moved until the stack shows where it stands"), memory
    stands = _words(memory.tokens)
    if memory.changed_at_s is not None and now - memory.changed_at_s < policy.observe_s:
        detail = f"{stands}; watched before any pool shrinks"
        return SwitchDecision(None, SwitchStep.OBSERVING, detail, threshold_tokens=memory.tokens), memory
    here = next((item for item in candidates if item.tokens == memory.tokens), None)
    best = min(candidates, key=lambda item: (item.gpus, item.tokens), default=None)
    if best is None or math.isinf(best.gpus):
        detail = f"{stands}; what other thresholds cost cannot be told"
        memory = replace(memory, better_since_s=None)
        return SwitchDecision(None, _at_rest(memory), detail, threshold_tokens=memory.tokens), memory
    cost = here.gpus if here is not None else math.inf
    costs = f"{cost:.3g} GPUs" if math.isfinite(cost) else "which may not be chosen" if here is None else "too slow"
    detail = f"{stands}, {costs}; from {best.tokens:.0f}, {best.gpus:.3g}"
    gpus = (cost if math.isfinite(cost) else None, best.gpus)
    if best.gpus * (1.0 + policy.dead_zone_ratio) >= cost:
        memory, why = replace(memory, better_since_s=None), f"within {policy.dead_zone_ratio:.0%}, not worth a move"
    else:
        since_s = memory.better_since_s if memory.better_since_s is not None else now
        memory = replace(memory, better_since_s=since_s)
        recent = memory.changed_at_s is not None and now - memory.changed_at_s < policy.dwell_s
        if now - since_s < policy.sustain_s:
            why = f"for {now - since_s:.0f} s, moves after {policy.sustain_s:.0f} s"
        elif recent:
            why = f"moved less than {policy.dwell_s:.0f} s ago"
        elif blocked or any(pool.starting or pool.terminating or pool.updating for pool in snapshot.pools.values()):
            why = blocked or "waits for a scaling under way"
        else:
            floors = (max(whole(best.prefill_replicas), 1), max(whole(best.decode_replicas), 1))
            memory = replace(
                _rests(memory.tokens, now, memory.changed_at_s),
                moving_to=best.tokens,
                prefill_floor=floors[0],
                decode_floor=floors[1],
            )
            why = "moves once both pools can serve it"
    decided = SwitchDecision(None, _at_rest(memory), f"{detail}: {why}", *gpus, threshold_tokens=memory.tokens)
    return decided, memory


def _seen(policy: SwitchPolicy, snapshot: Snapshot, memory: ThresholdState, now: float) -> ThresholdState:
    """The memory, begun again where the stack shows the threshold elsewhere: someone moved it, or it did not take."""
    tokens = math.inf if snapshot.disaggregated is False else snapshot.threshold_tokens
    if tokens is None:
        return memory
    shown = tokens if math.isfinite(tokens) else None
    if not memory.known:
        return _rests(shown, now, None)
    confirmed = memory.changed_at_s is None or now - memory.changed_at_s >= policy.confirm_s
    return _rests(shown, now, now) if confirmed and shown != memory.tokens else memory


def _rests(tokens: float | None, now: float, changed_at_s: float | None) -> ThresholdState:
    return ThresholdState(tokens, known=True, since_s=now, changed_at_s=changed_at_s)


def _words(tokens: float | None) -> str:
    return "no prompt goes apart" if tokens is None else f"prompts from {tokens:.0f} tokens go apart"


def _moving(
    policy: SwitchPolicy, snapshot: Snapshot, memory: ThresholdState, wanted: float, now: float
) -> tuple[SwitchDecision, ThresholdState]:
    ready = {role: pool.ready for role, pool in snapshot.pools.items()}
    floors = {Role.PREFILL: memory.prefill_floor, Role.DECODE: memory.decode_floor}
    short = [role.value for role, floor in floors.items() if ready.get(role, 0) < floor]
    if not short:
        detail = f"both pools can serve it: {_words(wanted)}"
        decided = SwitchDecision(None, SwitchStep.OBSERVING, detail, threshold_tokens=wanted)
        return decided, _rests(wanted, now, now)
    if now - memory.since_s > policy.grow_s:
        detail = f"given up: {' and '.join(short)} did not get the replicas for a threshold of {wanted:.0f} tokens"
        memory = _rests(memory.tokens, now, now)
        return SwitchDecision(None, _at_rest(memory), detail, threshold_tokens=memory.tokens), memory
    detail = f"waits for {' and '.join(short)} before the threshold moves to {wanted:.0f} tokens"
    return SwitchDecision(None, SwitchStep.MOVING_THRESHOLD, detail, threshold_tokens=memory.tokens), memory


def stage(role: Role, pool: PoolState, step: SwitchStep, memory: ThresholdState, before: int) -> Stage:
    """What a move of the threshold does to a pool's number."""
    if step in {SwitchStep.ON, SwitchStep.OFF}:
        return Stage(StageName.SWITCH, before, before, Reason.NOT_SWITCHING)
    floor = memory.prefill_floor if role is Role.PREFILL else memory.decode_floor
    after = max(before, pool.current, floor)
    why = f"{step.value.replace('_', ' ')}: neither pool shrinks, and {role} holds at least {floor}"
    return Stage(StageName.SWITCH, before, after, Reason.SWITCHING, why, {"floor": float(floor)})
