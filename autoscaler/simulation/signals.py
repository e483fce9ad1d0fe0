"""Canonical signals out of scrapes, as PromQL would compute them from vLLM's and the gateway's metrics.

What PromQL would leave out, such as a mean over no request, is absent. Queues count what waits at the gateway too, as
the flow control of a gateway exports it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from autoscaler.core.policy import Objectives, Role
from autoscaler.core.signals import CATALOGUE, Scope, Signal, Signals, absent, measured
from autoscaler.simulation.build import ROLE_NUMBER
from autoscaler.simulation.config import ServiceConfig
from autoscaler.simulation.counters import Floats
from autoscaler.simulation.engine import world as w
from autoscaler.simulation.scrapes import Scrapes, quantile, share_within

_LOOKBACK_S = 300.0  # Prometheus forgets a series whose newest sample is older

Values = Mapping[str, float | None]


def observe(world: w.World, monitor: w.Monitor, config: ServiceConfig, now_s: float) -> Signals:
    """All canonical signals of a service as a query at `now_s` sees them."""
    scopes = (*(Scope(role.value) for role in config.pools), Scope.SERVICE)
    places = _visible(world.clock[0].samples, monitor.sample_s, now_s - config.monitoring.delay_s)
    if not places.size or now_s - monitor.sample_s[places[-1]] > _LOOKBACK_S:
        return {scope: _all_absent(scope) for scope in scopes}
    at_s = monitor.sample_s[places]
    scrapes = [
        Scrapes(at_s, monitor.samples[places, number], now_s, config.monitoring) for number in range(w.GATEWAY + 1)
    ]
    age_s = now_s - float(at_s[-1])
    return {
        scope: {
            name: _signal(scope, name, value, age_s, config.monitoring.stale_after_s)
            for name, value in _read(scope, scrapes, world, config.objectives).items()
        }
        for scope in scopes
    }


def _visible(taken: int, sample_s: Floats, until_s: float) -> w.Ints:
    """Places in the ring of the samples that a query can see, oldest first."""
    places = np.arange(max(taken - sample_s.size, 0), taken, dtype=np.int32) % np.int32(sample_s.size)
    return places[: int(np.searchsorted(sample_s[places], until_s, side="right"))]


def _all_absent(scope: Scope) -> Mapping[str, Signal]:
    reason = "no sample within 5 minutes: is the scrape down?"
    return {name: absent(spec.unit, reason) for name, spec in CATALOGUE[scope].items()}


def _signal(scope: Scope, name: str, value: float | None, age_s: float, stale_after_s: float) -> Signal:
    unit = CATALOGUE[scope][name].unit
    if value is None:
        return absent(unit, "the query answered nothing: no pod, or no request in the window")
    return measured(value, unit, age_s, stale_after_s=stale_after_s)


def _read(scope: Scope, scrapes: list[Scrapes], world: w.World, objectives: Objectives) -> Values:
    if scope is Scope.SERVICE:
        return _service(scrapes, objectives)
    number, clock = ROLE_NUMBER[Role(scope.value)], world.clock[0]
    pool, gateway = scrapes[number], scrapes[w.GATEWAY]
    if not pool.gauge(w.G_PODS):
        return dict.fromkeys(CATALOGUE[scope]) | {"ready_replicas": 0.0}
    common: Values = {
        "kv_utilization_mean": pool.per_pod(w.G_KV_SUM),
        "kv_utilization_max": pool.gauge(w.G_KV_MAX),
        "ready_replicas": pool.gauge(w.G_READY),
        "reporting_replicas": pool.gauge(w.G_PODS),
    }
    waiting = pool.gauge(w.G_WAITING)
    if number == (w.PREFILL if math.isfinite(clock.disaggregate_from_tokens) else clock.local_role):
        waiting += gateway.gauge(w.G_WAITING)
    if scope is Scope.PREFILL:
        return {**common, **_prefill(pool, waiting)}
    if scope is Scope.DECODE:
        own = _decode(pool, waiting + gateway.gauge(w.G_WAITING_FOR_KV))
    else:
        own = _aggregated(pool, waiting)
    capacity_tokens = float(world.pools[number].num_blocks * clock.block_size)
    return {**common, **_generating(pool), **own, "kv_capacity_tokens": capacity_tokens}


def _prefill(pool: Scrapes, waiting: float) -> Values:
    return {
        "queue_depth": waiting,
        "in_flight": pool.gauge(w.G_RUNNING),
        "offered_tokens_per_s": _offered_tokens_per_s(pool),
        "uncached_ratio": _uncached_ratio(pool),
        "request_rate": _plus_queue_growth(pool, pool.rate("request_success_length"), 1.0),
        "queue_time_s": pool.mean("request_queue_time_seconds"),
        "prefill_time_s": pool.mean("request_prefill_time_seconds"),
    }


def _generating(pool: Scrapes) -> Values:
    return {
        "running": pool.gauge(w.G_RUNNING),
        "preemption_rate": pool.rate("preemptions_total"),
        "generation_tokens_per_s": pool.rate("generation_tokens_total"),
        "step_time_s": pool.mean("inter_token_latency_seconds"),
    }


def _decode(pool: Scrapes, waiting: float) -> Values:
    return {
        "waiting": waiting,
        "waiting_for_kv": pool.gauge(w.G_WAITING_FOR_KV),
        "offered_tokens_per_s": _offered_tokens_per_s(pool),
        "uncached_ratio": _computed_ratio(pool),
        "request_rate": _plus_queue_growth(pool, pool.rate("request_success_stop"), 1.0),
        "queue_time_s": pool.mean("request_queue_time_seconds"),
        "first_token_time_s": pool.mean("time_to_first_token_seconds"),
    }


def _aggregated(pool: Scrapes, waiting: float) -> Values:
    return {
        "queue_depth": waiting,
        "offered_tokens_per_s": _offered_tokens_per_s(pool),
        "uncached_ratio": _uncached_ratio(pool),
    }


def _service(scrapes: list[Scrapes], objectives: Objectives) -> Values:
    gateway = scrapes[w.GATEWAY]
    ttft = gateway.recent("time_to_first_token_seconds")
    tpot = gateway.recent("request_time_per_output_token_seconds")
    prompts = gateway.shapes("request_prompt_tokens")
    return {
        "kv_transfer_time_s": scrapes[w.DECODE].mean("nixl_xfer_time_seconds"),
        "kv_expired_rate": scrapes[w.PREFILL].rate("nixl_num_kv_expired_reqs_total"),
        "ttft_s": quantile(ttft, objectives.ttft.percentile_ratio),
        "tpot_s": quantile(tpot, objectives.tpot.percentile_ratio),
        "ttft_attainment_ratio": share_within(ttft, objectives.ttft.target_s),
        "tpot_attainment_ratio": share_within(tpot, objectives.tpot.target_s),
        "request_rate": gateway.rate("request_success_stop"),
        "input_tokens_mean": gateway.shape("request_prompt_tokens"),
        "input_tokens_p50": quantile(prompts, 0.5),
        "input_tokens_p90": quantile(prompts, 0.9),
        "output_tokens_mean": gateway.shape("request_generation_tokens"),
    }


def _offered_tokens_per_s(pool: Scrapes) -> float | None:
    """Served rate and growth of the queue: all that production can know of what arrives."""
    return _plus_queue_growth(pool, pool.rate("prompt_tokens_total"), pool.mean("request_prompt_tokens") or 0.0)


def _plus_queue_growth(pool: Scrapes, served: float | None, per_request: float) -> float | None:
    return served + max(pool.slope(w.G_WAITING), 0.0) * per_request if served is not None else None


def _uncached_ratio(pool: Scrapes) -> float | None:
    queried = pool.grown("prefix_cache_queries_total")
    return 1.0 - pool.grown("prefix_cache_hits_total") / queried if queried else None


def _computed_ratio(pool: Scrapes) -> float | None:
    computed = pool.grown("prompt_tokens_local_compute")
    every = computed + pool.grown("prompt_tokens_local_cache_hit") + pool.grown("prompt_tokens_external_kv_transfer")
    return computed / every if every else None
