"""Playing one job: a row of numbers."""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from autoscaler.config.load import parse
from autoscaler.config.model import API_VERSION, KIND
from autoscaler.core.policy import Disaggregation, Role, ServicePolicy, SwitchPolicy
from autoscaler.simulation.baselines.hindsight import Fleet, best_static, constant
from autoscaler.simulation.baselines.registry import BASELINES
from autoscaler.simulation.baselines.site import Bounds, Site
from autoscaler.simulation.clairvoyant.bound import ClairvoyantCost, clairvoyant_cost
from autoscaler.simulation.clairvoyant.descent import verified_schedule
from autoscaler.simulation.clairvoyant.replay import Problem
from autoscaler.simulation.clairvoyant.work import work_of
from autoscaler.simulation.config import ServiceConfig
from autoscaler.simulation.replay import service_of
from autoscaler.simulation.results import Results
from autoscaler.simulation.run import run
from autoscaler.simulation.traces import Trace, between
from benchmarks.contest import jobs
from benchmarks.contest.cases import CALIBRATIONS, OBJECTIVES, Case, load_of
from benchmarks.contest.jobs import Job

Row = Mapping[str, Any]

MOST_REPLICAS = 64
_ROLES = (Role.PREFILL, Role.DECODE)
_DESCENT_REPLAYS = 120
_MINUTE_S, _HOUR_S = 60.0, 3600.0
# Everybody starts with what so much of the load asks for.
_FIRST_S = 600.0


def play(job: Job) -> Row:
    """Run a job."""
    begun_s = time.perf_counter()
    row = PLAYS.get(job.contender, baseline)(job)
    return {**row, "took_s": round(time.perf_counter() - begun_s, 2)}


def policy_of(case: Case) -> ServicePolicy:
    """The default policy: model, objectives and startup time given, nothing else but room to grow."""
    calibration, objectives = CALIBRATIONS[case.calibration], OBJECTIVES[case.objectives]
    pool = {
        "max": MOST_REPLICAS,
        "gpusPerReplica": calibration.tensor_parallel,
        "startupTime": f"{case.startup_s:g}s",
    }
    document = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "contest"},
        "spec": {
            "stack": "vllm",
            "model": calibration.model,
            "engine": {"gpu": calibration.gpu, "tensorParallel": calibration.tensor_parallel},
            "objectives": {
                "ttft": {"target": f"{objectives.ttft.target_s * 1e3:g}ms"},
                "tpot": {"target": f"{objectives.tpot.target_s * 1e3:g}ms"},
            },
            "roles": {role.value: {"target": {"name": role.value}, **pool} for role in _ROLES},
        },
    }
    report = parse(json.dumps(document).encode(), Path("contest"))
    if report.errors:
        raise ValueError("\n".join(str(error) for error in report.errors))
    return report.policies[0].policy.core()


def service(case: Case) -> tuple[ServiceConfig, Trace]:
    """The service that everybody gets, started with the estimate's peak of the first ten minutes, and its load."""
    trace = load_of(case.load, case.seed)
    config = service_of(policy_of(case), trace)
    peak = clairvoyant_cost(config, between(trace, 0.0, _FIRST_S), ()).static_peak
    return config.starting_with(peak), trace


@functools.lru_cache(maxsize=8)
def cost_of(case: Case) -> ClairvoyantCost:
    """What the load would cost if it were known, at the share of requests that the objectives ask for."""
    config, trace = service(case)
    share = config.objectives.attainment_ratio
    return clairvoyant_cost(config, trace, (case.startup_s,), attainment_ratio=share)


def _bound(job: Job) -> Row:
    cost = cost_of(job.case)
    config, trace = service(job.case)
    return {
        "requests": len(trace),
        "feasible": _brief(_feasible(config, trace), 7),
        "optimum_gpu_hours": _brief(cost.ready_optimum_gpu_hours[job.case.startup_s]),
        "lower_gpu_hours": _brief(cost.bound_gpu_hours),
        "fluid_gpu_hours": _brief(cost.fluid_gpu_hours),
        "static_peak": [cost.static_peak[role] for role in _ROLES],
    }


def _feasible(config: ServiceConfig, trace: Trace) -> float:
    """Share of the requests whose first token would come in time if idle replicas served them, one at a time."""
    return float((work_of(config, trace).prefill_slack_s > 0).mean())


def _ours(job: Job) -> Row:
    config, trace = service(job.case)
    return _row(run(policy_of(job.case), config, trace, seed=job.case.seed))


