"""The `behavior` of an HPA as a policy takes it."""

from __future__ import annotations

from typing import Any

from autoscaler.targets.kubernetes.refs import JsonObject

_SHRINK_AS_AN_HPA = "shrinks after 300 s, up to 100 % per 15 s"
_DIRECTION_KEYS = ("stabilizationWindowSeconds", "selectPolicy", "tolerance", "policies")
_RULE_KEYS = ("type", "value", "periodSeconds")


def carried_behavior(behavior: JsonObject | None) -> tuple[JsonObject, tuple[str, ...]]:
    """What of a behavior goes into a policy, and remarks on what is different there.

    Args:
        behavior: `spec.behavior` of an HPA; None where it has none.
    """
    carried = {
        direction: known
        for direction in ("scaleUp", "scaleDown")
        if (known := _direction((behavior or {}).get(direction) or {}))
    }
    return carried, tuple(_remarks(carried))


def _direction(rules: JsonObject) -> JsonObject:
    found: dict[str, Any] = {key: rules[key] for key in _DIRECTION_KEYS if rules.get(key) not in (None, [])}
    if "policies" in found:
        found["policies"] = [{key: rule[key] for key in _RULE_KEYS if key in rule} for rule in found["policies"]]
    return found


def _remarks(carried: JsonObject) -> list[str]:
    up, down = carried.get("scaleUp", {}), carried.get("scaleDown", {})
    remarks = []
    if "stabilizationWindowSeconds" not in up:
        remarks.append("no scaleUp window is set: the default here is none, but 40 s for decode and after a shrink")
    if "policies" not in down:
        remarks.append(f"an HPA without scaleDown policies {_SHRINK_AS_AN_HPA}; the default here is 25 % per 60 s")
    if "stabilizationWindowSeconds" not in down:
        remarks.append("no scaleDown window is set: the default here is one startup time, ten minutes at least")
    return remarks
