"""Defaults and validation: a few rules of the built-in kinds, and the schemas of custom ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import jsonschema

from tests.support.kube_api.errors import bad_request, invalid
from tests.support.kube_api.paths import lookup
from tests.support.kube_api.resources import Address

JsonObject = dict[str, Any]
Causes = list[tuple[str, str]]

_MICRO_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)$")


def admit(address: Address, document: JsonObject) -> None:
    """Fill in defaults, drop fields that a custom schema does not know, and validate; in place.

    Raises:
        ApiError: 422 with every offending field, 400 where the object cannot even be decoded.
    """
    if address.resource.custom:
        causes = _admit_custom(address, document)
    else:
        default = _DEFAULTS.get(address.resource.kind)
        if default is not None:
            default(document)
        check = _CHECKS.get((address.resource.group, address.resource.kind))
        causes = check(document) if check is not None else []
    if causes:
        raise invalid(address.resource.qualified_kind, document["metadata"].get("name", ""), causes)


def _admit_custom(address: Address, document: JsonObject) -> Causes:
    schema = address.resource.schemas[address.version]
    _prune_and_default(schema, document, root=True)
    validator = jsonschema.Draft4Validator(_as_json_schema(schema))
    return [_cause(error) for error in sorted(validator.iter_errors(document), key=lambda e: list(map(str, e.path)))]


def _cause(error: jsonschema.ValidationError) -> tuple[str, str]:
    path = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "required":
        missing = error.message.split("'")[1]
        return f"{path}.{missing}".lstrip("."), "Required value"
    return path, f"Invalid value: {error.instance!r}: {path} in body {error.message}"


def _prune_and_default(schema: JsonObject, document: JsonObject, *, root: bool = False) -> None:
    properties = schema.get("properties")
    if properties is not None and not schema.get("x-kubernetes-preserve-unknown-fields"):
        kept = {"apiVersion", "kind", "metadata"} if root else set()
        for unknown in [key for key in document if key not in properties and key not in kept]:
            del document[unknown]
    for key, inner in (properties or {}).items():
        if key not in document and "default" in inner:
            document[key] = inner["default"]
        if isinstance(document.get(key), dict):
            _prune_and_default(inner, document[key])
        for entry in document[key] if isinstance(document.get(key), list) else []:
            if isinstance(entry, dict):
                _prune_and_default(inner.get("items", {}), entry)


def _as_json_schema(schema: Any) -> Any:
    """OpenAPI 3.0 says `nullable: true` where JSON Schema has a type `null`."""
    if isinstance(schema, list):
        return [_as_json_schema(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    converted = {key: _as_json_schema(value) for key, value in schema.items()}
    if converted.pop("nullable", False) is True and isinstance(converted.get("type"), str):
        converted["type"] = [converted["type"], "null"]
    return converted


def _default_workload(document: JsonObject) -> None:
    document.setdefault("spec", {}).setdefault("replicas", 1)


def _default_deployment(document: JsonObject) -> None:
    _default_workload(document)
    document["spec"].setdefault("strategy", {"type": "RollingUpdate"})


def _default_stateful_set(document: JsonObject) -> None:
    _default_workload(document)
    document["spec"].setdefault("updateStrategy", {"type": "RollingUpdate"})


def _default_pod(document: JsonObject) -> None:
    document.setdefault("status", {}).setdefault("phase", "Pending")


_DEFAULTS: dict[str, Callable[[JsonObject], None]] = {
    "Deployment": _default_deployment,
    "StatefulSet": _default_stateful_set,
    "ReplicaSet": _default_workload,
    "Pod": _default_pod,
}


def _check_workload(document: JsonObject) -> Causes:
    spec, causes = document["spec"], []
    replicas = spec["replicas"]
    if not isinstance(replicas, int):
        raise bad_request(f"json: cannot unmarshal {replicas!r} into Go struct field spec.replicas of type int32")
    if replicas < 0:
        causes.append(("spec.replicas", f"Invalid value: {replicas}: must be greater than or equal to 0"))
    selector = lookup(spec, "selector.matchLabels")
    labels = lookup(spec, "template.metadata.labels") or {}
    if not selector:
        causes.append(("spec.selector", "Required value"))
    elif not selector.items() <= labels.items():
        cause = f"Invalid value: {labels}: `selector` does not match template `labels`"
        causes.append(("spec.template.metadata.labels", cause))
    if not lookup(spec, "template.spec.containers"):
        causes.append(("spec.template.spec.containers", "Required value"))
    return causes


def _check_pod(document: JsonObject) -> Causes:
    return [] if lookup(document, "spec.containers") else [("spec.containers", "Required value")]


def _check_lease(document: JsonObject) -> Causes:
    spec = document.get("spec", {})
    for field in ("acquireTime", "renewTime"):
        _require_micro_time("Lease", spec.get(field))
    duration = spec.get("leaseDurationSeconds")
    if duration is not None and duration <= 0:
        return [("spec.leaseDurationSeconds", f"Invalid value: {duration}: must be greater than 0")]
    return []


def _check_event(document: JsonObject) -> Causes:
    _require_micro_time("Event", document.get("eventTime"))
    required = ("eventTime", "reportingController", "reportingInstance", "action", "reason", "type")
    causes = [(field, "Required value") for field in required if not document.get(field)]
    return causes + _check_event_namespace(document, "regarding")


def _check_core_event(document: JsonObject) -> Causes:
    return _check_event_namespace(document, "involvedObject")


def _check_event_namespace(document: JsonObject, about: str) -> Causes:
    named = lookup(document, f"{about}.namespace") or "default"
    if named == document["metadata"]["namespace"]:
        return []
    return [(f"{about}.namespace", f'Invalid value: "{named}": does not match event.namespace')]


def _require_micro_time(kind: str, value: Any) -> None:
    if value is not None and not _MICRO_TIME.match(value):
        layout = "2006-01-02T15:04:05.000000Z07:00"
        raise bad_request(f'{kind} cannot be handled as a {kind}: parsing time "{value}" as "{layout}": cannot parse')


_CHECKS: dict[tuple[str, str], Callable[[JsonObject], Causes]] = {
    ("apps", "Deployment"): _check_workload,
    ("apps", "StatefulSet"): _check_workload,
    ("apps", "ReplicaSet"): _check_workload,
    ("", "Pod"): _check_pod,
    ("", "Event"): _check_core_event,
    ("events.k8s.io", "Event"): _check_event,
    ("coordination.k8s.io", "Lease"): _check_lease,
}
