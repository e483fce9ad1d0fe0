"""The engine's timing model: how long prefill and one decode step take, and how much KV a replica holds.

Forms and constants: DistServe (OSDI'24) for the linear step, Vidur and BLIS for the quadratic prefill term; the decode
step has two pieces for mixture-of-experts models, where the set of experts touched grows with small batches.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PrefillTime:
    """Prefill of one request takes `a + b*u + c*(L^2 - cached^2)` ms: u uncached tokens, L prompt tokens."""

    a_ms: float
    b_ms_per_token: float
    c_ms_per_token2: float

    def request_ms(self, prompt_tokens: float, cached_tokens: float = 0.0) -> float:
        """Time of one request alone on a replica, in ms."""
        uncached = prompt_tokens - cached_tokens
        return self.a_ms + self.b_ms_per_token * uncached + self.c_ms_per_token2 * (prompt_tokens**2 - cached_tokens**2)


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

    def step_ms(self, sequences: float, kv_tokens: float) -> float:
        """Time of one step in ms."""
        piece = self.small_batch if self.small_batch is not None and sequences <= self.small_batch_max else self
        return piece.d0_ms + piece.d1_ms_per_sequence * sequences + piece.d2_ms_per_kv_token * kv_tokens


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
