"""The conditions of a policy: what a tick, or a reload, says of it in the words of the API conventions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from autoscaler.core.decision import Decision, Reason, RoleDecision
from autoscaler.core.policy import Mode, Role
from autoscaler.daemon.notices import AT_REST, LIMITS
from autoscaler.daemon.tick import Dependency, Tick
from autoscaler.report.words import binding_stage, reason_text
from autoscaler.targets.base import Outcome

CONDITIONS = ("Effective", "Active", "Limited", "Conflicted", "SwitchInProgress")
"""Conditions that each tick settles."""
OF_EFFECTIVE = frozenset({Dependency.SIGNALS, Dependency.REPLICAS, Dependency.INTERNAL})
"""What has failed where the condition Effective does not hold."""

_FIXED = frozenset({Reason.PAUSED, Reason.PINNED})
_OTHERS_WRITE = frozenset({Outcome.CONFLICT, Outcome.FROZEN})
_FAILED = frozenset({Outcome.FORBIDDEN, Outcome.MISSING, Outcome.REJECTED, Outcome.REFUSED, Outcome.UNAVAILABLE})


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, in the words of the API conventions.

    Attributes:
        type: What it is about.
        holds: Whether it is so; None where that cannot be told.
        reason: One word in CamelCase.
        message: In words, with the numbers.
    """

    type: str
    holds: bool | None
    reason: str
    message: str


def accepted() -> Condition:
    """The object as it is now is what runs."""
    return Condition("Ready", holds=True, reason="Accepted", message="the policy is in force")


def refused(reason: str, why: Iterable[str], *, in_force: bool) -> Condition:
    """The object as it is now is not what runs.

    Args:
        reason: One word in CamelCase.
        why: In words.
        in_force: Whether an earlier version of it runs.
    """
    meanwhile = ["the last good policy stays in force"] if in_force else []
    return Condition("Ready", holds=False, reason=reason, message="; ".join([*why, *meanwhile]))


def conditions_of(tick: Tick) -> list[Condition]:
    """What a tick says about the policy, in the order of `CONDITIONS`."""
    return [_effective(tick), _active(tick), _limited(tick), _conflicted(tick), _switch_in_progress(tick)]


def _effective(tick: Tick) -> Condition:
    """Whether signals and replica counts are there to decide on: green means that, and not only that nothing failed."""
    missing = [
        f"{trouble.subject}: {trouble.message}" for trouble in tick.troubles if trouble.dependency in OF_EFFECTIVE
    ]
    if missing:
        return Condition("Effective", holds=False, reason="SignalsMissing", message="; ".join(missing))
    return Condition("Effective", holds=True, reason="SignalsHealthy", message="every signal that is needed is fresh")


def _active(tick: Tick) -> Condition:
    """Whether decisions are carried out."""
    if tick.decision is None:
        return Condition("Active", holds=False, reason="Failed", message="the last tick failed")
    mode, stopped = tick.decision.mode, _stopped(tick.decision)
    if mode is not Mode.ENFORCE:
        return Condition("Active", holds=False, reason=_camel(mode.value), message=f"mode is {mode}: nothing is scaled")
    if stopped:
        return Condition("Active", holds=False, reason="Held", message="; ".join(stopped))
    if tick.blockers:
        return Condition("Active", holds=False, reason="Blocked", message=_joined(tick.blockers))
    results = [*tick.writes.items(), *([("switch", tick.switched)] if tick.switched is not None else [])]
    failed = [f"{subject}: {result.message}" for subject, result in results if result.outcome in _FAILED]
    if failed:
        return Condition("Active", holds=False, reason="WriteFailed", message="; ".join(failed))
    return Condition("Active", holds=True, reason="Enforcing", message="decisions are carried out")


def _stopped(decision: Decision) -> list[str]:
    """What an operator holds: a number, whatever it is, or a shrink that was to be made."""
    return [
        f"{role}: {stage.detail}"
        for role, decided in decision.roles.items()
        for stage in decided.stages
        if stage.reason in _FIXED or (stage.reason is Reason.GROW_ONLY and stage.after != stage.before)
    ]


def _limited(tick: Tick) -> Condition:
    """Whether a guard keeps a pool from as many replicas as it wants, be it on the way to more."""
    if tick.decision is None:
        return _untold("Limited")
    short = [
        (role, decided)
        for role, decided in tick.decision.roles.items()
        if decided.uncapped > decided.desired and binding_stage(decided).stage in LIMITS
    ]
    if not short:
        return Condition(
            "Limited", holds=False, reason="WithinLimits", message="no limit keeps a pool from more replicas"
        )
    message = "; ".join(_shortfall(role, decided) for role, decided in short)
    return Condition("Limited", holds=True, reason=_camel(binding_stage(short[0][1]).reason.value), message=message)


def _shortfall(role: Role, decided: RoleDecision) -> str:
    gets = f"gets {decided.desired}" if decided.changed else f"stays at {decided.current}"
    return f"{role} {gets} replicas where {decided.uncapped} were proposed: {reason_text(decided)}"


def _conflicted(tick: Tick) -> Condition:
    """Whether somebody or something else stands against our writing."""
    if tick.decision is None:
        return _untold("Conflicted")
    against = [
        f"{role}: {written.message}" for role, written in tick.writes.items() if written.outcome in _OTHERS_WRITE
    ]
    if tick.blockers:
        return Condition("Conflicted", holds=True, reason="Blocked", message=_joined(tick.blockers))
    if against:
        return Condition("Conflicted", holds=True, reason="OthersWrite", message="; ".join(against))
    return Condition("Conflicted", holds=False, reason="NobodyElse", message="nobody else writes the replica counts")


def _switch_in_progress(tick: Tick) -> Condition:
    """Whether the stack's switch is being moved."""
    if tick.decision is None:
        return _untold("SwitchInProgress")
    decided = tick.decision.switch
    if decided is None:
        message = "the policy leaves the switch alone"
        return Condition("SwitchInProgress", holds=False, reason="NoSwitch", message=message)
    message = f"{decided.step.value.replace('_', ' ')}: {decided.detail}"
    if decided.step in AT_REST:
        return Condition("SwitchInProgress", holds=False, reason="AtRest", message=message)
    return Condition("SwitchInProgress", holds=True, reason=_camel(decided.step.value), message=message)


def _untold(name: str) -> Condition:
    """What nobody knows after a tick that came to no decision."""
    return Condition(name, holds=None, reason="Failed", message="the last tick failed")


def _joined(blockers: Mapping[Role, tuple[str, ...]]) -> str:
    return "; ".join(f"{role}: {reason}" for role, reasons in blockers.items() for reason in reasons)


def _camel(word: str) -> str:
    return "".join(part.capitalize() for part in word.replace("-", "_").split("_"))