def _switched(job: Job) -> Row:
    config, trace = service(job.case)
    wanted = Disaggregation(job.contender.removeprefix("switch-"))
    policy = replace(policy_of(job.case), switch=SwitchPolicy(disaggregation=wanted))
    results = run(policy, config, trace, seed=job.case.seed)
    return {**_row(results), "switched": _switches(results), "apart_ratio": _brief(_apart(results))}


def _switches(results: Results) -> int:
    """How often most requests of a minute went another way than those of the minute before."""
    requests = results.requests
    minutes = (requests.arrival_s // _MINUTE_S).astype(np.int64)
    apart = np.bincount(minutes, requests.disaggregated)
    mostly = (2 * apart > np.bincount(minutes))[np.bincount(minutes) > 0]
    return int(np.count_nonzero(np.diff(mostly)))


def _apart(results: Results) -> float:
    return float(results.requests.disaggregated.mean())


def _static_peak(job: Job) -> Row:
    return _static(job, 1)


def _ample(job: Job) -> Row:
    return _static(job, 2)


def _static(job: Job, factor: int) -> Row:
    config, trace = service(job.case)
    fleet = _peak(job.case, factor)
    return {**_row(constant(config, trace, fleet, seed=job.case.seed)), "fleet": list(fleet)}


def _static_best(job: Job) -> Row:
    """The cheapest constant fleet that attains the objective, or 99 % of what a very large one attains."""
    config, trace = service(job.case)
    share, ample = config.objectives.attainment_ratio, _peak(job.case, 2)
    ceiling = constant(config, trace, ample, seed=job.case.seed).attainment_ratio
    goal = share if ceiling >= share else share * ceiling
    best = best_static(config, trace, attainment_ratio=goal, most=ample, seed=job.case.seed)
    return {**_row(best.results), "fleet": list(best.fleet), "goal": _brief(goal)}


def _peak(case: Case, factor: int) -> Fleet:
    """So many times the fleet that is enough for every slot."""
    peak = cost_of(case).static_peak
    return factor * peak[Role.PREFILL], factor * peak[Role.DECODE]


def _verified(job: Job) -> Row:
    config, trace = service(job.case)
    verified = verified_schedule(Problem(config, trace, (job.case.seed,)), replays=_DESCENT_REPLAYS)
    return _row(verified.results[0])


def baseline(job: Job) -> Row:
    """Run a rival."""
    config, trace = service(job.case)
    rival = BASELINES[job.contender]
    site = replace(Site.of(config, trace), bounds=_bounds(job))
    return _row(run(rival.build(site, rival.labelled(job.settings)), config, trace, seed=job.case.seed))


def _bounds(job: Job) -> Mapping[Role, Bounds]:
    if job.bounds == jobs.DEFAULTS:
        return dict.fromkeys(_ROLES, Bounds(1, MOST_REPLICAS))
    peak = cost_of(job.case).static_peak
    least = {role: max(peak[role] // 2, 1) if job.bounds == jobs.FLOORED else 1 for role in _ROLES}
    return {role: Bounds(least[role], math.ceil(1.5 * peak[role])) for role in _ROLES}


def _row(results: Results) -> Row:
    by_role = results.gpu_hours_by_role
    return {
        "attainment": _brief(results.attainment_ratio, 7),
        "gpu_hours": _brief(results.gpu_hours),
        "gpu_hours_by_role": [_brief(by_role[role]) for role in _ROLES],
        "actions": len(results.actions),
        "last_action_s": results.actions[-1].at_s if results.actions else None,
        "reversals_per_hour": _brief(results.reversals / (results.duration_s / _HOUR_S)),
        "worst_5min": _brief(results.worst_5min_ratio),
        "violation_s": results.violation_s,
        "ttft_p95_s": _brief(results.ttft_s[95]),
        "tpot_p95_s": _brief(results.tpot_s[95]),
    }


def _brief(value: float, digits: int = 5) -> float | None:
    """Enough digits for a table; nothing that JSON cannot say."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


PLAYS: Mapping[str, Callable[[Job], Row]] = {
    jobs.BOUND: _bound,
    jobs.OURS: _ours,
    jobs.VERIFIED: _verified,
    jobs.STATIC_PEAK: _static_peak,
    jobs.AMPLE: _ample,
    jobs.STATIC_BEST: _static_best,
    **dict.fromkeys(jobs.SWITCHED, _switched),
}
