"""Who wrote a field."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.targets.kubernetes.managers import last_writer, owners_of
from autoscaler.targets.kubernetes.paths import Path


def managed(*entries: tuple[str, str, dict[str, Any]]) -> dict[str, Any]:
    listed = [
        {"manager": manager, "operation": "Update", "time": at, "fieldsV1": fields} for manager, at, fields in entries
    ]
    return {"metadata": {"managedFields": listed}}


REPLICAS: dict[str, Any] = {"f:spec": {"f:replicas": {}, "f:template": {}}}
ENTRY: dict[str, Any] = {"f:spec": {"f:roles": {'k:{"name":"prefill"}': {".": {}, "f:name": {}, "f:replicas": {}}}}}
WHOLE_LIST: dict[str, Any] = {"f:spec": {"f:roles": {}}}


@pytest.mark.parametrize(
    ("fields", "path", "owned"),
    [
        (REPLICAS, "spec.replicas", True),
        (REPLICAS, "spec.template.spec", True),
        (REPLICAS, "spec.paused", False),
        (ENTRY, "spec.roles[name=prefill].replicas", True),
        (ENTRY, "spec.roles[name=decode].replicas", False),
        (WHOLE_LIST, "spec.roles[name=decode].replicas", True),
        ({}, "spec.replicas", False),
    ],
    ids=["a field", "below an owned field", "another field", "an entry", "another entry", "a list owned whole", "none"],
)
def test_a_manager_owns_what_it_wrote(fields: dict[str, Any], path: str, *, owned: bool) -> None:
    assert bool(owners_of(managed(("argocd", "2026-01-01T00:00:00Z", fields)), Path.parse(path))) is owned


def test_the_last_of_several_owners_is_the_writer() -> None:
    document = managed(
        ("helm", "2026-01-01T00:00:00Z", REPLICAS),
        ("kube-controller-manager", "2026-01-03T00:00:00Z", REPLICAS),
        ("kubectl-scale", "2026-01-02T00:00:00Z", REPLICAS),
    )

    assert last_writer(document, Path.parse("spec.replicas")) == "kube-controller-manager"


def test_an_object_without_a_record_has_no_writer() -> None:
    assert last_writer({"metadata": {}}, Path.parse("spec.replicas")) == ""
