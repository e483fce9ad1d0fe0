"""The status of a policy object: conditions, the last decision, when a pool was last scaled. Made of records alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from autoscaler.core.decision import RoleDecision, SwitchDecision
from autoscaler.core.policy import Role
from autoscaler.core.signals import Scope, Signals
from autoscaler.daemon.conditions import Condition, conditions_of
from autoscaler.daemon.logs import blanked
from autoscaler.daemon.tick import Tick
from autoscaler.kube.times import time_text
from autoscaler.report.words import story_text
from autoscaler.targets.base import Outcome
from autoscaler.targets.kubernetes.refs import JsonObject
from autoscaler.targets.switch import SwitchReading

_LONGEST_MESSAGE = 2048
_UNCOUNTED = ("message", "lastDecisionTime")


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
    status: JsonObject = {"observedGeneration": generation, "lastDecisionTime": time_text(tick.at_s)}
    if scaled:
        status["lastScaleTime"] = time_text(tick.at_s)
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


def essence(status: Any) -> Any:
    """A status without what changes at every tick; two with the same essence say the same."""
    if isinstance(status, Mapping):
        return {key: essence(value) for key, value in status.items() if key not in _UNCOUNTED and value is not None}
    return [essence(item) for item in status] if isinstance(status, list) else status


def _summary(decided: RoleDecision | None) -> str:
    return f"{decided.current} -> {decided.desired}" if decided is not None else "?"


def _switch(decided: SwitchDecision | None, shown: SwitchReading | None) -> str | None:
    """Where the switch stands, or which step of a change is under way, with ? where it cannot be read now.

    None where the policy leaves it alone.
    """
    if decided is None:
        return None
    tokens = shown.threshold_tokens if shown is not None else None
    above = f", from {tokens:g} tokens" if tokens and math.isfinite(tokens) else ""
    doubt = "?" if shown is not None and shown.is_unread else ""
    return f"{decided.step.value.replace('_', ' ')}{doubt}{above}"


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
                "lastTransitionTime": since or time_text(at_s),
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
