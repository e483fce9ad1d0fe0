"""A search for competitors around one stack's objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from autoscaler.targets.kubernetes.competitors import Competition, Memory, find_competitors
from autoscaler.targets.kubernetes.specs.load import load_spec
from tests.support.crds import definition_of, manifest, plural_of
from tests.support.kube import Cluster, fake_kube_api, kube_api, real_kube_api
from tests.targets.kubernetes.conftest import ClientOn, client_on
from tests.targets.kubernetes.objects import Case, set_up

__all__ = ["client_on", "fake_kube_api", "kube_api", "real_kube_api"]

Search = Callable[..., Competition]
Add = Callable[..., None]


@pytest.fixture
def search(kube_api: Cluster, client_on: ClientOn) -> Search:
    """Looks for the competitors of a case, whose objects exist already."""

    def run(case: Case, *, token: str = "", memory: Memory | None = None) -> Competition:
        client = client_on(kube_api, token=token)
        return find_competitors(client, load_spec(case.spec), case.service(kube_api.namespace), case.role, memory)

    return run


@pytest.fixture
def around(kube_api: Cluster, search: Search) -> Callable[[Case], Competition]:
    """Creates a case's objects and looks for competitors."""

    def run(case: Case) -> Competition:
        set_up(kube_api, case)
        return search(case)

    return run


@pytest.fixture
def add(kube_api: Cluster) -> Add:
    """Serves a custom kind and creates an object of it."""

    def run(kind: str, name: str, spec: dict[str, Any], **metadata: Any) -> None:
        kube_api.define(definition_of(kind))
        kube_api.create(plural_of(kind), manifest(kind, name, spec, **metadata))

    return run


def hpa(name: str, kind: str, target: str, api_version: str = "apps/v1", **metadata: Any) -> dict[str, Any]:
    """A HorizontalPodAutoscaler."""
    reference = {"apiVersion": api_version, "kind": kind, "name": target}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, **metadata},
        "spec": {"scaleTargetRef": reference, "minReplicas": 1, "maxReplicas": 3},
    }


def owned_by(cluster: Cluster, api_version: str, plural: str, name: str) -> list[dict[str, Any]]:
    """The ownerReferences of what a controller has made."""
    owner = cluster.get(api_version, plural, name)
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name,
        "uid": owner["metadata"]["uid"],
    }
    return [{**reference, "controller": True}]
