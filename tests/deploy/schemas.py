"""Strict checks of one object: built-in kinds by Kubernetes' own schemas, ours by our CRD, the operator's by shape."""

from __future__ import annotations

import json
import subprocess
import tempfile
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema
import kubernetes_validate
import yaml
from packaging.version import Version

from tests.deploy.rendering import DEPLOY, JsonObject

OLDEST = Version("1.28")
VERSIONS = sorted(
    {
        ".".join(folder.name.removeprefix("v").split(".")[:2])
        for folder in (files("kubernetes_validate") / "kubernetes-json-schema").iterdir()
        if Version(folder.name.removeprefix("v").partition("-")[0]) >= OLDEST
    },
    key=Version,
)

_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}


def _closed(required: list[str], **properties: Any) -> JsonObject:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


_METADATA = _closed(["name", "namespace"], name={"type": "string"}, namespace={"type": "string"}, labels=_TEXTS)
_ENDPOINT = _closed(
    ["port"],
    port={"type": "string"},
    path={"type": "string"},
    interval={"type": "string", "pattern": "^(0|(([0-9]+)(ms|s|m|h))+)$"},
    honorLabels={"type": "boolean"},
)
# What we use of the Prometheus Operator's kinds, v0.50 and later; the rules themselves are promtool's to judge.
_OPERATOR = {
    "ServiceMonitor": _closed(
        ["selector", "endpoints"],
        selector=_closed(["matchLabels"], matchLabels=_TEXTS),
        endpoints={"type": "array", "minItems": 1, "items": _ENDPOINT},
    ),
    "PrometheusRule": _closed(["groups"], groups={"type": "array", "minItems": 1}),
}


def complaints(document: JsonObject, version: str) -> list[str]:
    """What a Kubernetes of this version, with strict field validation, would have against an object."""
    try:
        if document["apiVersion"].startswith("monitoring.coreos.com/"):
            _check_operator(document)
        elif document["apiVersion"].startswith("pd-autoscaler.io/"):
            jsonschema.Draft4Validator(_policy_schema()).validate(document)
        else:
            kubernetes_validate.validate(document, version, strict=True)
    except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as error:
        path = ".".join(map(str, error.absolute_path))
        return [f"{document['kind']}/{document['metadata']['name']} {path}: {error.message}"]
    return []


def _check_operator(document: JsonObject) -> None:
    spec = _OPERATOR[document["kind"]]
    whole = _closed(["metadata", "spec"], apiVersion={"const": "monitoring.coreos.com/v1"}, kind={}, metadata=_METADATA)
    whole["properties"]["spec"] = spec
    jsonschema.Draft7Validator(whole).validate(document)
    if document["kind"] == "PrometheusRule":
        _check_rules(json.dumps(document["spec"]))


@cache
def _check_rules(text: str) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as rules:
        rules.write(text)
        rules.flush()
        done = subprocess.run(["promtool", "check", "rules", rules.name], capture_output=True, text=True, check=False)
    if done.returncode:
        raise jsonschema.ValidationError(done.stderr)


@cache
def _policy_schema() -> JsonObject:
    definition = yaml.safe_load((DEPLOY / "crd" / "scalingpolicies.yaml").read_text())
    (version,) = definition["spec"]["versions"]
    schema = _strict(version["schema"]["openAPIV3Schema"])
    schema["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {}}
    return dict(schema)


def _strict(schema: Any) -> Any:
    """The schema, refusing what an API server would prune."""
    if isinstance(schema, list):
        return [_strict(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _strict(value) for key, value in schema.items()}
    keeps = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" and not keeps:
        made["additionalProperties"] = False
    return made


def policy_definition() -> JsonObject:
    """Our CRD, as it is shipped."""
    return dict(yaml.safe_load((DEPLOY / "crd" / "scalingpolicies.yaml").read_text()))
