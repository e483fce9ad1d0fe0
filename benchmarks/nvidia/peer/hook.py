"""Our policy behind NVIDIA's scaling hook: tick metrics in, `core.decide`, targets out. Needs nothing of theirs.

What the hook does not tell (latency percentiles, waits, transfer times, preemptions) is absent, as on a stack that does
not export it. A worker's snapshot is its last forward pass before the tick.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from autoscaler.core.decide import decide
from autoscaler.core.policy import Role, ServicePolicy
from autoscaler.core.signals import CATALOGUE, Scope, Signal, Signals, absent, measured
from autoscaler.core.snapshot import PoolState, Snapshot
from autoscaler.core.state import State

# The windows of the stacks' queries.
RATE_WINDOW_S = 120.0
SHAPE_WINDOW_S = 300.0
# The hook shows one pass per worker and tick, so quantiles of lengths need longer than a histogram of all requests.
LENGTHS_WINDOW_S = 3600.0
LEAST_PROMPTS = 20

Metrics = Mapping[str, Any]
"""What NVIDIA's loop hands to `on_tick`."""

_NOT_TOLD = "NVIDIA's scaling hook does not tell it, or nothing happened in the window"


@dataclass(frozen=True, slots=True)
class Window:
    """Sums over the ticks of one stretch of time.

    Attributes:
        seconds: Length of the stretch.
        arrived: Requests that arrived.
        finished: Requests that finished.
        input_tokens: Their prompt tokens.
        output_tokens: Their answers' tokens.
        hits: Shares of prompts found in a prefix cache, added up over arrivals.
        forwards: Decode steps of all sequences.
        step_s: Time of decode passes, weighted by their sequences.
        stepped: Those sequences.
        pass_s: Time of prefill passes, weighted by their requests.
        passed: Requests that began in them; a long prompt goes on in further passes.
    """

    seconds: float = 0.0
    arrived: float = 0.0
    finished: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0
    hits: float = 0.0
    forwards: float = 0.0
    step_s: float = 0.0
    stepped: float = 0.0
    pass_s: float = 0.0
    passed: float = 0.0

    @classmethod
    def of(cls, metrics: Metrics) -> Self:
        """One tick's window."""
        traffic = metrics["traffic"] or {}
        finished = float(traffic.get("shape_count", 0))
        decoding = [item for item in metrics["decode_fpm_snapshots"] if item["num_decode_requests"]]
        prefilling = [item for item in metrics["prefill_fpm_snapshots"] if item["num_prefill_requests"]]
        return cls(
            seconds=traffic.get("duration_s", 0.0),
            arrived=float(traffic.get("num_req", 0)),
            finished=finished,
            input_tokens=finished * traffic.get("avg_isl", 0.0),
            output_tokens=finished * traffic.get("avg_osl", 0.0),
            hits=float(traffic.get("num_req", 0)) * (traffic.get("avg_kv_hit_rate") or 0.0),
            forwards=float(traffic.get("accept_length_forward_count", 0)) * traffic.get("avg_accept_length", 1.0),
            step_s=sum(item["wall_time"] * item["num_decode_requests"] for item in decoding),
            stepped=_sum(decoding, "num_decode_requests"),
            pass_s=sum(item["wall_time"] * item["num_prefill_requests"] for item in prefilling),
            passed=float(sum(map(_begun, prefilling))),
        )

    def __add__(self, other: Window) -> Window:
        names = self.__slots__
        return replace(self, **{name: getattr(self, name) + getattr(other, name) for name in names})


class DecideBehindHook:
    """A scaling policy for NVIDIA's loop that asks `core.decide`.

    Args:
        policy: The scaling policy; both roles have an engine.
        worker_tokens: KV tokens that one worker holds.
    """

    def __init__(self, policy: ServicePolicy, worker_tokens: float) -> None:
        self._policy, self._worker_tokens = policy, worker_tokens
        self._state = State()
        self._ticks: deque[tuple[float, Window]] = deque()
        self._prompts: deque[tuple[float, list[float]]] = deque()

    def initial_tick_ms(self) -> float:
        """When to ask first."""
        return self._policy.interval_s * 1e3

    def on_tick(self, metrics: Metrics) -> dict[str, Any]:
        """Decide; both targets are absolute counts."""
        now_s = metrics["now_ms"] / 1e3
        decision, self._state = decide(self._policy, self.snapshot(metrics), self._state, now_s)
        return {
            "target_prefill": decision.roles[Role.PREFILL].desired,
            "target_decode": decision.roles[Role.DECODE].desired,
            "next_tick_ms": metrics["now_ms"] + self._policy.interval_s * 1e3,
        }

    def snapshot(self, metrics: Metrics) -> Snapshot:
        """Take in one tick."""
        now_s = metrics["now_ms"] / 1e3
        self._ticks.append((now_s, Window.of(metrics)))
        while self._ticks[0][0] <= now_s - SHAPE_WINDOW_S:
            self._ticks.popleft()
        self._prompts.append((now_s, prompts_begun(metrics)))
        while self._prompts[0][0] <= now_s - LENGTHS_WINDOW_S:
            self._prompts.popleft()
        pools = {role: _pool(metrics, role) for role in (Role.PREFILL, Role.DECODE)}
        rates = sum((window for at_s, window in self._ticks if at_s > now_s - RATE_WINDOW_S), Window())
        shapes = sum((window for _, window in self._ticks), Window())
        values = {
            Scope.PREFILL: prefill_values(metrics, rates, shapes),
            Scope.DECODE: decode_values(metrics, rates, self._worker_tokens),
            Scope.SERVICE: service_values(rates, shapes, [tokens for _, seen in self._prompts for tokens in seen]),
        }
        return Snapshot(self._policy.service, now_s, pools, _signals(values), {})


