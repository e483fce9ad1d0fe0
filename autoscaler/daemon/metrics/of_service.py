"""What the metrics say of a service: its promise, its signals, its switch, and how its ticks go."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from autoscaler.core.attribution import Attribution
from autoscaler.core.decision import Decision, SwitchDecision, SwitchStep
from autoscaler.core.policy import Objectives
from autoscaler.core.signals import Scope, Signals
from autoscaler.daemon.conditions import conditions_of
from autoscaler.daemon.ledger import Account
from autoscaler.daemon.metrics import labels
from autoscaler.daemon.metrics.labels import Arrangement, Objective, TtftPart
from autoscaler.daemon.metrics.samples import Sample, one_hot, some
from autoscaler.daemon.tick import Dependency, Tick
from autoscaler.targets.switch import Position, SwitchReading

# Below this an error budget is none, and every slow request would burn without measure.
_LEAST_BUDGET_RATIO = 1e-4
_APART = frozenset({SwitchStep.ON, SwitchStep.OPENING, SwitchStep.OBSERVING, SwitchStep.GROWING_DECODE})


def of_service(
    account: Account, wall_s: Callable[[float], float], may_write: Callable[[str], bool]
) -> Iterator[Sample]:
    """Samples of a service but for those of its pools.

    Args:
        account: What is known of it.
        wall_s: Gives an instant as the wall clock has it now, by which Prometheus goes.
        may_write: Whether this daemon is now the one who writes for a service.
    """
    policy = account.policy
    yield from one_hot("mode", labels.MODE, [policy.mode])
    yield from some("interval_seconds", policy.interval_s)
    yield from some("budget_gpus", policy.budget_gpus)
    yield from some("peak_gpus", account.peak_gpus)
    yield from _promise(policy.objectives)
    yield from _totals(account)
    latest_s = account.latest.at_s if account.latest is not None else account.since_s
    yield from some("last_tick_timestamp_seconds", wall_s(latest_s))
    yield from some("leads", may_write(policy.service) and not _lacks_memory(account.latest))
    if account.latest is not None:
        holding = [condition.type for condition in conditions_of(account.latest) if condition.holds]
        yield from one_hot("condition", labels.CONDITION, holding)
        if account.latest.decision is not None:
            yield from _decision(account.latest.decision, policy.objectives, account.latest.switch)


def _promise(objectives: Objectives) -> Iterator[Sample]:
    for objective, target_s in (
        (Objective.TTFT, objectives.ttft.target_s),
        (Objective.TPOT, objectives.tpot.target_s),
    ):
        yield from some("objective_seconds", target_s, objective)
        yield from some("objective_ratio", objectives.attainment_ratio, objective)


def _lacks_memory(tick: Tick | None) -> bool:
    """Whether it wrote nothing because nobody could tell what was changed last: a lease alone makes no leader."""
    if tick is None or tick.leads:
        return False
    return any(trouble.dependency is Dependency.STATE for trouble in tick.troubles)


def _decision(decision: Decision, objectives: Objectives, shown: SwitchReading | None) -> Iterator[Sample]:
    yield from _kept(decision.signals, objectives)
    yield from _signals(decision.signals)
    if decision.attribution is not None:
        yield from _parts(decision.attribution)
    if decision.switch is not None:
        yield from _switch(decision.switch, shown)


def _kept(signals: Signals, objectives: Objectives) -> Iterator[Sample]:
    budget_ratio = max(1.0 - objectives.attainment_ratio, _LEAST_BUDGET_RATIO)
    for objective in Objective:
        attained_ratio = _usable(signals, f"{objective}_attainment_ratio")
        yield from some("latency_seconds", _usable(signals, f"{objective}_s"), objective)
        if attained_ratio is not None:
            missed_ratio = min(max(1.0 - attained_ratio, 0.0), 1.0)
            yield from some("attainment_ratio", attained_ratio, objective)
            yield from some("error_budget_burn_ratio", missed_ratio / budget_ratio, objective)


def _usable(signals: Signals, name: str) -> float | None:
    signal = signals.get(Scope.SERVICE, {}).get(name)
    return signal.usable if signal is not None else None


def _signals(signals: Signals) -> Iterator[Sample]:
    for scope, by_name in signals.items():
        for name, signal in by_name.items():
            yield from some("signal_value", signal.usable, scope, name)
            yield from some("signal_age_seconds", signal.age_s, scope, name)
            yield from some("signal_valid", signal.usable is not None, scope, name)


def _parts(attribution: Attribution) -> Iterator[Sample]:
    yield from some("ttft_part_seconds", attribution.queue_s, TtftPart.QUEUE)
    yield from some("ttft_part_seconds", attribution.prefill_s, TtftPart.PREFILL)
    yield from some("ttft_part_seconds", attribution.transfer_s, TtftPart.TRANSFER)
    yield from some("ttft_part_seconds", attribution.decode_s, TtftPart.FIRST_DECODE)
    yield from one_hot("bottleneck", labels.BOTTLENECK, [attribution.bottleneck])


def _switch(switch: SwitchDecision, shown: SwitchReading | None) -> Iterator[Sample]:
    yield from one_hot("switch_step", labels.STEP, [switch.step])
    yield from some("switch_disaggregated", _is_apart(switch, shown))
    yield from some("switch_threshold_tokens", shown.threshold_tokens if shown is not None else None)
    yield from some("switch_required_gpus", switch.apart_gpus, Arrangement.APART)
    yield from some("switch_required_gpus", switch.together_gpus, Arrangement.TOGETHER)


def _is_apart(switch: SwitchDecision, shown: SwitchReading | None) -> bool | None:
    """What the stack shows; where it shows nothing, what was decided; None where what it shows could not be read."""
    if shown is not None and shown.is_unread:
        return None
    if shown is not None and shown.position is not Position.UNKNOWN:
        return shown.position is Position.ON
    return switch.disaggregate if switch.disaggregate is not None else switch.step in _APART


def _totals(account: Account) -> Iterator[Sample]:
    for (role, reason), count in account.decisions.items():
        yield from some("decisions", count, role, reason)
    # These happen rarely, and a counter that begins with its first count shows no increase.
    for role in dict.fromkeys([*account.policy.roles, *(role for role, _ in account.writes)]):
        for (outcome,) in labels.OUTCOME.values:
            yield from some("writes", account.writes[role, outcome], role, outcome)
    for (dependency,) in labels.DEPENDENCY.values:
        yield from some("errors", account.errors[dependency], dependency)
    yield Sample("tick_duration_seconds", (), account.ticks)
    for waited_for, waits in account.waits.items():
        yield Sample("dependency_duration_seconds", (waited_for,), waits)
    for pool, startups in account.startups.items():
        yield Sample("replica_startup_seconds", (pool,), startups)
