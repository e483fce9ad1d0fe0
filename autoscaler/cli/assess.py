"""Makes the assessment of a service out of its history: measures, reconstructs, replays, recommends."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import yaml

from autoscaler.cli.engine_fit import Fit, corrected, engine_ground, fit_of, plausible
from autoscaler.cli.exits import CliError
from autoscaler.cli.history import load_of, read_history
from autoscaler.cli.measured import WANTED, measured_of
from autoscaler.cli.sweeps import checked, plain
from autoscaler.config import PolicyError, ScalingPolicy
from autoscaler.core.policy import Role, ServicePolicy
from autoscaler.report.assessment import Assessment, Ground, Played, Price
from autoscaler.simulation.clairvoyant.demand import sustained_peak
from autoscaler.simulation.clairvoyant.work import work_of
from autoscaler.simulation.replay import Replay, Watcher, replay, service_of
from autoscaler.simulation.traces import Trace
from autoscaler.simulation.wall_clock import OnSchedule
from autoscaler.sources.history import History

PARTS = 3
"""What a watcher is told of: reading, and two replays."""

_SPARE = 1.25  # room above the peak of the replay, for a day that is busier than those looked at


def assess(
    document: ScalingPolicy,
    url: str | None,
    since_s: float,
    price: Price,
    *,
    seed: int,
    watcher: Watcher,
) -> Assessment:
    """Assess one service over the last `since_s` seconds.

    Args:
        document: Its policy.
        url: Prometheus, in place of the policy's.
        since_s: How far back to look.
        price: What a GPU-hour costs.
        seed: Of everything random.
        watcher: Told how it gets on, in `PARTS` parts.

    Raises:
        CliError: There is no history to build on.
    """
    policy = document.core()
    watcher.begins(f"{document.service}: reading history")
    history = read_history(document, url, since_s, WANTED, reached=watcher.reached)
    made = load_of(history, seed, document.service, asked_s=since_s)
    measured = measured_of(document, history, made, price)
    if any(pool.engine is None for pool in policy.roles.values()):
        why = "spec.engine says nothing of how fast a replica is, so nothing is replayed"
        return replace(measured, grounds=(*measured.grounds, Ground("engine", 0.0, why)))
    return _with_replays(measured, document, history, made.trace, seed, watcher)


def _with_replays(
    measured: Assessment, document: ScalingPolicy, history: History, trace: Trace, seed: int, watcher: Watcher
) -> Assessment:
    """The same with what the policy, and the one that is recommended, would have done."""
    policy = document.core()
    fit = fit_of(history, policy)
    fitted, goal = corrected(policy, fit), policy.objectives.attainment_ratio
    watcher.begins(f"{document.service}: replaying your policy")
    first = _replayed("your policy", document, fit, trace, history.start_s, seed, watcher)
    better = _recommended(document, first)
    runs = [first]
    watcher.begins(f"{document.service}: replaying the recommended policy")
    if _bounds_mattered(policy, first):
        runs.append(_replayed("recommended", better, fit, trace, history.start_s, seed, watcher))
    chosen = _best(runs, goal)
    peak = sustained_peak(work_of(service_of(fitted, trace), trace))
    needed = [policy.roles[role].gpus_per_replica * count for role, count in chosen.need.items()]
    return replace(
        measured,
        needed_gpu_hours=first.rows[0].bound_gpu_hours,
        peak_gpu_hours=_gpus(policy, peak) * trace.duration_s / 3600.0,
        played=tuple(_played(one) for one in sorted(runs, key=lambda one: one is not chosen)),
        recommended=_as_yaml(document if chosen is first and len(runs) > 1 else better),
        grounds=(*measured.grounds, engine_ground(fit)),
        remarks=(*measured.remarks, *_remarks(fit, policy)),
        curves=replace(measured.curves, needed_gpus=np.sum(needed, axis=0), policy_gpus=chosen.timelines[0].gpus),
    )


def _gpus(policy: ServicePolicy, replicas: Mapping[Role, int]) -> float:
    return sum(policy.roles[role].gpus_per_replica * count for role, count in replicas.items())


def _replayed(
    name: str, document: ScalingPolicy, fit: Fit, trace: Trace, begins_s: float, seed: int, watcher: Watcher
) -> Replay:
    """The load under one policy, on the engine as it was measured and by the clock as it was."""
    fitted, at = corrected(document.core(), fit), OnSchedule(document, begins_s)
    return replay({name: fitted}, trace, seed=seed, watcher=_Inner(watcher), at={name: at})


@dataclass(frozen=True, slots=True)
class _Inner:
    """Passes on how far a replay is; which part it is has been said."""

    outer: Watcher

    def begins(self, what: str) -> None:
        """Said already."""

    def reached(self, share: float) -> None:
        self.outer.reached(share)


def _recommended(document: ScalingPolicy, played: Replay) -> ScalingPolicy:
    """The policy with bounds that fit the load: it may shrink to one replica, and has room above the peak."""
    written = plain(document)
    run, need = played.timelines[0], played.need
    for role, pool in written["spec"]["roles"].items():
        ready = run.ready.get(Role(role))
        if ready is None:
            continue
        wanted = max(float(ready.max()), float(need[Role(role)].max()) if Role(role) in need else 0.0)
        pool["min"] = min(pool.get("min", 1), 1)
        pool["max"] = max(math.ceil(_SPARE * wanted), 2)
        if "fallbackReplicas" in pool:
            pool["fallbackReplicas"] = min(pool["fallbackReplicas"], pool["max"])
    written["spec"]["mode"] = "recommend"
    try:
        return checked(written, "recommended policy", document.spec.files)
    except PolicyError:
        return document  # its ratio or budget leaves no room for other bounds


def _bounds_mattered(policy: ServicePolicy, played: Replay) -> bool:
    """Whether other bounds could have changed the run; brief touches count, so one replica of distance is asked for."""
    for role, ready in played.timelines[0].ready.items():
        pool = policy.roles[role]
        if math.ceil(float(ready.max())) + 1 >= pool.max_replicas:
            return True
        if pool.min_replicas > 1 and float(ready.min()) <= pool.min_replicas:
            return True
    return False


def _best(runs: Sequence[Replay], goal: float) -> Replay:
    """The cheapest of those that keep the goal, else the one that comes nearest to it."""
    keeping = [one for one in runs if one.rows[0].attainment >= goal]
    if keeping:
        return min(keeping, key=lambda one: one.rows[0].gpu_hours)
    return max(runs, key=lambda one: one.rows[0].attainment)


def _played(one: Replay) -> Played:
    row = one.rows[0]
    return Played(row.policy, row.attainment, row.gpu_hours, row.actions, row.violation_s / 3600.0, row.worst_5min)


def _as_yaml(document: ScalingPolicy) -> str:
    return yaml.safe_dump(plain(document), sort_keys=False, allow_unicode=True)


def _remarks(fit: Fit, policy: ServicePolicy) -> list[str]:
    startups = ", ".join(f"{role.value} {pool.startup_time_s:g} s" for role, pool in policy.roles.items())
    remarks = [f"Replicas start as slowly as the policy says: {startups}. The time seen by a daemon is surer."]
    ratios = {"prefill": fit.prefill_ratio, "decode": fit.decode_ratio}
    changed = [
        f"{what} by {ratio:.2f}" for what, ratio in ratios.items() if ratio is not None and plausible(ratio) == ratio
    ]
    if changed:
        remarks.append(f"The engine's timing was corrected by what was measured: {', '.join(changed)}.")
    implausible = [what for what, ratio in ratios.items() if ratio is not None and plausible(ratio) != ratio]
    if implausible:
        remarks.append(
            f"The timing of {' and '.join(implausible)} is so far from what was measured that spec.engine must be of "
            "another engine; the replay uses it as it is, and is worth little until it is right."
        )
    remarks.append("Used GPU-hours count replicas that were asked for; the replay counts those that hold GPUs.")
    return remarks


def checked_price(text: str | None, currency: str | None) -> Price:
    """The price that the user gives.

    Raises:
        CliError: It is no amount, or there is a currency of none.
    """
    if text is None:
        if currency is not None:
            raise CliError(f"--currency {currency} is that of --gpu-hour-price: pass that too")
        return Price()
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not (math.isfinite(amount) and amount >= 0):
        raise CliError(f"--gpu-hour-price {text}: wants an amount, such as 2.5")
    return Price(amount) if currency is None else Price(amount, currency)
