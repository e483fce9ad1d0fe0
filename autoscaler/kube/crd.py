"""The CustomResourceDefinition of a scaling policy, made from the policy's model.

    python -m autoscaler.kube.crd > deploy/crd/scalingpolicies.yaml

A structural schema can say less than the model. What it cannot say (units, queries, bounds that no pair of counts
meets) the daemon still refuses, in the condition Ready. Defaults are left out: they are those of the running version,
not those of the day on which an object was stored.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import yaml

from autoscaler.config.model import API_VERSION, KIND
from autoscaler.config.schema import json_schema
from autoscaler.kube.crd_status import COLUMNS, STATUS
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef

PLURAL = "scalingpolicies"
_GROUP, _, _VERSION = API_VERSION.rpartition("/")

_KEPT = frozenset(
    {"description", "type", "format", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems"}
    | {"enum", "required"}
)
_DROPPED = frozenset({"title", "default", "examples", "writeOnly", "propertyNames", "$schema", "$defs"})

_OTHER_TARGET = (
    "self.prefill.target.name != self.decode.target.name"
    " || has(self.prefill.target.spec) || has(self.decode.target.spec)"
    " || (has(self.prefill.target.apiVersion) && self.prefill.target.apiVersion != 'apps/v1')"
    " || (has(self.prefill.target.kind) ? self.prefill.target.kind : 'Deployment')"
    " != (has(self.decode.target.kind) ? self.decode.target.kind : 'Deployment')"
    " || (has(self.prefill.target.namespace) ? self.prefill.target.namespace : '')"
    " != (has(self.decode.target.namespace) ? self.decode.target.namespace : '')"
)
RULES: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "RoleSpec": (
            ("(has(self.min) ? self.min : 1) <= self.max", "min is more than max"),
            ("!has(self.fallbackReplicas) || self.fallbackReplicas <= self.max", "fallbackReplicas is more than max"),
            (
                "!has(self.fallbackReplicas) || self.fallbackReplicas >= (has(self.min) ? self.min : 1)",
                "fallbackReplicas is less than min",
            ),
        ),
        "Roles": (
            (
                "!has(self.decode.min) || self.decode.min >= 1",
                "decode.min of 0 leaves the service without a decode replica, and nothing would be served",
            ),
            (_OTHER_TARGET, "decode has the target of prefill, which has only one replica count"),
        ),
        "TargetRef": (
            ("!has(self.spec) || !(has(self.apiVersion) || has(self.kind))", "spec knows its own apiVersion and kind"),
        ),
        "RatioBand": (("!has(self.min) || self.min <= self.max", "min is more than max"),),
        "Spec": (
            ("has(self.stack) != has(self.stackFile)", "give one of stack, stackFile"),
            ("!(has(self.scrape) && has(self.prometheus))", "scrape does not go with prometheus"),
        ),
        "Prometheus": (
            (
                "[has(self.bearerToken), has(self.bearerTokenFile), has(self.basicAuth)].filter(x, x).size() <= 1",
                "give at most one of bearerToken, bearerTokenFile, basicAuth",
            ),
        ),
        "BasicAuth": (("has(self.password) != has(self.passwordFile)", "give one of password, passwordFile"),),
        "Tls": (("has(self.certFile) == has(self.keyFile)", "certFile and keyFile are of use together only"),),
    }
)
"""What must hold beyond types and ranges, per part of the model: in CEL, and what is wrong where it is false."""
_YAML_BOOLEANS = frozenset({"Disaggregation"})
"""Parts with the words on and off, which kubectl's YAML takes for booleans where nobody quotes them."""


def policy_ref(namespace: str, name: str = "") -> ObjectRef:
    """One scaling policy, or those of a namespace; of all namespaces where it is empty."""
    return ObjectRef(API_VERSION, KIND, PLURAL, namespace, name)


