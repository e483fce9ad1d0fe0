"""From one snapshot to what a role policy may rest on: startup time, engine timing, demand, outlook, headroom.

Learning runs each tick, also while nothing may be changed, so that a standby or an adviser is warm when it takes over.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, replace

from autoscaler.core import calibration, forecast, headroom
from autoscaler.core.attribution import Attribution, Bottleneck
from autoscaler.core.capacity import (
    DecodeStep,
    EngineModel,
    PrefillTime,
    scaled_decode,
    scaled_prefill,
)
from autoscaler.core.demand import Demand, decode_demand, prefill_demand, transfer_s_per_token
from autoscaler.core.forecast import Outlook
from autoscaler.core.policy import Role, RolePolicy, ServicePolicy
from autoscaler.core.prompts import Prompts
from autoscaler.core.signals import Scope
from autoscaler.core.snapshot import PoolState, Snapshot
from autoscaler.core.state import Gauges, RoleState, State, Timed

# Latency signals are means over two minutes; gauges are averaged over the same stretch.
SIGNAL_WINDOW_S = 120.0
# Samples in which a replica takes its first requests say nothing about the engine's steady state.
_WARM_UP_S = SIGNAL_WINDOW_S
_STARTUPS_KEPT = 8
# Share of the load that may exceed the forecast's upper bound before the error budget has its say. Prompts that come on
# top wait a little, most of them inside the TTFT target; sequences on top slow all the others of a decode replica.
_PREFILL_EXCESS_RATIO, _DECODE_EXCESS_RATIO = 0.2, 0.1
# These hold at this startup time, and so much at most: what is short for half as long may be short twice as often.
_EXCESS_STARTUP_S, _MOST_EXCESS_RATIO = 240.0, 0.3
# Below this load per replica, a pool is idle and its averages are noise.
_LEAST_SEQUENCES = 1.0
# Ticks missed after which a pool's past proposals no longer tell what it needed.
_HOLE_INTERVALS = 4.0
# Growth per tick of the least transfer time seen: a tenth a day, so that a fabric that became slower is learned anew.
_FORGET_TRANSFER = 1.0 + 0.1 / 5760
# Mean wait, as a share of the TTFT target, below which waiting is not what makes requests miss it.
HARMLESS_WAIT = 0.02
# Time constant of what is known of the spread of prompt lengths, and the most that a moment after a gap speaks for.
_LENGTHS_S, _LONGEST_ELAPSED_S = 3600.0, 600.0
# Steps of a batch for which a request waits however many replicas there are: it joins a batch between two of them.
_STEPS_TO_JOIN = 2.0
# Error of the difference between two means of the same requests, as a share of the transfer that both contain.
_TRANSFER_NOISE = 0.1

# A guess for engines without a prior: the middle of the built-in table on a log scale.
_GUESS = EngineModel(PrefillTime(10.0, 0.05, 0.6e-6), DecodeStep(12.0, 0.035, 25e-6), kv_capacity_tokens=500_000.0)


@dataclass(frozen=True, slots=True)
class Insight:
    """What is known about one pool now.

    Attributes:
        startup_time_s: From order to service, measured where pods have been seen starting, else configured.
        model: The engine's timing with what has been learned; None while it cannot be trusted.
        model_source: Where the model comes from, in words.
        confidence_ratio: How sure the model is.
        demand: Offered work now; None where the signals or the model cannot tell.
        outlook: Demand one lead time ahead; None without demand.
        margin: Multiplier on demand that the error budget asks for.
        unspent_ratio: Share of the error budget that has lately been left.
        answered: Replicas are starting, or have come so lately that what the signals tell of misses is from before.
    """

    startup_time_s: float
    model: EngineModel | None
    model_source: str
    confidence_ratio: float
    demand: Demand | None
    outlook: Outlook | None
    margin: float
    unspent_ratio: float = 0.0
    answered: bool = False


def startup_time_s(policy: RolePolicy, memory: RoleState) -> float:
    """Startup time in force: the median of those seen, else the configured one."""
    return statistics.median(memory.startup_times_s) if memory.startup_times_s else policy.startup_time_s


def excess_ratio(role: Role, startup_s: float) -> float:
    """Share of the load that may exceed the forecast's upper bound where replicas take so long to start."""
    ratio = _PREFILL_EXCESS_RATIO if role is Role.PREFILL else _DECODE_EXCESS_RATIO
    return min(ratio * _EXCESS_STARTUP_S / max(startup_s, 1.0), _MOST_EXCESS_RATIO)


