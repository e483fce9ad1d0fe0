"""The metrics that baselines read, out of our canonical signals.

Rates and latencies come over the window that the simulated monitoring uses (120 s by default), not over the window
that each baseline's own query names.
"""

from __future__ import annotations

from autoscaler.core.policy import Role
from autoscaler.core.signals import Scope
from autoscaler.core.snapshot import Snapshot

_QUEUE = {Role.PREFILL: "queue_depth", Role.DECODE: "waiting", Role.AGGREGATED: "queue_depth"}
_RUNNING = {Role.PREFILL: "in_flight", Role.DECODE: "running", Role.AGGREGATED: "running"}


def queue(snapshot: Snapshot, role: Role) -> float | None:
    """Requests that wait, whole pool; the sum of `vllm:num_requests_waiting`."""
    return snapshot.usable(Scope(role.value), _QUEUE[role])


def running(snapshot: Snapshot, role: Role) -> float | None:
    """Requests in batches, whole pool; the sum of `vllm:num_requests_running`."""
    return snapshot.usable(Scope(role.value), _RUNNING[role])


def kv_mean(snapshot: Snapshot, role: Role) -> float | None:
    """Mean of `vllm:kv_cache_usage_perc` over pods."""
    return snapshot.usable(Scope(role.value), "kv_utilization_mean")


def kv_max(snapshot: Snapshot, role: Role) -> float | None:
    """Largest of them."""
    return snapshot.usable(Scope(role.value), "kv_utilization_max")


def pods(snapshot: Snapshot, role: Role) -> float:
    """Pods behind a mean."""
    seen = snapshot.usable(Scope(role.value), "ready_replicas")
    return seen if seen is not None else float(snapshot.pools[role].ready)


def kv_sum(snapshot: Snapshot, role: Role) -> float | None:
    """Sum of KV usage over pods, in replicas."""
    mean = kv_mean(snapshot, role)
    return mean * pods(snapshot, role) if mean is not None else None


def request_rate(snapshot: Snapshot) -> float | None:
    """Requests per second that come in: those that prefill starts, and growth of its queue."""
    arriving = snapshot.usable(Scope.PREFILL, "request_rate")
    return arriving if arriving is not None else snapshot.usable(Scope.SERVICE, "request_rate")


def prompt_rate(snapshot: Snapshot) -> float | None:
    """Prompt tokens per second that come in."""
    offered = snapshot.usable(Scope.PREFILL, "offered_tokens_per_s")
    return offered if offered is not None else snapshot.usable(Scope.AGGREGATED, "offered_tokens_per_s")


def uncached_ratio(snapshot: Snapshot) -> float:
    """Share of prompt tokens that no cache holds; 1 while unknown."""
    ratio = snapshot.usable(Scope.PREFILL, "uncached_ratio")
    return min(max(ratio, 0.0), 1.0) if ratio is not None else 1.0


def mean_input_tokens(snapshot: Snapshot) -> float | None:
    """Mean prompt length."""
    return snapshot.usable(Scope.SERVICE, "input_tokens_mean")


def mean_output_tokens(snapshot: Snapshot) -> float | None:
    """Mean generated length."""
    return snapshot.usable(Scope.SERVICE, "output_tokens_mean")


def ttft_s(snapshot: Snapshot) -> float | None:
    """TTFT at the objective's percentile."""
    return snapshot.usable(Scope.SERVICE, "ttft_s")


def tpot_s(snapshot: Snapshot) -> float | None:
    """TPOT at the objective's percentile."""
    return snapshot.usable(Scope.SERVICE, "tpot_s")
