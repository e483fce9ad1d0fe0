"""Signals: one measured quantity each, three-valued, in canonical units.

A signal is a value, absent or stale. Absent and stale carry the reason and are never zero: a dead scrape must not
look like an idle service.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Scope(StrEnum):
    """What a signal belongs to: the pool of one role, or the service as a whole."""

    PREFILL = "prefill"
    DECODE = "decode"
    AGGREGATED = "aggregated"
    SERVICE = "service"


# Beyond this a reading is a fault of the exporter, and its products would overflow.
_MOST = 1e12
_ROUNDING = 1e-9


class SignalState(StrEnum):
    """Whether a signal may be used."""

    VALUE = "value"
    ABSENT = "absent"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Signal:
    """One measured quantity.

    Attributes:
        value: The number in `unit`; for a stale signal the last one seen; None when absent.
        unit: Canonical unit, see `CATALOGUE`.
        age_s: Seconds since the newest sample behind the value; None when no sample was found.
        state: Whether the value may be used.
        detail: Why the signal is absent or stale, or how far to trust the value; empty when there is nothing to say.
    """

    value: float | None
    unit: str
    age_s: float | None
    state: SignalState
    detail: str = ""

    @property
    def usable(self) -> float | None:
        """The value if it may be used, else None; no signal is negative or beyond a million million.

        A difference of counters that should be zero may round below it.
        """
        if self.state is not SignalState.VALUE or self.value is None or not -_ROUNDING <= self.value <= _MOST:
            return None
        return max(self.value, 0.0)


def measured(value: float, unit: str, age_s: float, *, stale_after_s: float = math.inf, detail: str = "") -> Signal:
    """Make a signal of a number, refusing NaN and infinity and calling old samples stale."""
    if not math.isfinite(value):
        return absent(unit, f"the query answered {value}, which is no number: nothing to divide by yet?")
    if age_s > stale_after_s:
        reason = f"newest sample is {age_s:.0f} s old, allowed are {stale_after_s:.0f} s"
        return Signal(value, unit, age_s, SignalState.STALE, f"{reason}; {detail}" if detail else reason)
    return Signal(value, unit, max(age_s, 0.0), SignalState.VALUE, detail)


def absent(unit: str, reason: str) -> Signal:
    """Make a signal that has no value, and say why."""
    return Signal(None, unit, None, SignalState.ABSENT, reason)


@dataclass(frozen=True, slots=True)
class SignalSpec:
    """What a canonical signal means."""

    name: str
    unit: str
    meaning: str


def _specs(*rows: tuple[str, str, str]) -> Mapping[str, SignalSpec]:
    return MappingProxyType({name: SignalSpec(name, unit, meaning) for name, unit, meaning in rows})


_READY = ("ready_replicas", "replicas", "replicas that serve")
_REPORTING = ("reporting_replicas", "replicas", "replicas whose metrics are there")
_KV_MEAN = ("kv_utilization_mean", "ratio", "share of KV blocks in use, mean over pods")
_KV_MAX = ("kv_utilization_max", "ratio", "share of KV blocks in use, fullest pod")

CATALOGUE: Mapping[Scope, Mapping[str, SignalSpec]] = MappingProxyType(
    {
        Scope.PREFILL: _specs(
            ("queue_depth", "requests", "requests that wait for prefill, whole pool"),
            ("in_flight", "requests", "requests in prefill, whole pool"),
            ("offered_tokens_per_s", "tokens/s", "prompt tokens arriving, served or not, cached or not"),
            ("uncached_ratio", "ratio", "share of prompt tokens that no prefix cache holds"),
            ("request_rate", "requests/s", "requests that prefill starts or queues"),
            ("queue_time_s", "s", "mean wait for prefill"),
            ("prefill_time_s", "s", "mean prefill time of a request, without queue"),
            _KV_MEAN,
            _KV_MAX,
            _READY,
            _REPORTING,
        ),
        Scope.DECODE: _specs(
            _KV_MEAN,
            _KV_MAX,
            ("running", "requests", "requests in decode batches, whole pool"),
            ("waiting", "requests", "requests that wait for decode, whole pool"),
            ("waiting_for_kv", "requests", "those of them whose KV is still to come"),
            ("preemption_rate", "requests/s", "requests thrown out of the batch for want of KV blocks"),
            ("offered_tokens_per_s", "tokens/s", "prompt tokens arriving, served or not, cached or not"),
            (
                "uncached_ratio",
                "ratio",
                "share of prompt tokens that decode computes itself: not cached, not sent to it",
            ),
            ("request_rate", "requests/s", "requests that decode starts or queues"),
            ("generation_tokens_per_s", "tokens/s", "output tokens served"),
            ("step_time_s", "s", "mean gap between tokens of a request"),
            ("queue_time_s", "s", "mean wait for decode, transfer included"),
            ("first_token_time_s", "s", "mean time from arrival at decode to its first token"),
            ("kv_capacity_tokens", "tokens", "KV tokens that one replica holds"),
            _READY,
            _REPORTING,
        ),
        Scope.AGGREGATED: _specs(
            ("queue_depth", "requests", "requests that wait, whole pool"),
            ("running", "requests", "requests in batches, whole pool"),
            ("offered_tokens_per_s", "tokens/s", "prompt tokens arriving, served or not, cached or not"),
            ("uncached_ratio", "ratio", "share of prompt tokens that no prefix cache holds"),
            _KV_MEAN,
            _KV_MAX,
            ("preemption_rate", "requests/s", "requests thrown out of the batch for want of KV blocks"),
            ("generation_tokens_per_s", "tokens/s", "output tokens served"),
            ("step_time_s", "s", "mean gap between tokens of a request"),
            ("kv_capacity_tokens", "tokens", "KV tokens that one replica holds"),
            _READY,
            _REPORTING,
        ),
        Scope.SERVICE: _specs(
            ("kv_transfer_time_s", "s", "mean time of one KV transfer, data movement only"),
            (
                "kv_expired_rate",
                "requests/s",
                "prefilled requests whose KV lease ran out before decode fetched it",
            ),
            ("ttft_s", "s", "time to first token as the user sees it, at the objective's percentile"),
            ("tpot_s", "s", "time per output token of a request, at the objective's percentile"),
            ("ttft_attainment_ratio", "ratio", "share of requests inside the TTFT objective"),
            ("tpot_attainment_ratio", "ratio", "share of requests inside the TPOT objective"),
            ("request_rate", "requests/s", "user requests finished"),
            ("input_tokens_mean", "tokens", "mean prompt length"),
            ("input_tokens_p50", "tokens", "median prompt length"),
            ("input_tokens_p90", "tokens", "prompt length that nine of ten stay below"),
            ("output_tokens_mean", "tokens", "mean generated length"),
        ),
    }
)

Signals = Mapping[Scope, Mapping[str, Signal]]


def unit_of(scope: Scope, name: str) -> str:
    """Unit of a canonical signal.

    Raises:
        KeyError: The catalogue has no such signal in that scope.
    """
    return CATALOGUE[scope][name].unit
