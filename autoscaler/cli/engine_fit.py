"""How the engine's timing compares with what a service's history says, and the timing corrected by that."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from autoscaler.core.capacity import DecodeStep, EngineModel, PrefillTime
from autoscaler.core.policy import Role, ServicePolicy
from autoscaler.core.signals import Scope
from autoscaler.report.assessment import Ground
from autoscaler.sources.history import Floats, History

_FEWEST_STEPS = 10
_PLAUSIBLE = 3.0  # beyond this factor the timing is of another engine


@dataclass(frozen=True, slots=True)
class Fit:
    """How the engine's timing compares with what was measured.

    Attributes:
        prefill_ratio: Measured over modelled prefill time; None where it cannot be told.
        decode_ratio: The same of a decode step.
    """

    prefill_ratio: float | None
    decode_ratio: float | None

    @property
    def trust_ratio(self) -> float:
        """1 where the timing is measured to be right; 0 where it must be of another engine."""
        known = [ratio for ratio in (self.prefill_ratio, self.decode_ratio) if ratio is not None]
        if not known:
            return 0.4
        worst = max(abs(math.log(ratio)) for ratio in known)
        missing = 0.2 * (2 - len(known))
        return max(1.0 - missing - worst / math.log(_PLAUSIBLE), 0.0)


def fit_of(history: History, policy: ServicePolicy) -> Fit:
    """Measured over modelled times, medians over the steps that have all that is needed."""
    prefill, decode = policy.roles.get(Role.PREFILL), policy.roles.get(Role.DECODE)
    return Fit(
        _prefill_ratio(history, prefill.engine) if prefill is not None and prefill.engine is not None else None,
        _decode_ratio(history, decode.engine) if decode is not None and decode.engine is not None else None,
    )


def _prefill_ratio(history: History, engine: EngineModel) -> float | None:
    measured_ms = history.signal(Scope.PREFILL, "prefill_time_s") * 1e3
    prompt = history.signal(Scope.SERVICE, "input_tokens_mean")
    uncached = history.signal(Scope.PREFILL, "uncached_ratio")
    cached = prompt * (1.0 - np.where(np.isfinite(uncached), uncached, 1.0))
    time = engine.prefill
    modelled_ms = (
        time.a_ms
        + time.b_ms_per_token * (prompt - cached)
        + time.c_ms_per_token2 * (np.square(prompt) - np.square(cached))
    )
    return _median(measured_ms / modelled_ms)


def _decode_ratio(history: History, engine: EngineModel) -> float | None:
    measured_ms = history.signal(Scope.DECODE, "step_time_s") * 1e3
    ready = history.ready.get(Role.DECODE, np.full(history.at_s.size, np.nan))
    batch = history.signal(Scope.DECODE, "running") / np.where(ready > 0, ready, np.nan)
    kv_tokens = history.signal(Scope.DECODE, "kv_utilization_mean") * engine.kv_capacity_tokens
    modelled_ms = np.array(
        [
            engine.decode.step_ms(max(sequences, 1.0), tokens) if math.isfinite(sequences + tokens) else math.nan
            for sequences, tokens in zip(batch.tolist(), kv_tokens.tolist(), strict=True)
        ]
    )
    return _median(measured_ms / modelled_ms)


def _median(ratios: Floats) -> float | None:
    known = ratios[np.isfinite(ratios) & (ratios > 0)]
    return float(np.median(known)) if known.size >= _FEWEST_STEPS else None


def corrected(policy: ServicePolicy, fit: Fit) -> ServicePolicy:
    """The policy with its engines as fast as they were measured to be, where that is plausible."""
    prefill, decode = plausible(fit.prefill_ratio), plausible(fit.decode_ratio)
    roles = {}
    for role, pool in policy.roles.items():
        engine = pool.engine
        if engine is not None:
            engine = replace(
                engine, prefill=_slower(engine.prefill, prefill), decode=_slower_step(engine.decode, decode)
            )
        roles[role] = replace(pool, engine=engine)
    return replace(policy, roles=roles)


def plausible(ratio: float | None) -> float:
    """A ratio to correct by: 1 where it is unknown, or so far off that it must be of another engine."""
    return ratio if ratio is not None and 1.0 / _PLAUSIBLE <= ratio <= _PLAUSIBLE else 1.0


def _slower(time: PrefillTime, factor: float) -> PrefillTime:
    return PrefillTime(time.a_ms * factor, time.b_ms_per_token * factor, time.c_ms_per_token2 * factor)


def _slower_step(step: DecodeStep, factor: float) -> DecodeStep:
    small = _slower_step(step.small_batch, factor) if step.small_batch is not None else None
    return replace(
        step,
        d0_ms=step.d0_ms * factor,
        d1_ms_per_sequence=step.d1_ms_per_sequence * factor,
        d2_ms_per_kv_token=step.d2_ms_per_kv_token * factor,
        small_batch=small,
    )


def engine_ground(fit: Fit) -> Ground:
    """How far the engine's timing can be trusted."""
    told = [
        f"{what} takes {ratio:.2f} times as long as modelled"
        for what, ratio in (("prefill", fit.prefill_ratio), ("a decode step", fit.decode_ratio))
        if ratio is not None
    ]
    words = " and ".join(told) or "no measured time to compare the engine's timing with"
    return Ground("engine", fit.trust_ratio, words)
