"""What serving a known load would cost in GPU-hours: lower bounds, an estimate of the optimum, static fleets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from autoscaler.core.policy import Role
from autoscaler.simulation.clairvoyant.demand import SLOT_S, deadline_demand, slot_loads
from autoscaler.simulation.clairvoyant.levels import optimal_stays
from autoscaler.simulation.clairvoyant.shed import shed
from autoscaler.simulation.clairvoyant.work import Limit, Work, work_of
from autoscaler.simulation.config import ServiceConfig
from autoscaler.simulation.traces import Trace
from autoscaler.simulation.traces.trace import Floats

ROLES = (Role.PREFILL, Role.DECODE)

_PEAK, _P99 = 100.0, 99.0


@dataclass(frozen=True, slots=True)
class ClairvoyantCost:
    """Costs of a load that is known beforehand.

    Attributes:
        work_replicas: Mean replicas kept busy, per role; infinite for a load of a single instant.
        fluid_gpu_hours: All work without idling, starts or whole replicas.
        bound_gpu_hours: What no schedule undercuts: the least work of the requests to serve, and one replica per role
            always.
        deadline_gpu_hours: What no schedule undercuts that serves every request in time and changes at the edges of
            slots only; starts are free.
        optimum_gpu_hours: Estimated optimum by startup time in seconds, the first replicas' starts included.
        ready_optimum_gpu_hours: The same without the starts of replicas that are needed before any can have started, to
            compare runs with that find their first replicas ready.
        static_peak: Peak of the estimate that the optimum follows, per role: enough for any slot alone. Sustained load
            may exceed it, for each slot counts on the slack of the next; `sustained_peak` is a fleet that keeps up.
        static_peak_gpu_hours: Cost of that fleet.
        static_p99_gpu_hours: Cost of a fleet that the estimate finds enough for 99 % of the slots.
    """

    work_replicas: Mapping[Role, float]
    fluid_gpu_hours: float
    bound_gpu_hours: float
    deadline_gpu_hours: float
    optimum_gpu_hours: Mapping[float, float]
    ready_optimum_gpu_hours: Mapping[float, float]
    static_peak: Mapping[Role, int]
    static_peak_gpu_hours: float
    static_p99_gpu_hours: float


def clairvoyant_cost(
    config: ServiceConfig,
    trace: Trace,
    startups_s: tuple[float, ...],
    *,
    weight: float = 1.0,
    attainment_ratio: float = 1.0,
    links: bool = True,
) -> ClairvoyantCost:
    """Cost of a load on a service if it were known.

    Args:
        config: The service, with a prefill and a decode pool.
        trace: Its requests.
        startups_s: Startup times to answer for; a start costs as much GPU time.
        weight: Multiplier of each request's work, a smooth stand-in for so many times the rate.
        attainment_ratio: Share of the requests to serve; the others may be those that cost most.
        links: Count KV transfer as load where the optimum is estimated.
    """
    gpus = {role: config.pools[role].gpus_per_replica for role in ROLES}
    work = work_of(config, trace)
    least = [work_of(config, trace, least_by=limit) for limit in Limit]
    loads = slot_loads(work, weight=weight, links=links)
    profiles = {role: load.replicas() for role, load in loads.items()}
    lost = weight * len(trace) * (1.0 - attainment_ratio)

    def optimum(startup_s: float) -> tuple[float, float]:
        stays = {role: optimal_stays(profile, SLOT_S, startup_s) for role, profile in profiles.items()}
        kept = shed(stays, loads, gpus, requests=lost, startup_s=startup_s)
        costs_s = {role: sum(stay.replica_s(SLOT_S, startup_s) for stay in kept[role]) for role in ROLES}
        first_s = {role: startup_s * sum(stay.start * SLOT_S < startup_s for stay in kept[role]) for role in ROLES}
        return _gpu_hours(costs_s, gpus), _gpu_hours(first_s, gpus)

    def static(percentile: float) -> float:
        held_s = {
            role: float(np.percentile(profile, percentile)) * profile.size * SLOT_S
            for role, profile in profiles.items()
        }
        return _gpu_hours(held_s, gpus)

    served_s = [_least_s(by_limit, weight, attainment_ratio) for by_limit in least]
    in_time = [deadline_demand(by_limit, weight=weight) for by_limit in least]
    busy_s = {role: weight * float(seconds.sum()) for role, seconds in _by_role(work).items()}
    optima = {startup_s: optimum(startup_s) for startup_s in startups_s}
    return ClairvoyantCost(
        work_replicas={
            role: seconds / work.duration_s if work.duration_s else math.inf for role, seconds in busy_s.items()
        },
        fluid_gpu_hours=_gpu_hours(busy_s, gpus),
        bound_gpu_hours=_gpu_hours({role: max(held_s[role] for held_s in served_s) for role in ROLES}, gpus),
        deadline_gpu_hours=_gpu_hours(
            {role: max(float(replicas[role].sum()) for replicas in in_time) * SLOT_S for role in ROLES}, gpus
        ),
        optimum_gpu_hours={startup_s: whole for startup_s, (whole, _) in optima.items()},
        ready_optimum_gpu_hours={startup_s: whole - first for startup_s, (whole, first) in optima.items()},
        static_peak={role: int(profile.max()) for role, profile in profiles.items()},
        static_peak_gpu_hours=static(_PEAK),
        static_p99_gpu_hours=static(_P99),
    )


def _least_s(least: Work, weight: float, attainment_ratio: float) -> Mapping[Role, float]:
    """Per role, the work of its lightest requests, and at least one replica always."""
    served = int(np.ceil(attainment_ratio * least.arrival_s.size))
    return {
        role: max(weight * float(np.sort(seconds)[:served].sum()), least.duration_s)
        for role, seconds in _by_role(least).items()
    }


def _by_role(work: Work) -> Mapping[Role, Floats]:
    return {Role.PREFILL: work.prefill_s, Role.DECODE: work.decode_s}


def _gpu_hours(replica_s: Mapping[Role, float], gpus: Mapping[Role, float]) -> float:
    return sum(gpus[role] * seconds for role, seconds in replica_s.items()) / 3600.0
