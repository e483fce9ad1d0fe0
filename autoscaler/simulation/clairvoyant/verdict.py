"""Whether a controller attains enough, without playing on once the answer is certain."""

from __future__ import annotations

from autoscaler.simulation.config import ServiceConfig
from autoscaler.simulation.run import Controller, Memory
from autoscaler.simulation.service import Service
from autoscaler.simulation.traces import Trace

_CHECKS = 24
_TAIL_S = 600.0


def misses_allowed(trace: Trace, attainment_ratio: float) -> int:
    """Requests of a trace that may miss an objective."""
    return int(len(trace) * (1.0 - attainment_ratio) + 1e-6)


def attains(
    config: ServiceConfig,
    trace: Trace,
    controller: Controller,
    *,
    attainment_ratio: float,
    seed: int = 0,
    interval_s: float = 15.0,
) -> bool:
    """Whether enough requests are in time, as `run` would count them; stops early when too many have missed.

    Args:
        config: The service.
        trace: Its requests.
        controller: What decides.
        attainment_ratio: Share of the requests to be in time.
        seed: Of everything random.
        interval_s: Time between decisions.
    """
    service, memory = Service(config, trace, seed), Memory()
    allowed = misses_allowed(trace, attainment_ratio)
    check_s = next_check_s = trace.duration_s / _CHECKS
    end_s = trace.duration_s + _TAIL_S
    ticks = 0
    while service.now_s < end_s and not (service.settled and service.now_s >= trace.duration_s):
        service.advance_to(ticks * interval_s)
        for role, replicas in controller(service.snapshot(service.now_s), memory, service.now_s).items():
            service.scale(role, replicas)
        if service.now_s >= next_check_s:
            if _missed_for_good(service, config) > allowed:
                return False
            next_check_s += check_s
        ticks += 1
    return len(trace) - int(service.finish().requests.in_time.sum()) <= allowed


def _missed_for_good(service: Service, config: ServiceConfig) -> int:
    """Requests that have settled out of time, or have no first token in time."""
    table, target_s = service.finish().requests, config.objectives.ttft.target_s
    settled = table.finished | table.failed | table.rejected
    late = ~settled & ~(table.ttft_s <= target_s) & (service.now_s - table.arrival_s > target_s)
    return int((settled & ~table.in_time).sum() + late.sum())