def prefill_values(metrics: Metrics, rates: Window, shapes: Window) -> Mapping[str, float | None]:
    """What is known of the prefill pool. Arrivals are counted as they come, so queue growth needs no estimate.

    A snapshot stays after its pass has ended, so those of an idle pool look as busy as those of a full one: who is in
    prefill follows from Little's law, and is at most what the last passes held.
    """
    snapshots = metrics["prefill_fpm_snapshots"]
    pass_s, passed = _over(rates.pass_s, rates.passed), _sum(snapshots, "num_prefill_requests")
    rate, prompt = _over(rates.arrived, rates.seconds), _over(shapes.input_tokens, shapes.finished)
    offered = rate * prompt if rate is not None and prompt is not None else None
    return {
        "queue_depth": _sum(snapshots, "num_queued_prefill"),
        "in_flight": min(rate * pass_s, passed) if rate is not None and pass_s is not None else passed,
        "offered_tokens_per_s": 0.0 if rate == 0 else offered,
        "uncached_ratio": _over(shapes.arrived - shapes.hits, shapes.arrived),
        "request_rate": rate,
        "prefill_time_s": pass_s,
        "ready_replicas": float(metrics["active_prefill_count"]),
    }


def decode_values(metrics: Metrics, rates: Window, worker_tokens: float) -> Mapping[str, float | None]:
    """What is known of the decode pool."""
    snapshots = metrics["decode_fpm_snapshots"]
    usage = [min((_kv(item) / worker_tokens), 1.0) for item in snapshots]
    return {
        "kv_utilization_mean": _over(sum(usage), len(usage)),
        "kv_utilization_max": max(usage, default=None),
        "running": _sum(snapshots, "num_decode_requests"),
        "waiting": _sum(snapshots, "num_queued_decode"),
        "generation_tokens_per_s": _over(rates.forwards, rates.seconds),
        "step_time_s": _over(rates.step_s, rates.stepped),
        "kv_capacity_tokens": worker_tokens,
        "ready_replicas": float(metrics["active_decode_count"]),
    }


def prompts_begun(metrics: Metrics) -> list[float]:
    """Lengths of the prompts whose first chunk was in a last pass; of several in one pass, their mean for each."""
    first = (
        item
        for item in metrics["prefill_fpm_snapshots"]
        if item["num_prefill_requests"] and not item["sum_prefill_kv_tokens"]
    )
    return [
        item["sum_prefill_tokens"] / item["num_prefill_requests"]
        for item in first
        for _ in range(item["num_prefill_requests"])
    ]


def service_values(rates: Window, shapes: Window, prompts: Sequence[float]) -> Mapping[str, float | None]:
    """What is known of the service's requests, which NVIDIA's loop counts when they finish."""
    known = len(prompts) >= LEAST_PROMPTS
    return {
        "input_tokens_p50": float(np.quantile(prompts, 0.5)) if known else None,
        "input_tokens_p90": float(np.quantile(prompts, 0.9)) if known else None,
        "request_rate": _over(rates.finished, rates.seconds),
        "input_tokens_mean": _over(shapes.input_tokens, shapes.finished),
        "output_tokens_mean": _over(shapes.output_tokens, shapes.finished),
    }


def _signals(values: Mapping[Scope, Mapping[str, float | None]]) -> Signals:
    return {
        scope: {name: _signal(known.get(name), spec.unit) for name, spec in CATALOGUE[scope].items()}
        for scope, known in values.items()
    }


def _signal(value: float | None, unit: str) -> Signal:
    return absent(unit, _NOT_TOLD) if value is None else measured(value, unit, age_s=0.0)


def _pool(metrics: Metrics, role: Role) -> PoolState:
    return PoolState(
        current=metrics[f"non_draining_{role.value}_count"],
        ready=metrics[f"active_{role.value}_count"],
        terminating=metrics[f"draining_{role.value}_count"],
    )


def _begun(item: Mapping[str, Any]) -> int:
    """Prompts whose first chunk a pass held; at most one in it is a longer one that goes on."""
    return int(item["num_prefill_requests"]) - bool(item["sum_prefill_kv_tokens"])


def _kv(item: Mapping[str, Any]) -> float:
    return float(item["sum_decode_kv_tokens"] + item["sum_queued_decode_kv_tokens"])


def _sum(items: Iterable[Mapping[str, Any]], name: str) -> float:
    return float(sum(item[name] for item in items))


def _over(total: float, count: float) -> float | None:
    return total / count if count > 0 else None
