"""The engine's timing model, and what one replica can do inside the objectives.

Forms: DistServe (OSDI'24) for the linear decode step, Vidur and BLIS for the quadratic prefill term. The decode step
has two pieces for mixture-of-experts models, where the set of experts touched grows with small batches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

# Share of KV blocks that may be in use before admission stalls and preemption begins.
KV_CEILING_RATIO = 0.9


@dataclass(frozen=True, slots=True)
class PrefillTime:
    """Prefill of one request takes `a + b*u + c*(L^2 - cached^2)` ms: u uncached tokens, L prompt tokens."""

    a_ms: float
    b_ms_per_token: float
    c_ms_per_token2: float

    def terms_ms(self, prompt_tokens: float, cached_tokens: float = 0.0) -> tuple[float, float, float]:
        """The three parts of one request's time alone on a replica, in ms: fixed, linear, quadratic."""
        uncached = prompt_tokens - cached_tokens
        quadratic = self.c_ms_per_token2 * (prompt_tokens**2 - cached_tokens**2)
        return self.a_ms, self.b_ms_per_token * uncached, quadratic

    def request_ms(self, prompt_tokens: float, cached_tokens: float = 0.0) -> float:
        """Time of one request alone on a replica, in ms."""
        return sum(self.terms_ms(prompt_tokens, cached_tokens))


@dataclass(frozen=True, slots=True)
class DecodeStep:
    """One decode step takes `d0 + d1*B + d2*KV` ms: B sequences, KV resident tokens.

    `small_batch` replaces the three constants for batches up to `small_batch_max` (mixture-of-experts models).
    """

    d0_ms: float
    d1_ms_per_sequence: float
    d2_ms_per_kv_token: float
    small_batch: DecodeStep | None = None
    small_batch_max: int = 0

    def piece(self, sequences: float) -> DecodeStep:
        """The constants that hold for a batch of this size."""
        return self.small_batch if self.small_batch is not None and sequences <= self.small_batch_max else self

    def terms_ms(self, sequences: float, kv_tokens: float) -> tuple[float, float, float]:
        """The three parts of one step's time in ms: fixed, per sequence, per resident token."""
        piece = self.piece(sequences)
        return piece.d0_ms, piece.d1_ms_per_sequence * sequences, piece.d2_ms_per_kv_token * kv_tokens

    def step_ms(self, sequences: float, kv_tokens: float) -> float:
        """Time of one step in ms."""
        return sum(self.terms_ms(sequences, kv_tokens))

    def largest_batch(self, step_ms: float, resident_tokens: float) -> float:
        """Most sequences of `resident_tokens` each whose step stays within `step_ms`; 0 if not even one does."""
        batch = self._batch(step_ms, resident_tokens)
        if self.small_batch is None or batch > self.small_batch_max:
            return batch
        return min(self.small_batch._batch(step_ms, resident_tokens), float(self.small_batch_max))  # noqa: SLF001 own class

    def _batch(self, step_ms: float, resident_tokens: float) -> float:
        slope = self.d1_ms_per_sequence + self.d2_ms_per_kv_token * resident_tokens
        return max((step_ms - self.d0_ms) / slope, 0.0)


@dataclass(frozen=True, slots=True)
class EngineModel:
    """What one replica can do.

    Attributes:
        prefill: Prefill timing.
        decode: Decode timing.
        kv_capacity_tokens: KV tokens that one replica holds.
        max_sequences: Largest batch that the engine accepts.
        kv_bytes_per_token: KV size, for transfers.
        max_batched_tokens: Token budget of one prefill pass (chunk size).
    """

    prefill: PrefillTime
    decode: DecodeStep
    kv_capacity_tokens: float
    max_sequences: int = 256
    kv_bytes_per_token: float = 327_680.0
    max_batched_tokens: int = 8192


@dataclass(frozen=True, slots=True)
class DecodePoint:
    """Where one decode replica should run.

    Attributes:
        sequences: Batch at the set-point.
        step_s: Time of a step there.
        kv_utilization_ratio: Share of KV in use there.
        limit: What binds: `tpot`, the KV capacity (`kv`) or the engine's sequence limit (`sequences`);
            `unreachable` where one sequence alone misses the TPOT objective, so that no replica count can meet it.
    """

    sequences: float
    step_s: float
    kv_utilization_ratio: float
    limit: str

    @property
    def tokens_per_s(self) -> float:
        """Output tokens per second of one replica at the set-point."""
        return self.sequences / self.step_s


def decode_point(model: EngineModel, tpot_s: float, resident_tokens: float) -> DecodePoint:
    """Set-point of a decode replica: the largest batch inside the TPOT objective, KV and sequence limits.

    `B* = min((TPOT - d0) / (d1 + d2*L), ceiling*K / L, max_sequences)`: the KV set-point is a result, not a constant.

    Args:
        model: The replica.
        tpot_s: Time per output token that may not be exceeded.
        resident_tokens: Mean tokens that a running sequence holds, about prompt + half of the output.
    """
    resident_tokens = max(resident_tokens, 1.0)
    limits = {
        "tpot": model.decode.largest_batch(tpot_s * 1e3, resident_tokens),
        "kv": KV_CEILING_RATIO * model.kv_capacity_tokens / resident_tokens,
        "sequences": float(model.max_sequences),
    }
    limit = min(limits, key=lambda name: limits[name])
    if limits["tpot"] < 1.0:
        limit = "unreachable"
        del limits["tpot"]
    sequences = max(min(limits.values()), 1.0)
    kv_tokens = sequences * resident_tokens
    step_s = model.decode.step_ms(sequences, kv_tokens) / 1e3
    return DecodePoint(sequences, step_s, kv_tokens / model.kv_capacity_tokens, limit)


def kv_setpoint_ratio(model: EngineModel, tpot_s: float, resident_tokens: float) -> float:
    """KV utilisation at which the step time reaches the TPOT objective; 1 when the cache may be full."""
    batch = model.decode.largest_batch(tpot_s * 1e3, resident_tokens)
    return min(batch * resident_tokens / model.kv_capacity_tokens, 1.0)


def scaled_prefill(time: PrefillTime, factors: tuple[float, float, float]) -> PrefillTime:
    """The timing with each of its constants multiplied."""
    fixed, linear, quadratic = factors
    return PrefillTime(time.a_ms * fixed, time.b_ms_per_token * linear, time.c_ms_per_token2 * quadratic)


def scaled_decode(step: DecodeStep, factors: tuple[float, float, float]) -> DecodeStep:
    """The timing with each of its constants multiplied, both pieces alike."""
    fixed, per_sequence, per_token = factors
    small = scaled_decode(step.small_batch, factors) if step.small_batch is not None else None
    return replace(
        step,
        d0_ms=step.d0_ms * fixed,
        d1_ms_per_sequence=step.d1_ms_per_sequence * per_sequence,
        d2_ms_per_kv_token=step.d2_ms_per_kv_token * per_token,
        small_batch=small,
    )
