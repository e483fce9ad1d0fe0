"""What the metrics say of pools: counts, why they are what they are, demand, outlook, GPUs."""

from __future__ import annotations

from collections.abc import Iterator

from autoscaler.core.decision import Evidence, RoleDecision, StageName
from autoscaler.core.policy import Role, RolePolicy
from autoscaler.core.snapshot import PoolState
from autoscaler.daemon.hindsight import Hindsight
from autoscaler.daemon.ledger import Account
from autoscaler.daemon.metrics import labels
from autoscaler.daemon.metrics.samples import Sample, one_hot, some

# From here on a number is cut by a limit of the user or the cluster; before it, it is only slowed down.
_CAPS = frozenset({StageName.BOUNDS, StageName.CAPACITY, StageName.OPERATOR, StageName.RATIO, StageName.BUDGET})


def of_pools(account: Account) -> Iterator[Sample]:
    """Samples of every pool of a service."""
    for role, policy in account.policy.roles.items():
        decision = account.latest.decision if account.latest is not None else None
        decided = decision.roles.get(role) if decision is not None else None
        yield from _bounds(role, policy, decided)
        if decided is not None:
            yield from _counts(role, policy, decided)
            yield from one_hot("reason", labels.REASON, [decided.reason], role)
            if decided.evidence is not None:
                yield from _evidence(role, decided, decided.evidence)
                yield from _hindsight(role, account.hindsight.get(role, Hindsight()))
    if account.latest is not None:
        for role, pool in account.latest.pools.items():
            yield from _states(role, pool)


def _bounds(role: Role, policy: RolePolicy, decided: RoleDecision | None) -> Iterator[Sample]:
    """The bounds in force: those that the decision kept to, which a schedule may have moved."""
    stages = decided.stages if decided is not None else ()
    kept_to = next((stage.numbers for stage in stages if stage.stage is StageName.BOUNDS), {})
    yield from some("min_replicas", kept_to.get("min", policy.min_replicas), role)
    yield from some("max_replicas", kept_to.get("max", policy.max_replicas), role)


def _counts(role: Role, policy: RolePolicy, decided: RoleDecision) -> Iterator[Sample]:
    uncapped = next((stage.before for stage in decided.stages if stage.stage in _CAPS), decided.desired)
    yield from some("current_replicas", decided.current, role)
    yield from some("ready_replicas", decided.ready, role)
    yield from some("proposed_replicas", decided.uncapped, role)
    yield from some("uncapped_replicas", uncapped, role)
    yield from some("desired_replicas", decided.desired, role)
    yield from some("current_gpus", decided.current * policy.gpus_per_replica, role)
    yield from some("desired_gpus", decided.desired * policy.gpus_per_replica, role)


def _states(role: Role, pool: PoolState) -> Iterator[Sample]:
    yield from some("starting_replicas", pool.starting, role)
    yield from some("terminating_replicas", pool.terminating, role)
    yield from some("unschedulable_replicas", pool.unschedulable, role)
    yield from some("failing_replicas", pool.failing, role)


def _evidence(role: Role, decided: RoleDecision, evidence: Evidence) -> Iterator[Sample]:
    demand = evidence.demand
    yield from some("demand_replicas", demand, role)
    yield from some("replica_supply_tokens_per_second", evidence.supply_tokens_per_s, role)
    yield from some("utilization_ratio", demand / decided.ready if demand is not None and decided.ready else None, role)
    yield from some("headroom_ratio", evidence.margin, role)
    yield from some("forecast_replicas", evidence.forecast, role)
    yield from some("forecast_upper_replicas", evidence.forecast_upper, role)
    yield from some("forecast_horizon_seconds", evidence.horizon_s, role)
    if evidence.forecaster is not None:
        yield from one_hot("forecaster", labels.FORECASTER, [evidence.forecaster], role)
    yield from some("model_confidence_ratio", evidence.confidence_ratio, role)
    yield from some("model_trusted", demand is not None, role)
    yield from some("startup_time_seconds", evidence.startup_time_s, role)


def _hindsight(role: Role, hindsight: Hindsight) -> Iterator[Sample]:
    yield from some("forecast_due_replicas", hindsight.due, role)
    yield from some("forecast_error_ratio", hindsight.error_ratio, role)