def learn(
    policy: ServicePolicy,
    role: Role,
    snapshot: Snapshot,
    attribution: Attribution,
    prompts: Prompts | None,
    state: State,
    now: float,
) -> tuple[RoleState, Insight]:
    """Take one snapshot in for one role, under the prompts that arrive."""
    mixed = state.decode_does_prefill
    role_policy, pool = policy.roles[role], snapshot.pools[role]
    memory = state.roles.get(role, RoleState(since_s=state.started_at_s))
    if memory.seen_s is not None and now - memory.seen_s > _HOLE_INTERVALS * policy.interval_s:
        # What was proposed meanwhile is unknown, so the window begins anew.
        memory = replace(memory, since_s=now)
    again, seen_s = memory.seen_s == now, memory.seen_s
    memory = _track(memory, pool, now)
    if role is Role.PREFILL and prompts is not None:
        memory = replace(memory, squares_ratio=_squares_ratio(memory, prompts, 0.0 if seen_s is None else now - seen_s))
        prompts = replace(prompts, squares_ratio=memory.squares_ratio or prompts.squares_ratio)
    lead_s = startup_time_s(role_policy, memory)
    prior = role_policy.engine
    base = prior or _GUESS
    fit = calibration.continued(memory.fit, from_prior=prior is not None, prior=_constants(base, role))
    memory = replace(memory, fit=fit)
    if not again and not mixed:  # a step that carries prompts tells nothing of decode, and prefill has little to do
        memory = _calibrate(memory, role, base, snapshot, attribution, prompts, pool, now)
    fit = memory.fit or fit  # with this tick's sample
    model = trusted_model(role_policy, role, fit)
    if role is Role.DECODE and not again:
        memory = replace(memory, transfer_alone_s=_alone_s(memory.transfer_alone_s, transfer_s_per_token(snapshot)))
    demand = _demand(policy, role, snapshot, model, memory, prompts, now) if model is not None else None
    outlook = None
    if demand is not None:
        # Rates are means over a window and show what was half of it ago; decode's gauges show what is.
        lag_s = SIGNAL_WINDOW_S / 2 if role is Role.PREFILL else 0.0
        horizon_s = lead_s + policy.interval_s + lag_s
        seen, outlook = forecast.observe(memory.forecast, demand.lasting, now, horizon_s, excess_ratio(role, lead_s))
        memory = replace(memory, forecast=seen)
    if seen_s is not None:
        memory = replace(memory, headroom=_account(policy, snapshot, memory.headroom, now - seen_s))
    came = memory.grown_at_s is not None and now - memory.grown_at_s < SIGNAL_WINDOW_S
    answered = came or pool.starting > 0
    if not mixed:
        steered = _steer(policy, role, snapshot, attribution, state, memory, now, answered=answered)
        memory = replace(memory, headroom=steered)
    insight = Insight(
        lead_s,
        model,
        _source(role_policy, fit),
        fit.confidence_ratio,
        demand,
        outlook,
        memory.headroom.margin,
        memory.headroom.unspent_ratio,
        answered,
    )
    return memory, insight


