"""The `behavior` of an HPA as a policy takes it."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError

from autoscaler.config.behavior import Tolerance
from autoscaler.targets.kubernetes.refs import JsonObject

_DIRECTION_KEYS = ("stabilizationWindowSeconds", "selectPolicy", "tolerance", "policies")
_RULE_KEYS = ("type", "value", "periodSeconds")


def carried_behavior(behavior: JsonObject | None) -> tuple[JsonObject, tuple[str, ...]]:
    """What of a behavior goes into a policy, and remarks on what is different there.

    Args:
        behavior: `spec.behavior` of an HPA; None where it has none.
    """
    carried: JsonObject = {}
    remarks: list[str] = []
    for direction in ("scaleUp", "scaleDown"):
        known = _direction((behavior or {}).get(direction) or {})
        if "tolerance" in known and not _is_tolerance(known["tolerance"]):
            remarks.append(
                f"{direction}.tolerance {known.pop('tolerance')}: a policy takes 0 to less than 100 %, as 10% or 50m"
            )
        if known:
            carried[direction] = known
    return carried, (*remarks, *_remarks(carried))


def _direction(rules: JsonObject) -> JsonObject:
    found: dict[str, Any] = {key: rules[key] for key in _DIRECTION_KEYS if rules.get(key) not in (None, [])}
    if "policies" in found:
        found["policies"] = [{key: rule[key] for key in _RULE_KEYS if key in rule} for rule in found["policies"]]
    return found


def _is_tolerance(value: object) -> bool:
    """Whether a policy takes it; a Kubernetes quantity may be anything."""
    try:
        TypeAdapter(Tolerance).validate_python(value)
    except ValidationError:
        return False
    return True


def _remarks(carried: JsonObject) -> list[str]:
    """What an HPA does where its behavior says nothing, and we do otherwise; in a direction that is not disabled."""
    up, down = carried.get("scaleUp", {}), carried.get("scaleDown", {})
    remarks = []
    if up.get("selectPolicy") != "Disabled" and "stabilizationWindowSeconds" not in up:
        remarks.append("no scaleUp window is set: the default here is none, but 40 s for decode and after a shrink")
    if down.get("selectPolicy") == "Disabled":
        return remarks
    if "policies" not in down:
        remarks.append(
            "no scaleDown policies are set: an HPA then shrinks by up to 100 % per 15 s; the default here is 25 % per "
            "60 s"
        )
    if "stabilizationWindowSeconds" not in down:
        remarks.append(
            "no scaleDown window is set: an HPA's is 300 s; the default here is one startup time, ten minutes at least"
        )
    return remarks
