"""NVIDIA Dynamo's SLA planner in its classic form, as of 0.8.1: forecast, profile, correction factors.

Per interval: `P = ceil(N*I/T * min(1, c_p) / prefill tokens/s)` and `D = ceil(N*O/T / decode tokens/s)`, where the
decode rate is that of the fullest KV usage whose profiled ITL stays under `target / c_d`. A TTFT above the profile
never raises prefill, because of the `min(1, ...)`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from autoscaler.core.capacity import EngineModel
from autoscaler.core.policy import Role
from autoscaler.core.signals import Scope
from autoscaler.core.snapshot import Snapshot
from autoscaler.simulation.baselines import readings
from autoscaler.simulation.baselines.memory import recall
from autoscaler.simulation.baselines.site import Site
from autoscaler.simulation.run import Controller, Memory

_KV_STEPS = 100


class Profile(Protocol):
    """What Dynamo's profiler measures of a pair of engines, times in ms."""

    def ttft_ms(self, prompt: float) -> float:
        """TTFT of one prompt without a queue."""

    def prefill_tokens_per_s(self, prompt: float) -> float:
        """Prompt tokens per second of one replica."""

    def itl_ms(self, kv_usage_ratio: float, context: float) -> float:
        """Time between tokens at a KV usage."""

    def decode_tokens_per_s(self, kv_usage_ratio: float, context: float) -> float:
        """Output tokens per second of one replica at a KV usage."""

    def kv_usage_ratio(self, sequences: float, context: float) -> float:
        """KV usage of so many sequences."""


@dataclass(frozen=True, slots=True)
class EngineProfile:
    """A profile without measurement error: the engines' own timing."""

    prefill: EngineModel
    decode: EngineModel

    def ttft_ms(self, prompt: float) -> float:
        """TTFT of one prompt without a queue."""
        return self.prefill.prefill.request_ms(prompt)

    def prefill_tokens_per_s(self, prompt: float) -> float:
        """Prompt tokens per second of one replica."""
        return prompt / self.ttft_ms(prompt) * 1e3

    def itl_ms(self, kv_usage_ratio: float, context: float) -> float:
        """Time between tokens at a KV usage."""
        sequences = self._sequences(kv_usage_ratio, context)
        return self.decode.decode.step_ms(sequences, sequences * context)

    def decode_tokens_per_s(self, kv_usage_ratio: float, context: float) -> float:
        """Output tokens per second of one replica at a KV usage."""
        return self._sequences(kv_usage_ratio, context) / self.itl_ms(kv_usage_ratio, context) * 1e3

    def kv_usage_ratio(self, sequences: float, context: float) -> float:
        """KV usage of so many sequences."""
        return min(sequences * context / self.decode.kv_capacity_tokens, 1.0)

    def _sequences(self, kv_usage_ratio: float, context: float) -> float:
        return min(kv_usage_ratio * self.decode.kv_capacity_tokens / context, float(self.decode.max_sequences))


@dataclass(frozen=True, slots=True)
class DynamoSettings:
    """The planner's options.

    Attributes:
        interval_s: Time between adjustments.
        trend: Extrapolate load by its last change instead of repeating it; stands in for the planner's predictors.
        correct: Use the correction factors.
        itl_target_ratio: Share of the TPOT objective that the planner is given as its ITL target.
    """

    interval_s: float = 180.0
    trend: bool = False
    correct: bool = True
    itl_target_ratio: float = 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """Load of an interval: requests per second and mean lengths."""

    requests_per_s: float
    prompt: float
    output: float


def prefill_replicas(load: Load, profile: Profile, correction: float = 1.0) -> int:
    """`ceil(N*I/T * min(1, c_p) / tokens per second)`."""
    tokens_per_s = load.requests_per_s * load.prompt * min(1.0, correction)
    return max(math.ceil(tokens_per_s / profile.prefill_tokens_per_s(load.prompt)), 1)


def decode_replicas(load: Load, profile: Profile, itl_target_ms: float, correction: float = 1.0) -> int:
    """`ceil(N*O/T / tokens per second)` at the fullest KV usage whose ITL stays under the corrected target."""
    context = load.prompt + load.output / 2
    target_ms = itl_target_ms / correction
    usages = (step / _KV_STEPS for step in range(_KV_STEPS, 0, -1))
    usage = next((usage for usage in usages if profile.itl_ms(usage, context) <= target_ms), 1 / _KV_STEPS)
    return max(math.ceil(load.requests_per_s * load.output / profile.decode_tokens_per_s(usage, context)), 1)


@dataclass(slots=True)
class _Planner:
    decided_s: float = -math.inf
    last: Load | None = None


def dynamo(site: Site, settings: DynamoSettings) -> Controller:
    """The classic planner with a perfect profile.

    TTFT enters at the objective's percentile rather than as a mean; since the factor is capped at 1, this can only
    make prefill larger. Concurrency is read, not derived from request durations.
    """
    profile = EngineProfile(site.engines[Role.PREFILL], site.engines[Role.DECODE])
    itl_target_ms = settings.itl_target_ratio * site.objectives.tpot.target_s * 1e3

    def control(snapshot: Snapshot, memory: Memory, now_s: float) -> Mapping[Role, int]:
        current = {role: pool.current for role, pool in snapshot.pools.items()}
        planner = recall(memory, "dynamo", _Planner)
        if now_s - planner.decided_s < settings.interval_s:
            return current
        load = _observed(snapshot)
        if load is None:
            return current
        planner.decided_s = now_s
        forecast = forecast_load(planner.last, load) if settings.trend else load
        planner.last = load
        prefill_factor, decode_factor = corrections(snapshot, profile, load) if settings.correct else (1.0, 1.0)
        return {
            Role.PREFILL: site.bounds[Role.PREFILL].clamp(prefill_replicas(forecast, profile, prefill_factor)),
            Role.DECODE: site.bounds[Role.DECODE].clamp(
                decode_replicas(forecast, profile, itl_target_ms, decode_factor)
            ),
        }

    return control


def forecast_load(last: Load | None, load: Load) -> Load:
    """The rate goes on as it went from the last interval to this one; lengths stay."""
    change = load.requests_per_s - last.requests_per_s if last is not None else 0.0
    return replace(load, requests_per_s=max(load.requests_per_s + change, 0.0))


def corrections(snapshot: Snapshot, profile: Profile, load: Load) -> tuple[float, float]:
    """Observed over profiled TTFT, and ITL at the present concurrency; 1 where nothing was observed."""
    ttft_s, itl_s = readings.ttft_s(snapshot), snapshot.usable(Scope.DECODE, "step_time_s")
    running, ready = readings.running(snapshot, Role.DECODE), snapshot.pools[Role.DECODE].ready
    prefill = ttft_s * 1e3 / profile.ttft_ms(load.prompt) if ttft_s else 1.0
    if not itl_s or not running or not ready:
        return prefill, 1.0
    context = load.prompt + load.output / 2
    expected_ms = profile.itl_ms(profile.kv_usage_ratio(running / ready, context), context)
    return prefill, itl_s * 1e3 / expected_ms


def _observed(snapshot: Snapshot) -> Load | None:
    rate = readings.request_rate(snapshot)
    prompt, output = readings.mean_input_tokens(snapshot), readings.mean_output_tokens(snapshot)
    if rate is None or not prompt or not output:
        return None
    # Of what is shorter than a token a profile knows no throughput.
    return Load(rate, max(prompt, 1.0), max(output, 1.0))