def _track(memory: RoleState, pool: PoolState, now: float) -> RoleState:
    """Note what the cluster did since the last tick: counts, newly ready replicas, startup times."""
    changes = memory.changes
    if memory.current is not None and pool.current != memory.current:
        ours = memory.decided is not None and memory.decided.value == pool.current
        at_s = memory.decided.at_s if memory.decided is not None and ours else now
        changes = (*changes, Timed(at_s, float(pool.current - memory.current)))
    grown = memory.ready is not None and pool.ready > memory.ready
    new_startups_s = () if memory.seen_s == now else pool.startup_times_s
    return replace(
        memory,
        changes=changes,
        seen_s=now,
        current=pool.current,
        ready=pool.ready,
        grown_at_s=now if grown else memory.grown_at_s,
        startup_times_s=(*memory.startup_times_s, *new_startups_s)[-_STARTUPS_KEPT:],
    )


def _squares_ratio(memory: RoleState, prompts: Prompts, elapsed_s: float) -> float | None:
    """How far prompt lengths are spread, over an hour: the longest of them, which matter most, come rarely."""
    seen, known = prompts.squares_ratio, memory.squares_ratio
    if not prompts.mean_tokens:
        return known
    if known is None:
        return seen
    keep = math.exp(-min(elapsed_s, _LONGEST_ELAPSED_S) / _LENGTHS_S)
    return seen + (known - seen) * keep


def _calibrate(
    memory: RoleState,
    role: Role,
    base: EngineModel,
    snapshot: Snapshot,
    attribution: Attribution,
    prompts: Prompts | None,
    pool: PoolState,
    now: float,
) -> RoleState:
    if pool.ready == 0:
        return memory
    known_s = now - (memory.since_s if memory.since_s is not None else now)
    warming = known_s < _WARM_UP_S or (memory.grown_at_s is not None and now - memory.grown_at_s < _WARM_UP_S)
    if role is Role.PREFILL:
        held_up = attribution.bottleneck in (Bottleneck.DECODE, Bottleneck.TRANSFER)
        sample = None if warming or held_up else _prefill_sample(base, memory.fit, snapshot, prompts, pool)
    else:
        memory, sample = _decode_sample(memory, base, snapshot, pool, now)
        sample = None if warming else sample
    if sample is None or memory.fit is None:
        return memory
    return replace(memory, fit=calibration.update(memory.fit, *sample))


Sample = tuple[tuple[float, float, float], float]


def _prefill_sample(
    base: EngineModel, fit: calibration.Fit | None, snapshot: Snapshot, prompts: Prompts | None, pool: PoolState
) -> Sample | None:
    """Mean prefill time against the prompts that share a pass.

    Who comes during a pass shares the next one. By Little's law a replica has `n = rate * time` requests in prefill on
    average, and passes hold `(1 + n^3)^(1/3)` prompts: fitted to simulated engines, whose timing is learned so within
    8 %. Where more wait than one pass can take along, arrivals may outrun the pool, and n is no longer what passes
    hold: one at least and `1 + n` at most, and the number counts which agrees best with what is known. No pass holds
    more than the engine batches, k prompts. Where passes are full, though, a prompt that meets the end of one goes on
    in the next: in the mean it takes part in `1 + 1/k` of them, and so long as `k + 1` prompts do. A gauge of the
    moment would not do for n: it is high while requests queue, and the time is a mean over two minutes.
    """
    if prompts is None:
        return None
    prompt = prompts.mean_tokens
    time_s = snapshot.usable(Scope.PREFILL, "prefill_time_s")
    rate = snapshot.usable(Scope.PREFILL, "request_rate")
    if not prompt or time_s is None or rate is None or fit is None:
        return None
    uncached = snapshot.usable(Scope.PREFILL, "uncached_ratio")
    cached_ratio = 1.0 - uncached if uncached is not None else 0.0
    fixed, linear, quadratic = prompts.terms_ms(base.prefill, cached_ratio)
    present, most = rate * time_s / pool.ready, max(base.max_batched_tokens / prompt, 1.0)
    waiting = snapshot.usable(Scope.PREFILL, "queue_depth")
    if waiting is not None and waiting <= pool.ready * (1.0 + present):
        together = min(math.cbrt(1.0 + present**3), most)
    else:
        alone_ms = fit.factors[1] * linear + fit.factors[2] * quadratic
        seen = (time_s * 1e3 - fit.factors[0] * fixed) / alone_ms if alone_ms > 0 else 1.0
        together = min(max(seen, 1.0), 1.0 + present, most + 1.0)
    return (fixed, linear * together, quadratic * together), time_s * 1e3


