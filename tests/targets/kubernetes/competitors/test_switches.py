"""Who else sets a switch, by the records and marks on its object."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.targets.kubernetes.competitors import Competition, find_switch_competitors
from autoscaler.targets.kubernetes.switches.build import SwitchPlace, switch_field, switch_objects
from autoscaler.targets.kubernetes.switches.load import load_switch
from tests.support.crds import definition_of
from tests.support.kube import Cluster
from tests.support.kube_api.manifests import deployment
from tests.targets.kubernetes.competitors.conftest import owned_by
from tests.targets.kubernetes.conftest import ClientOn
from tests.targets.kubernetes.objects import ENDPOINT, create, custom

TEXT = 'data["config.yaml"] of ConfigMap epp'


def picker(**metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "epp", **metadata},
        "data": {"config.yaml": "a"},
    }


def write_as(cluster: Cluster, manager: str, path: str, change: dict[str, Any]) -> None:
    address = f"{path}?fieldManager={manager}"
    code, answer = cluster.request("PATCH", address, change, content_type="application/merge-patch+json")
    assert code == 200, answer


def search(
    cluster: Cluster, client_on: ClientOn, spec: str = "llm-d-epp", name: str = "epp", token: str = ""
) -> Competition:
    place = SwitchPlace(cluster.namespace, name, "config.yaml", router="epp", allow_router_restart=True)
    path = switch_field(load_switch(spec), place)
    assert path is not None
    ref, *_ = switch_objects(load_switch(spec), place)
    return find_switch_competitors(client_on(cluster, token=token), ref, path)


@pytest.mark.parametrize(("manager", "tool"), [("argocd-controller", "Argo CD"), ("kustomize-controller", "Flux")])
def test_a_tool_that_keeps_the_text_as_it_is_in_git_is_a_competitor(
    kube_api: Cluster, client_on: ClientOn, manager: str, tool: str
) -> None:
    kube_api.create("configmaps", picker())
    write_as(kube_api, manager, kube_api.path("v1", "configmaps", "epp"), {"data": {"config.yaml": "b"}})

    (conflict,) = search(kube_api, client_on).conflicts

    assert (conflict.kind, conflict.what_it_writes) == (tool, f"{TEXT}, under the name {manager}")
    assert "leave the field out of Git" in conflict.how_to_proceed


def test_a_tool_that_writes_another_key_alone_is_none(kube_api: Cluster, client_on: ClientOn) -> None:
    kube_api.create("configmaps", picker())
    write_as(kube_api, "argocd-controller", kube_api.path("v1", "configmaps", "epp"), {"data": {"other": "b"}})

    assert search(kube_api, client_on).conflicts == ()


def test_helm_which_has_written_the_text_is_a_note(kube_api: Cluster, client_on: ClientOn) -> None:
    kube_api.create("configmaps", picker())
    write_as(kube_api, "helm", kube_api.path("v1", "configmaps", "epp"), {"data": {"config.yaml": "b"}})

    found = search(kube_api, client_on)

    assert found.conflicts == ()
    assert found.notes == (
        f"Helm has set {TEXT}: let the chart leave the field out, or each helm upgrade sets it anew",
    )


def test_a_tool_that_only_marks_the_object_is_a_note(kube_api: Cluster, client_on: ClientOn) -> None:
    kube_api.create("configmaps", picker(annotations={"argocd.argoproj.io/tracking-id": "app:ConfigMap:ns/epp"}))

    found = search(kube_api, client_on)

    assert found.conflicts == ()
    assert [note.startswith("Argo CD manages ConfigMap epp") for note in found.notes] == [True]


def test_a_field_of_an_object_is_looked_at_alike(kube_api: Cluster, client_on: ClientOn) -> None:
    kube_api.define(definition_of(ENDPOINT))
    create(kube_api, custom(ENDPOINT, "chat", {"pdSpec": {"routingThreshold": 4096}}))
    path = kube_api.path("inference.sagemaker.aws.amazon.com/v1", "inferenceendpointconfigs", "chat")
    write_as(kube_api, "helm-controller", path, {"spec": {"pdSpec": {"routingThreshold": 512}}})

    (conflict,) = search(kube_api, client_on, "hyperpod", "chat").conflicts

    assert conflict.kind == "Flux"
    assert conflict.what_it_writes.startswith("spec.pdSpec.routingThreshold of InferenceEndpointConfig chat")


def test_a_controller_that_owns_the_object_puts_it_back(kube_api: Cluster, client_on: ClientOn) -> None:
    kube_api.create("deployments", deployment("operator", 1))
    kube_api.create("configmaps", picker(ownerReferences=owned_by(kube_api, "apps/v1", "deployments", "operator")))

    (conflict,) = search(kube_api, client_on).conflicts

    assert (conflict.kind, conflict.name) == ("Deployment", "operator")
    assert conflict.what_it_writes == f"{TEXT}, which it owns and reconciles"


def test_what_may_not_be_read_is_unchecked(kube_api: Cluster, client_on: ClientOn) -> None:
    kube_api.create("configmaps", picker())
    token = kube_api.service_account("nobody", [])

    found = search(kube_api, client_on, token=token)

    assert found.conflicts == ()
    assert "missing verb get on configmaps" in found.unchecked[0]
