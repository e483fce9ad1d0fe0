from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from autoscaler.config.load import FileReport, parse
from autoscaler.config.model import ScalingPolicy
from autoscaler.config.problems import Problem

MINIMAL: dict[str, Any] = {
    "apiVersion": "pd-autoscaler.io/v1alpha1",
    "kind": "ScalingPolicy",
    "metadata": {"name": "llama-70b", "namespace": "serving"},
    "spec": {
        "stack": "vllm",
        "objectives": {"ttft": {"target": "2s"}, "tpot": {"target": "50ms"}},
        "roles": {
            "prefill": {"target": {"name": "vllm-prefill"}, "max": 8},
            "decode": {"target": {"name": "vllm-decode"}, "max": 8},
        },
        "prometheus": {"url": "http://prometheus.monitoring:9090"},
    },
}
REMOVED = object()


def changed(changes: dict[str, Any] | None = None, base: dict[str, Any] = MINIMAL) -> dict[str, Any]:
    """A document with values put at dotted paths; `REMOVED` takes a key away."""
    document = copy.deepcopy(base)
    for path, value in (changes or {}).items():
        *parents, last = path.split(".")
        place = document
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is REMOVED:
            del place[last]
        else:
            place[last] = value
    return document


def as_yaml(*documents: dict[str, Any]) -> str:
    return yaml.safe_dump_all(documents, sort_keys=False)


def report(text: str | bytes, name: str = "policy.yaml") -> FileReport:
    return parse(text if isinstance(text, bytes) else text.encode(), Path(name))


def policy(changes: dict[str, Any] | None = None) -> ScalingPolicy:
    found = report(as_yaml(changed(changes)))
    assert found.errors == ()
    return found.policies[0].policy


def errors(changes: dict[str, Any]) -> list[Problem]:
    return list(report(as_yaml(changed(changes))).errors)


def error(changes: dict[str, Any]) -> Problem:
    (found,) = errors(changes)
    return found


def warnings(changes: dict[str, Any]) -> list[Problem]:
    found = report(as_yaml(changed(changes)))
    assert found.errors == ()
    return list(found.policies[0].warnings)