def _decode_sample(
    memory: RoleState, base: EngineModel, snapshot: Snapshot, pool: PoolState, now: float
) -> tuple[RoleState, Sample | None]:
    """Mean step time against the batch and resident tokens averaged over the same window."""
    running = snapshot.usable(Scope.DECODE, "running")
    utilization = snapshot.usable(Scope.DECODE, "kv_utilization_mean")
    step_s = snapshot.usable(Scope.DECODE, "step_time_s")
    if running is None or utilization is None:
        return memory, None
    capacity = snapshot.usable(Scope.DECODE, "kv_capacity_tokens") or base.kv_capacity_tokens
    present = Gauges(now, running / pool.ready, utilization * capacity)
    gauges = (*(item for item in memory.gauges if item.at_s > now - SIGNAL_WINDOW_S), present)
    memory = replace(memory, gauges=gauges)
    sequences = statistics.fmean(item.sequences for item in gauges)
    if step_s is None or sequences < _LEAST_SEQUENCES or now - gauges[0].at_s < SIGNAL_WINDOW_S / 2:
        return memory, None
    kv_tokens = statistics.fmean(item.kv_tokens for item in gauges)
    return memory, (base.decode.terms_ms(sequences, kv_tokens), step_s * 1e3)


def _constants(engine: EngineModel, role: Role) -> tuple[float, float, float]:
    """What the factors of a role's fit multiply."""
    prefill, step = engine.prefill, engine.decode
    if role is Role.PREFILL:
        return prefill.a_ms, prefill.b_ms_per_token, prefill.c_ms_per_token2
    return step.d0_ms, step.d1_ms_per_sequence, step.d2_ms_per_kv_token


def trusted_model(policy: RolePolicy, role: Role, fit: calibration.Fit | None) -> EngineModel | None:
    """The engine's timing with what has been learned; None while it cannot be trusted."""
    if fit is None or not fit.trusted:
        return None
    base = policy.engine or _GUESS
    if role is Role.PREFILL:
        return replace(base, prefill=scaled_prefill(base.prefill, fit.factors))
    return replace(base, decode=scaled_decode(base.decode, fit.factors))


def _demand(
    policy: ServicePolicy,
    role: Role,
    snapshot: Snapshot,
    model: EngineModel,
    memory: RoleState,
    prompts: Prompts | None,
    now: float,
) -> Demand | None:
    if role is Role.PREFILL:
        return prefill_demand(snapshot, model, policy.objectives, prompts)
    ready = snapshot.pools[role].ready
    resident_tokens = _resident_tokens(memory, now)
    return decode_demand(snapshot, model, policy.objectives, ready, memory.transfer_alone_s, resident_tokens)


def _resident_tokens(memory: RoleState, now: float) -> float | None:
    """Mean tokens of a sequence over the window of the gauges before this tick; None where none ran.

    A set-point rests on it, and a moment with three sequences of long prompts asked for six times the replicas. The
    present gauges are left out, so that a fuller batch never asks for fewer replicas.
    """
    earlier = [item for item in memory.gauges if now - SIGNAL_WINDOW_S < item.at_s < now]
    sequences = sum(item.sequences for item in earlier)
    return sum(item.kv_tokens for item in earlier) / sequences if sequences > 0 else None


def _alone_s(known_s: float | None, seen_s: float | None) -> float | None:
    """Time per token of a transfer that shares its link with no other: the least seen, forgotten slowly."""
    if seen_s is None or known_s is None:
        return known_s if seen_s is None else seen_s
    return min(seen_s, known_s * _FORGET_TRANSFER)


