"""The status of a policy object: conditions, the last decision, when a pool was last scaled. Made of records alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from autoscaler.core.decision import Decision, Reason, RoleDecision, SwitchDecision, SwitchStep
from autoscaler.core.policy import Mode, Role
from autoscaler.core.signals import Scope, Signals
from autoscaler.daemon.logs import blanked
from autoscaler.daemon.notices import LIMITS
from autoscaler.daemon.tick import Dependency, Tick
from autoscaler.report.words import binding_stage, reason_text, story_text
from autoscaler.targets.base import Outcome
from autoscaler.targets.kubernetes.refs import JsonObject
from autoscaler.targets.switch import SwitchReading

CONDITIONS = ("Effective", "Active", "Limited", "Conflicted", "SwitchInProgress")
"""Conditions that each tick settles."""

_LONGEST_MESSAGE = 2048
_FIXED = frozenset({Reason.PAUSED, Reason.PINNED})
_AT_REST = frozenset({SwitchStep.ON, SwitchStep.OFF})
_OTHERS_WRITE = frozenset({Outcome.CONFLICT, Outcome.FROZEN})
_FAILED = frozenset({Outcome.FORBIDDEN, Outcome.MISSING, Outcome.REJECTED, Outcome.REFUSED, Outcome.UNAVAILABLE})
_UNCOUNTED = ("message", "lastDecisionTime")


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


def status_of(tick: Tick, ready: Condition, generation: int, before: JsonObject) -> JsonObject:
    """The status after a tick.

    Args:
        tick: Its record.
        ready: Whether the object as it is now is what runs.
        generation: Of the object.
        before: The status until now.
    """
    decision = tick.decision
    conditions = [ready, *conditions_of(tick)]
    scaled = any(written.outcome is Outcome.APPLIED for written in tick.writes.values())
    status: JsonObject = {"observedGeneration": generation, "lastDecisionTime": _time(tick.at_s)}
    if scaled:
        status["lastScaleTime"] = _time(tick.at_s)
    if decision is not None:
        status["mode"] = decision.mode.value
        pools = {role.value: _summary(decision.roles.get(role)) for role in (Role.PREFILL, Role.DECODE)}
        status["summary"] = {**pools, "switch": _switch(decision.switch, tick.switch), "slo": _kept(decision.signals)}
        status["roles"] = {role.value: _role(decision.roles.get(role)) for role in (Role.PREFILL, Role.DECODE)}
    return {**status, "conditions": _dated(conditions, generation, tick.at_s, before)}


def refused_status(ready: Condition, generation: int, at_s: float, before: JsonObject) -> JsonObject:
    """The status of an object that does not run as it is; what its last good version does stays to be seen."""
    others = [_undated(found) for found in before.get("conditions", []) if found["type"] != ready.type]
    return {"observedGeneration": generation, "conditions": _dated([ready, *others], generation, at_s, before)}


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


def essence(status: Any) -> Any:
    """A status without what changes at every tick; two with the same essence say the same."""
    if isinstance(status, Mapping):
        return {key: essence(value) for key, value in status.items() if key not in _UNCOUNTED and value is not None}
    return [essence(item) for item in status] if isinstance(status, list) else status


def conditions_of(tick: Tick) -> list[Condition]:
    """What a tick says about the policy, in the order of `CONDITIONS`."""
    return [_effective(tick), _active(tick), _limited(tick), _conflicted(tick), _switch_in_progress(tick)]


def _effective(tick: Tick) -> Condition:
    """Whether signals and replica counts are there to decide on: green means that, and not only that nothing failed."""
    missing = [
        f"{trouble.subject}: {trouble.message}"
        for trouble in tick.troubles
        if trouble.dependency in (Dependency.SIGNALS, Dependency.REPLICAS, Dependency.INTERNAL)
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
    if decided.step in _AT_REST:
        return Condition("SwitchInProgress", holds=False, reason="AtRest", message=message)
    return Condition("SwitchInProgress", holds=True, reason=_camel(decided.step.value), message=message)


def _untold(name: str) -> Condition:
    """What nobody knows after a tick that came to no decision."""
    return Condition(name, holds=None, reason="Failed", message="the last tick failed")


def _joined(blockers: Mapping[Role, tuple[str, ...]]) -> str:
    return "; ".join(f"{role}: {reason}" for role, reasons in blockers.items() for reason in reasons)


def _summary(decided: RoleDecision | None) -> str:
    return f"{decided.current} -> {decided.desired}" if decided is not None else "?"


def _switch(decided: SwitchDecision | None, shown: SwitchReading | None) -> str | None:
    """Where the switch stands, or which step of a change is under way; None where the policy leaves it alone."""
    if decided is None:
        return None
    tokens = shown.threshold_tokens if shown is not None else None
    above = f", from {tokens:g} tokens" if tokens and math.isfinite(tokens) else ""
    return f"{decided.step.value.replace('_', ' ')}{above}"


def _kept(signals: Signals) -> str | None:
    """Shares of requests inside their objectives; None while nothing measures them."""
    service = signals.get(Scope.SERVICE, {})
    found = {name: service.get(f"{name}_attainment_ratio") for name in ("ttft", "tpot")}
    known = {name: signal.usable for name, signal in found.items() if signal is not None}
    return ", ".join(f"{name} {ratio:.1%}" for name, ratio in known.items() if ratio is not None) or None


def _role(decided: RoleDecision | None) -> JsonObject | None:
    if decided is None:
        return None
    return {
        "current": decided.current,
        "ready": decided.ready,
        "desired": decided.desired,
        "uncapped": decided.uncapped,
        "reason": decided.reason.value,
        "message": _safe(story_text(decided)),
    }


def _dated(conditions: Iterable[Condition], generation: int, at_s: float, before: JsonObject) -> list[JsonObject]:
    """Conditions as the API has them: one keeps its date while its status stays the same."""
    known = {found["type"]: found for found in before.get("conditions", [])}
    dated = []
    for condition in conditions:
        status = {True: "True", False: "False", None: "Unknown"}[condition.holds]
        old = known.get(condition.type, {})
        since = old.get("lastTransitionTime") if old.get("status") == status else None
        dated.append(
            {
                "type": condition.type,
                "status": status,
                "reason": condition.reason,
                "message": _safe(condition.message),
                "lastTransitionTime": since or _time(at_s),
                "observedGeneration": generation,
            }
        )
    return dated


def _undated(found: JsonObject) -> Condition:
    holds = {"True": True, "False": False}.get(found["status"])
    return Condition(found["type"], holds, found["reason"], found["message"])


def _safe(message: str) -> str:
    text = blanked(message)
    return text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 1] + "…"


def _camel(word: str) -> str:
    return "".join(part.capitalize() for part in word.replace("-", "_").split("_"))


def _time(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
