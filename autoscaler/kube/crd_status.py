"""What a scaling policy's status holds, and which columns `kubectl get` shows."""

from __future__ import annotations

from autoscaler.targets.kubernetes.refs import JsonObject


def _text(description: str) -> JsonObject:
    return {"type": "string", "description": description}


def _count(description: str) -> JsonObject:
    return {"type": "integer", "description": description}


_ROLE_STATUS: JsonObject = {
    "type": "object",
    "properties": {
        "current": _count("Replicas asked for when the decision was made."),
        "ready": _count("Replicas that served then."),
        "desired": _count("Replicas to have."),
        "uncapped": _count("Replicas that were proposed before any guard."),
        "reason": _text("Why it is this number, from a closed list."),
        "message": _text("The same in words, with the numbers."),
    },
}
_CONDITION: JsonObject = {
    "type": "object",
    "required": ["type", "status", "lastTransitionTime", "reason", "message"],
    "properties": {
        "type": _text("Ready, Effective, Active, Limited, Conflicted or SwitchInProgress."),
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "observedGeneration": {"type": "integer", "format": "int64"},
        "lastTransitionTime": {"type": "string", "format": "date-time"},
        "reason": {
            "type": "string",
            "maxLength": 1024,
            "minLength": 1,
            "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        },
        "message": {"type": "string", "maxLength": 32768},
    },
}
STATUS: JsonObject = {
    "type": "object",
    "description": "What the daemon makes of the policy; written by it alone.",
    "properties": {
        "observedGeneration": {"type": "integer", "format": "int64", "description": "Generation that it is about."},
        "mode": _text("How far a decision goes."),
        "summary": {
            "type": "object",
            "description": "What kubectl get shows.",
            "properties": {
                "prefill": _text("Present and desired replicas."),
                "decode": _text("Present and desired replicas."),
                "switch": _text(
                    "Where the disaggregation switch stands, or a step of a change; ? where it cannot be read."
                ),
                "slo": _text("Shares of requests inside their objectives."),
            },
        },
        "roles": {
            "type": "object",
            "description": "The last decision, by role.",
            "properties": {"prefill": _ROLE_STATUS, "decode": _ROLE_STATUS},
        },
        "lastDecisionTime": {"type": "string", "format": "date-time", "description": "When it was made."},
        "lastScaleTime": {"type": "string", "format": "date-time", "description": "When a pool was last scaled."},
        "conditions": {
            "type": "array",
            "items": _CONDITION,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    },
}
COLUMNS: list[JsonObject] = [
    {"name": "Mode", "type": "string", "jsonPath": ".status.mode"},
    {"name": "Prefill", "type": "string", "jsonPath": ".status.summary.prefill"},
    {"name": "Decode", "type": "string", "jsonPath": ".status.summary.decode"},
    {"name": "Switch", "type": "string", "jsonPath": ".status.summary.switch"},
    {"name": "SLO", "type": "string", "jsonPath": ".status.summary.slo"},
    {"name": "Effective", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Effective")].status'},
    {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].reason', "priority": 1},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
]