def definition() -> JsonObject:
    """The CustomResourceDefinition."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{_GROUP}"},
        "spec": {
            "group": _GROUP,
            "scope": "Namespaced",
            "names": {"kind": KIND, "listKind": f"{KIND}List", "plural": PLURAL, "singular": KIND.lower()},
            "versions": [
                {
                    "name": _VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": COLUMNS,
                    "schema": {"openAPIV3Schema": _root()},
                }
            ],
        },
    }


def render() -> str:
    """The same as the YAML that is committed."""
    head = f"# Generated from the policy model: python -m autoscaler.kube.crd > deploy/crd/{PLURAL}.yaml\n"
    return head + yaml.safe_dump(definition(), sort_keys=False, allow_unicode=True, width=120)


def _root() -> JsonObject:
    schema = json_schema()
    root = _structural(schema, schema["$defs"])
    own = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    return {**root, "properties": {**own, "spec": root["properties"]["spec"], "status": STATUS}, "required": ["spec"]}


def _structural(node: JsonObject, parts: Mapping[str, Any]) -> JsonObject:
    """A node of the JSON Schema as a node of a structural schema.

    Raises:
        ValueError: It says something that this function has not been taught.
    """
    if "$ref" in node:
        part = node["$ref"].rpartition("/")[2]
        beside = {key: value for key, value in node.items() if key != "$ref"}
        made = _structural({**parts[part], **beside}, parts)
        return {**(_with_booleans(made) if part in _YAML_BOOLEANS else made), **_validations(part)}
    result: JsonObject = {}
    for key, value in node.items():
        if key in _KEPT:
            result[key] = value
        elif key in _TRANSLATED:
            result |= _TRANSLATED[key](value, parts)
        elif key not in _DROPPED:
            raise ValueError(f"{key}: {value!r} has no counterpart in a structural schema yet")
    return result


def _with_booleans(made: JsonObject) -> JsonObject:
    """An enumeration of texts that takes true and false, too."""
    untyped = {key: value for key, value in made.items() if key != "type"}
    return {**untyped, "x-kubernetes-preserve-unknown-fields": True, "enum": [*made["enum"], True, False]}


def _properties(inner: Any, parts: Mapping[str, Any]) -> JsonObject:
    return {"properties": {name: _structural(node, parts) for name, node in inner.items()}}


def _items(inner: Any, parts: Mapping[str, Any]) -> JsonObject:
    return {"items": _structural(inner, parts)}


def _any_key(inner: Any, parts: Mapping[str, Any]) -> JsonObject:
    """Values of keys that are not listed; that there are none is what pruning sees to."""
    if inner is True:
        return {"x-kubernetes-preserve-unknown-fields": True}
    return {"additionalProperties": _structural(inner, parts)} if inner is not False else {}


def _matching_keys(patterns: Any, parts: Mapping[str, Any]) -> JsonObject:
    """Keys cannot be limited here, their values can."""
    (inner,) = patterns.values()
    return _any_key(inner, parts)


def _either(options: list[JsonObject], parts: Mapping[str, Any]) -> JsonObject:
    """A number or a text: a structural schema knows no such union but of whole numbers.

    Limits of numbers do not apply to texts, nor patterns to numbers, so both can stand side by side.
    """
    types = {option["type"] for option in options}
    limits = {key: value for option in options for key, value in _structural(option, parts).items() if key != "type"}
    if types == {"integer", "string"}:
        return {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}], **limits}
    if types == {"number", "string"}:
        return {"x-kubernetes-preserve-unknown-fields": True, **limits, "maxItems": 0, "maxProperties": 0}
    raise ValueError(f"a choice of {sorted(types)} has no counterpart in a structural schema yet")


_TRANSLATED: Mapping[str, Callable[[Any, Mapping[str, Any]], JsonObject]] = {
    "const": lambda value, _: {"enum": [value]},
    "exclusiveMinimum": lambda value, _: {"minimum": value, "exclusiveMinimum": True},
    "exclusiveMaximum": lambda value, _: {"maximum": value, "exclusiveMaximum": True},
    "properties": _properties,
    "items": _items,
    "additionalProperties": _any_key,
    "patternProperties": _matching_keys,
    "anyOf": _either,
}


def _validations(part: str) -> JsonObject:
    rules = [{"rule": rule, "message": message} for rule, message in RULES.get(part, ())]
    return {"x-kubernetes-validations": rules} if rules else {}


if __name__ == "__main__":
    sys.stdout.write(render())
