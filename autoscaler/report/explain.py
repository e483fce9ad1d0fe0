"""One decision told from its record alone: what was measured, what follows of it, and what would change it."""

from __future__ import annotations

from collections.abc import Iterator

from autoscaler.core.decision import (
    Decision,
    Evidence,
    Reason,
    RoleDecision,
    Stage,
    StageName,
    SwitchDecision,
    SwitchStep,
)
from autoscaler.core.policy import Role
from autoscaler.core.signals import Scope, Signal
from autoscaler.report.words import binding_stage, path_text, quantity, signal_text

# What would have to change for another answer, by the reason that bound.
_OTHERWISE: dict[Reason, str] = {
    Reason.SIGNALS_UNUSABLE: "what is named above put right; `pd-autoscaler doctor` says more of signals",
    Reason.SHRINK_NEEDS_ALL_SIGNALS: "what is missing, so that a shrink can be judged",
    Reason.FALLBACK: "signals that may be used, or another fallbackReplicas",
    Reason.REPLICAS_UNKNOWN: "the count of the other pool, which the message names",
    Reason.OTHER_POOL_SHORT: "the other pool having what it lacks",
    Reason.ROLLOUT_IN_PROGRESS: "the rollout being over",
    Reason.WITHIN_TOLERANCE: "a need further from the present number, or a smaller behavior tolerance",
    Reason.STABILIZED: "the window passing without a proposal of this number, or a shorter stabilizationWindowSeconds",
    Reason.RATE_LIMITED: "the period passing, or wider behavior policies",
    Reason.AT_MAX: "a larger max",
    Reason.AT_MIN: "a smaller min",
    Reason.RATIO_REPAIRED: "another ratio band, or other numbers of the other pool",
    Reason.BUDGET_LIMITED: "a larger maxGpus or shared budget, or GPUs given up by other pools",
    Reason.UNSCHEDULABLE: "nodes with free GPUs",
    Reason.REPLICAS_FAILING: "replicas that start; see their pods",
    Reason.BACKING_OFF: "the back-off passing",
    Reason.PAUSED: "taking the pause back",
    Reason.GROW_ONLY: "taking grow-only back",
    Reason.PINNED: "taking the pin back",
    Reason.TRAFFIC_COLLAPSED: "the traffic coming back, or a quarter of an hour without it",
    Reason.SWITCHING: "the change of the switch being over",
    Reason.DISAGGREGATION_OFF: "disaggregation being worth its GPUs, or the policy saying on",
}

# Holds that keep a number whatever the signals say.
_FIXED = frozenset({Reason.PAUSED, Reason.PINNED})


def explain(decision: Decision) -> str:
    """Tell a decision in plain text."""
    return "\n".join(_lines(decision)) + "\n"


def _lines(decision: Decision) -> Iterator[str]:
    yield f"{decision.service}, mode {decision.mode.value}"
    if decision.attribution is not None:
        yield from _attribution(decision)
    if decision.switch is not None:
        yield from _switch(decision.switch)
    yield ""
    yield "service"
    yield from _signals(decision, Scope.SERVICE)
    for role, decided in decision.roles.items():
        yield ""
        yield from _role(decision, role, decided)
    for role, why in decision.undecided.items():
        yield ""
        yield f"{role.value}: not decided, {why}"


def _attribution(decision: Decision) -> Iterator[str]:
    found = decision.attribution
    if found is None:
        return
    parts = (
        ("queue", found.queue_s),
        ("prefill", found.prefill_s),
        ("transfer", found.transfer_s),
        ("first decode step", found.decode_s),
    )
    told = ", ".join(f"{name} {quantity(value, 's') if value is not None else 'unknown'}" for name, value in parts)
    yield f"TTFT by part: {told}"
    yield f"bottleneck: {path_text(found)}"


def _switch(switch: SwitchDecision) -> Iterator[str]:
    yield f"disaggregation: {_words(switch.step)}, {switch.detail}"
    if switch.threshold_tokens is not None:
        yield f"  prompts of {switch.threshold_tokens:.0f} tokens and more are to be prefilled apart"
    elif switch.disaggregate is not None:
        yield f"  the stack's switch is to be {'opened' if switch.disaggregate else 'closed'} now"


def _role(decision: Decision, role: Role, decided: RoleDecision) -> Iterator[str]:
    wants = f"wants {decided.desired} ({decided.uncapped} uncapped)"
    yield f"{role.value}: {decided.ready} ready of {decided.current}, {wants}"
    yield from _signals(decision, Scope(role.value))
    if decided.evidence is not None:
        yield from _evidence(decided.evidence)
    yield "  steps"
    yield from (_step(stage) for stage in decided.stages)
    binding = binding_stage(decided)
    yield f"  binding: {binding.stage.value}, {_words(binding.reason)}"
    yield f"  another answer needs {_otherwise(binding, decided)}"


def _signals(decision: Decision, scope: Scope) -> Iterator[str]:
    above = ""
    for name, signal in decision.signals.get(scope, {}).items():
        detail = "as above" if signal.detail and signal.detail == above else signal.detail
        yield f"  {name:<24}{signal_text(signal):>20}{_age(signal)}{f'  {detail}' if detail else ''}"
        above = signal.detail


def _age(signal: Signal) -> str:
    return f"  {signal.age_s:.0f} s old" if signal.age_s is not None else ""


def _evidence(evidence: Evidence) -> Iterator[str]:
    sure = f"{evidence.confidence_ratio:.0%} sure"
    yield f"  model: {evidence.model_source}; {sure}; startup {evidence.startup_time_s:.0f} s"
    if evidence.demand is not None:
        supply = evidence.supply_tokens_per_s or 0.0
        yield f"  demand: {evidence.demand:.2f} replicas of work; one replica does {quantity(supply, 'tokens/s')}"
    if evidence.forecast is not None and evidence.forecast_upper is not None and evidence.horizon_s is not None:
        speaker = (evidence.forecaster or "").replace("_", " ")
        margin = f", times {evidence.margin:.2f} headroom" if evidence.margin is not None else ""
        yield (
            f"  outlook in {evidence.horizon_s:.0f} s: {evidence.forecast:.2f} expected, {evidence.forecast_upper:.2f} "
            f"not to be exceeded ({speaker}){margin}"
        )


def _step(stage: Stage) -> str:
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in stage.numbers.items())
    told = "; ".join(part for part in (stage.detail, numbers) if part)
    words = f"{_words(stage.reason)}: {told}" if told else _words(stage.reason)
    return f"    {stage.stage.value:<10}{stage.before:>4} -> {stage.after:<4} {words}"


def _otherwise(stage: Stage, decided: RoleDecision) -> str:
    if stage.stage is StageName.PROPOSAL and stage.reason is not Reason.SIGNALS_UNUSABLE:
        held = next((step.reason for step in decided.stages if step.reason in _FIXED), None)
        if held is not None:
            return f"other signals, and {_OTHERWISE[held]}"
        return "other signals: this is what they ask for, and no guard changed it"
    if stage.reason is Reason.RATE_LIMITED and "limit" not in stage.numbers:
        return "another selectPolicy than Disabled"
    return _OTHERWISE.get(stage.reason, "another proposal")


def _words(reason: Reason | SwitchStep) -> str:
    return reason.value.replace("_", " ")