def _account(
    policy: ServicePolicy, snapshot: Snapshot, account: headroom.Headroom, elapsed_s: float
) -> headroom.Headroom:
    """Misses of both objectives spend one budget.

    Where those of TTFT are not told, the budget counts as spent, so that what was earned is given back within hours;
    while no request comes, the account rests.
    """
    ttft = snapshot.usable(Scope.SERVICE, "ttft_attainment_ratio")
    tpot = snapshot.usable(Scope.SERVICE, "tpot_attainment_ratio")
    promised = policy.objectives.attainment_ratio
    if ttft is not None:
        missed = (1.0 - ttft) + (1.0 - tpot if tpot is not None else 0.0)
    elif snapshot.usable(Scope.SERVICE, "request_rate") == 0.0:
        return account
    else:
        missed = 1.0 - promised
    return headroom.account(account, missed, promised, elapsed_s)


def joining_s(policy: ServicePolicy, snapshot: Snapshot) -> float:
    """Wait for a batch in seconds that no replica more would shorten: of steps no longer than promised."""
    promised_s, step_s = policy.objectives.tpot.target_s, snapshot.usable(Scope.DECODE, "step_time_s")
    return _STEPS_TO_JOIN * (promised_s if step_s is None else min(step_s, promised_s))


def _steer(
    policy: ServicePolicy,
    role: Role,
    snapshot: Snapshot,
    attribution: Attribution,
    state: State,
    memory: RoleState,
    now: float,
    *,
    answered: bool,
) -> headroom.Headroom:
    """Each pool answers for the TTFT of requests that wait for it, and decode for TPOT too.

    What a request waits for its first decode step alone is nobody's fault, yet no proof that nobody waits.
    """
    ttft = snapshot.usable(Scope.SERVICE, "ttft_attainment_ratio")
    tpot = snapshot.usable(Scope.SERVICE, "tpot_attainment_ratio")
    harmless_s = HARMLESS_WAIT * policy.objectives.ttft.target_s
    prefill_waits = attribution.queue_s is None or attribution.queue_s >= harmless_s
    for_decode_s = snapshot.usable(Scope.DECODE, "queue_time_s")
    transfer_s = attribution.transfer_s or 0.0
    noise_s = _TRANSFER_NOISE * transfer_s
    own_s = 0.0 if for_decode_s is None else for_decode_s - transfer_s
    nobody_waits = not prefill_waits and own_s < max(harmless_s, noise_s)
    decode_waits = own_s >= max(harmless_s, noise_s, joining_s(policy, snapshot))
    steered = memory.headroom
    if role is Role.PREFILL and ttft is not None and nobody_waits:
        steered = headroom.note_unavoidable(steered, 1.0 - ttft, now)
    known = state.roles.get(Role.PREFILL, memory).headroom
    unavoidable = (steered if role is Role.PREFILL else known).unavoidable_ratio
    avoidable = None if ttft is None else min(ttft + unavoidable, 1.0)
    if role is Role.PREFILL:
        held_up = attribution.bottleneck in (Bottleneck.DECODE, Bottleneck.TRANSFER)
        attained = None if held_up else avoidable if prefill_waits or avoidable is None else 1.0
    else:
        shares = (tpot, avoidable if decode_waits or attribution.bottleneck is Bottleneck.DECODE else None)
        attained = min((share for share in shares if share is not None), default=None)
    return headroom.steer(steered, attained, policy.objectives.attainment_ratio, now, answered=answered)


def _source(policy: RolePolicy, fit: calibration.Fit) -> str:
    start = policy.engine_source if policy.engine is not None else "no prior"
    if not fit.trusted:
        return f"{start}; {fit.samples} samples are not enough to trust a model, rules decide"
    return f"{start}, corrected by {fit.samples} samples" if fit.samples else start
