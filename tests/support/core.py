"""Readable inputs for the core: policies, and snapshots whose every signal has a sane default."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum

from autoscaler.core.engines import find_engine
from autoscaler.core.policy import (
    Behavior,
    DirectionBehavior,
    LatencyObjective,
    Mode,
    Objectives,
    RateRule,
    Role,
    RolePolicy,
    RuleKind,
    ServicePolicy,
)
from autoscaler.core.signals import CATALOGUE, Scope, Signal, Signals, absent, measured
from autoscaler.core.snapshot import PoolState, Snapshot
from autoscaler.core.state import State

START_S = 1_700_000_000.0
STALE_AFTER_S = 60.0
ENGINE = find_engine("llama-3.1-70b", "h100", 4)[1]
OBJECTIVES = Objectives(LatencyObjective(0.95, 2.0), LatencyObjective(0.95, 0.05), 0.95)


def direction(window_s: float | None = 0.0, *rules: RateRule, tolerance_ratio: float = 0.1) -> DirectionBehavior:
    return DirectionBehavior(window_s, rules, tolerance_ratio=tolerance_ratio)


def pods(value: int, period_s: float) -> RateRule:
    return RateRule(RuleKind.PODS, value, period_s)


def percent(value: int, period_s: float) -> RateRule:
    return RateRule(RuleKind.PERCENT, value, period_s)


#: Grows at once, shrinks after two minutes, as fast as it likes.
BEHAVIOR = Behavior(direction(0.0), direction(120.0))
ROLE_POLICY = RolePolicy(
    min_replicas=1, max_replicas=40, gpus_per_replica=4.0, startup_time_s=60.0, behavior=BEHAVIOR, engine=ENGINE
)


def without_prior(policy: RolePolicy = ROLE_POLICY) -> RolePolicy:
    """The pool of an engine that nobody has measured: rules decide until live signals pin a model down."""
    return replace(policy, engine=None)


def service_policy(prefill: RolePolicy = ROLE_POLICY, decode: RolePolicy = ROLE_POLICY) -> ServicePolicy:
    return ServicePolicy("chat", Mode.ENFORCE, OBJECTIVES, {Role.PREFILL: prefill, Role.DECODE: decode})


class Missing(Enum):
    """Why a signal has no usable value; NaN is the answer of a division by zero requests."""

    ABSENT = "absent"
    STALE = "stale"
    UNKNOWN_TO_STACK = "unknown to the stack"


Reading = float | Missing

#: More pods than any story has: the metrics of all of them are there.
EVERYBODY = 1000.0

#: A service that runs well at two prefill and two decode replicas: about 8 requests/s of 2,000 in and 200 out.
STEADY: Mapping[str, float] = {
    "prefill.queue_depth": 1.0,
    "prefill.in_flight": 1.0,
    "prefill.offered_tokens_per_s": 16_000.0,
    "prefill.uncached_ratio": 1.0,
    "prefill.request_rate": 8.0,
    "prefill.queue_time_s": 0.05,
    "prefill.prefill_time_s": 0.127,
    "prefill.kv_utilization_mean": 0.1,
    "prefill.kv_utilization_max": 0.2,
    "prefill.ready_replicas": 2.0,
    "prefill.reporting_replicas": EVERYBODY,
    "decode.kv_utilization_mean": 0.08,
    "decode.kv_utilization_max": 0.1,
    "decode.running": 35.0,
    "decode.waiting": 0.0,
    "decode.waiting_for_kv": 0.0,
    "decode.preemption_rate": 0.0,
    "decode.offered_tokens_per_s": 16_000.0,
    "decode.uncached_ratio": 0.0,
    "decode.request_rate": 8.0,
    "decode.generation_tokens_per_s": 1600.0,
    "decode.step_time_s": 0.017,
    "decode.queue_time_s": 0.02,
    "decode.first_token_time_s": 0.04,
    "decode.kv_capacity_tokens": 457_000.0,
    "decode.ready_replicas": 2.0,
    "decode.reporting_replicas": EVERYBODY,
    "aggregated.queue_depth": 0.0,
    "aggregated.running": 35.0,
    "aggregated.offered_tokens_per_s": 16_000.0,
    "aggregated.uncached_ratio": 1.0,
    "aggregated.kv_utilization_mean": 0.08,
    "aggregated.kv_utilization_max": 0.1,
    "aggregated.preemption_rate": 0.0,
    "aggregated.generation_tokens_per_s": 1600.0,
    "aggregated.step_time_s": 0.017,
    "aggregated.kv_capacity_tokens": 457_000.0,
    "aggregated.ready_replicas": 2.0,
    "aggregated.reporting_replicas": EVERYBODY,
    "service.kv_transfer_time_s": 0.02,
    "service.kv_expired_rate": 0.0,
    "service.ttft_s": 0.3,
    "service.tpot_s": 0.02,
    "service.ttft_attainment_ratio": 1.0,
    "service.tpot_attainment_ratio": 1.0,
    "service.request_rate": 8.0,
    "service.input_tokens_mean": 2000.0,
    "service.input_tokens_p50": 1400.0,
    "service.input_tokens_p90": 4200.0,
    "service.output_tokens_mean": 200.0,
}

#: 40 requests/s of 2,000 in and 200 out, all at decode.
PROMPTS_AT_DECODE: Mapping[str, float] = {
    "prefill.offered_tokens_per_s": 0.0,
    "prefill.request_rate": 0.0,
    "prefill.queue_depth": 0.0,
    "prefill.in_flight": 0.0,
    "decode.offered_tokens_per_s": 80_000.0,
    "decode.request_rate": 40.0,
    "decode.uncached_ratio": 1.0,
    "decode.running": 180.0,
    "decode.generation_tokens_per_s": 8000.0,
    "service.request_rate": 40.0,
}

_NOTHING_WITHOUT_TRAFFIC = (
    *("queue_depth", "in_flight", "offered_tokens_per_s", "request_rate", "running", "waiting", "waiting_for_kv"),
    *("preemption_rate", "generation_tokens_per_s", "kv_expired_rate", "kv_utilization_mean", "kv_utilization_max"),
)
#: The same service with no traffic at all: every mean is 0/0.
NO_TRAFFIC: Mapping[str, float] = {
    **dict.fromkeys(STEADY, math.nan),
    **{name: 0.0 for name in STEADY if name.endswith(_NOTHING_WITHOUT_TRAFFIC)},
    **{name: value for name, value in STEADY.items() if name.endswith(("kv_capacity_tokens", "_replicas"))},
}


def every(missing: Missing, *scopes: Scope) -> dict[str, Reading]:
    """That reading for every signal, or for every signal of some scopes."""
    return {name: missing for name in STEADY if not scopes or Scope(name.partition(".")[0]) in scopes}


def signals(changes: Mapping[str, Reading] | None = None, base: Mapping[str, float] = STEADY) -> Signals:
    """Signals with sane defaults.

    Args:
        changes: What differs, as {"prefill.queue_depth": 40.0, "decode.running": Missing.ABSENT}.
        base: The defaults.

    Raises:
        KeyError: A name that the catalogue does not know.
    """
    found: dict[Scope, dict[str, Signal]] = {scope: {} for scope in CATALOGUE}
    for path, reading in {**base, **(changes or {})}.items():
        scope, _, name = path.partition(".")
        signal = _signal(reading, CATALOGUE[Scope(scope)][name].unit, base.get(path, 0.0))
        if signal is not None:
            found[Scope(scope)][name] = signal
    return found


def _signal(reading: Reading, unit: str, before: float) -> Signal | None:
    if reading is Missing.UNKNOWN_TO_STACK:
        return None
    if reading is Missing.ABSENT:
        return absent(unit, "no series matches")
    if reading is Missing.STALE:
        return measured(before, unit, STALE_AFTER_S + 1.0, stale_after_s=STALE_AFTER_S)
    assert isinstance(reading, float | int)
    return measured(float(reading), unit, 3.0, stale_after_s=STALE_AFTER_S)


def snapshot(
    changes: Mapping[str, Reading] | None = None,
    *,
    prefill: PoolState | int = 2,
    decode: PoolState | int = 2,
    at_s: float = START_S,
) -> Snapshot:
    """One instant of a service; a number of replicas means that all of them serve."""
    pools = {Role.PREFILL: prefill, Role.DECODE: decode}
    states = {role: PoolState(pool, pool) if isinstance(pool, int) else pool for role, pool in pools.items()}
    return Snapshot("chat", at_s, states, signals(changes), {})


def with_unspent(state: State, ratio: float) -> State:
    """The same memory, in which this share of prefill's error budget has lately been left."""
    memory = state.roles[Role.PREFILL]
    known = replace(memory, headroom=replace(memory.headroom, spent_ratio=1.0 - ratio))
    return replace(state, roles={**state.roles, Role.PREFILL: known})
