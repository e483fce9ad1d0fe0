"""Owners above a target, autoscaling inside the objects of a chain, and tools that follow Git."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autoscaler.core.policy import Role
from autoscaler.targets.kubernetes.competitors import Competition
from tests.support.crds import definition_of, manifest, plural_of
from tests.support.kube import Cluster
from tests.support.kube_api.manifests import deployment
from tests.targets.kubernetes.cases import case
from tests.targets.kubernetes.competitors.conftest import Add, Search, owned_by
from tests.targets.kubernetes.objects import (
    CLIQUE,
    DGD,
    ENDPOINT,
    KSERVE,
    OME,
    OME_REPLICA,
    RUNTIME,
    Case,
    Object,
    custom,
    set_up,
)

CLIQUE_SET = "PodCliqueSet.grove.io"


def one(found: Competition) -> str:
    (conflict,) = found.conflicts
    return str(conflict)


def own(cluster: Cluster, kind: str, name: str, spec: dict[str, Any], **metadata: Any) -> list[dict[str, Any]]:
    """Create an owner and say what its children carry."""
    cluster.define(definition_of(kind))
    created = cluster.create(plural_of(kind), manifest(kind, name, spec, **metadata))
    return owned_by(cluster, created["apiVersion"], plural_of(kind), name)


def owned_deployment(cluster: Cluster, name: str, owners: list[dict[str, Any]]) -> Case:
    document = deployment(name, 3)
    document["metadata"]["ownerReferences"] = owners
    cluster.create("deployments", document)
    return Case("deployment", (), (), (3, 3), "", None, name=name)


def test_an_operator_that_owns_the_target_is_a_competitor_and_the_target_to_use(
    kube_api: Cluster, search: Search
) -> None:
    owners = own(kube_api, RUNTIME, "chat", {"deploymentConfig": {"replicas": 3}})
    child = owned_deployment(kube_api, "chat-deployment", owners)

    assert one(search(child)) == (
        f"VLLMRuntime {kube_api.namespace}/chat writes Deployment chat-deployment, which it owns and reconciles: "
        "a count set below it is put back; use target vllmruntime on VLLMRuntime chat"
    )


def test_an_owner_of_a_kind_that_nobody_knows_is_a_competitor(kube_api: Cluster, search: Search) -> None:
    owner = {"apiVersion": "ray.io/v1", "kind": "RayService", "name": "ray", "uid": "1", "controller": True}
    child = owned_deployment(kube_api, "chat", [owner])

    found = search(child)

    assert "scale RayService ray itself" in one(found)
    assert "cannot look above RayService" in found.unchecked[0]


def test_an_owner_that_does_not_control_is_none(kube_api: Cluster, search: Search) -> None:
    owners = own(kube_api, RUNTIME, "chat", {"deploymentConfig": {"replicas": 3}})
    child = owned_deployment(kube_api, "chat", [{**owners[0], "controller": False}])

    assert search(child) == Competition()


@pytest.mark.parametrize(
    ("role", "kept"), [(Role.PREFILL, False), (Role.DECODE, True)], ids=["replicas set", "replicas unset"]
)
def test_kserve_keeps_the_count_of_a_workload_whose_replicas_it_leaves_unset(
    kube_api: Cluster, search: Search, role: Role, *, kept: bool
) -> None:
    owners = own(kube_api, KSERVE, "chat", {"prefill": {"replicas": 3}})
    owned_deployment(kube_api, "chat-kserve-prefill", owners)
    owned_deployment(kube_api, "chat-kserve", owners)

    found = search(Case("kserve-workload", (), (), (3, 3), "", None, role=role))

    assert [conflict.how_to_proceed for conflict in found.conflicts] == (
        [] if kept else ["it sets replicas and so puts its own count back; use target kserve, or unset replicas there"]
    )


@pytest.mark.parametrize(("annotations", "kept"), [({"ome.io/autoscalerClass": "external"}, True), ({}, False)])
def test_ome_keeps_the_count_under_an_external_class(
    kube_api: Cluster, search: Search, annotations: dict[str, str], *, kept: bool
) -> None:
    owners = own(kube_api, OME, "chat", {"engine": {"minReplicas": 1}}, annotations=annotations)
    owned_deployment(kube_api, "chat-engine", owners)

    found = search(Case("ome", (), (), (3, 3), "", None))

    assert [conflict.kind for conflict in found.conflicts] == ([] if kept else ["InferenceService"])


@pytest.mark.parametrize(
    ("role", "said", "effective", "kept"),
    [
        (Role.PREFILL, "External", None, True),
        (Role.PREFILL, "External", "HPA", True),
        (Role.PREFILL, "None", "External", False),
        (Role.DECODE, None, "External", True),
        (Role.DECODE, None, "HPA", False),
        (Role.AGGREGATED, "External", None, True),
    ],
)
def test_ome_keeps_the_count_of_a_component_whose_own_class_is_external(
    kube_api: Cluster, search: Search, role: Role, said: str | None, effective: str | None, *, kept: bool
) -> None:
    component = "decoder" if role is Role.DECODE else "engine"
    owners = own(kube_api, OME, "chat", {component: {"autoscaler": {"class": said}} if said else {}})
    if effective:
        status = {"components": {component: {"autoscaler": {"class": effective}}}}
        kube_api.patch("ome.io/v1beta1", "inferenceservices", "chat", {"status": status}, "status")
    target = owned_deployment(kube_api, f"chat-{component}", owners)

    found = search(replace(target, role=role))

    assert [conflict.kind for conflict in found.conflicts] == ([] if kept else ["InferenceService"])
    assert kept or "give the component autoscaler.class: External" in one(found)


@pytest.mark.parametrize(("said", "kept"), [("External", True), ("None", False)])
def test_ome_keeps_the_count_of_an_inference_replica_likewise(
    kube_api: Cluster, search: Search, said: str, *, kept: bool
) -> None:
    owners = own(kube_api, OME, "chat", {"engine": {"autoscaler": {"class": said}}})
    kube_api.define(definition_of(OME_REPLICA))
    replica = manifest(OME_REPLICA, "chat-engine", {"component": "engine", "replicas": 3}, ownerReferences=owners)
    kube_api.create("inferencereplicas", replica)

    found = search(Case("ome-native", (), (), (3, 3), "", None))

    assert [conflict.kind for conflict in found.conflicts] == ([] if kept else ["InferenceService"])


def test_grove_keeps_the_counts_of_its_cliques_but_dynamo_above_it_does_not(kube_api: Cluster, search: Search) -> None:
    graph = own(kube_api, DGD, "graph", {"components": []})
    cliques = own(kube_api, CLIQUE_SET, "chat", {"replicas": 1}, ownerReferences=graph)
    kube_api.define(definition_of(CLIQUE))
    kube_api.create("podcliques", manifest(CLIQUE, "chat-0-prefill", {"replicas": 3}, ownerReferences=cliques))

    assert "use target dynamo-adapter or dynamo-dgd or dynamo-dgd-v1alpha1 on DynamoGraphDeployment graph" in one(
        search(case("podclique"))
    )


def test_grove_alone_keeps_the_counts_of_its_cliques(kube_api: Cluster, search: Search) -> None:
    cliques = own(kube_api, CLIQUE_SET, "chat", {"replicas": 1})
    kube_api.define(definition_of(CLIQUE))
    kube_api.create("podcliques", manifest(CLIQUE, "chat-0-prefill", {"replicas": 3}, ownerReferences=cliques))

    assert search(case("podclique")) == Competition()


@pytest.mark.parametrize(
    ("template", "competes"), [("prefill", True), ("decode", False)], ids=["ours", "another clique"]
)
def test_groves_own_autoscaling_of_a_clique_is_found(
    kube_api: Cluster, search: Search, template: str, *, competes: bool
) -> None:
    templates = [{"name": template, "spec": {"replicas": 1, "autoScalingConfig": {"maxReplicas": 4}}}]
    cliques = own(kube_api, CLIQUE_SET, "chat", {"replicas": 1, "template": {"cliques": templates}})
    kube_api.define(definition_of(CLIQUE))
    kube_api.create("podcliques", manifest(CLIQUE, "chat-0-prefill", {"replicas": 3}, ownerReferences=cliques))

    found = search(case("podclique"))

    assert [conflict.how_to_proceed for conflict in found.conflicts] == (
        ["remove autoScalingConfig from template prefill of it"] if competes else []
    )


BUILT_IN = {
    "HyperPod, prefill": (
        Case("hyperpod", (ENDPOINT,), (), (3, 2), "", None),
        custom(
            ENDPOINT,
            "chat",
            {"pdSpec": {"prefillSpec": {}, "autoScalingSpec": {"prefillAutoScaling": {"maxReplicaCount": 5}}}},
        ),
        "remove spec.pdSpec.autoScalingSpec.prefillAutoScaling from it",
    ),
    "HyperPod, decode": (
        Case("hyperpod", (ENDPOINT,), (), (3, 2), "", None, role=Role.DECODE),
        custom(ENDPOINT, "chat", {"pdSpec": {"autoScalingSpec": {"decodingAutoScaling": {"maxReplicaCount": 5}}}}),
        "remove spec.pdSpec.autoScalingSpec.decodingAutoScaling from it",
    ),
    "KServe, prefill": (
        Case("kserve", (KSERVE,), (), (3, 2), "", None),
        custom(KSERVE, "chat", {"prefill": {"scaling": {"maxReplicas": 4}}}),
        "remove spec.prefill.scaling from it",
    ),
    "KServe, decode": (
        Case("kserve", (KSERVE,), (), (3, 2), "", None, role=Role.DECODE),
        custom(KSERVE, "chat", {"scaling": {"maxReplicas": 4}}),
        "remove spec.scaling from it",
    ),
    "production-stack": (
        Case("vllmruntime", (RUNTIME,), (), (3, 2), "", None),
        custom(RUNTIME, "chat", {"deploymentConfig": {"replicas": 3}, "autoscalingConfig": {"enabled": True}}),
        "set spec.autoscalingConfig.enabled to false in it",
    ),
    "Dynamo planner, by type": (
        Case("dynamo-dgd", (DGD,), (), (3, 2), "", None, entry="VllmPrefill"),
        custom(DGD, "chat", {"components": [{"name": "scaler", "type": "planner"}]}),
        "remove component scaler, or let it run without acting",
    ),
    "Dynamo planner, by name": (
        Case("dynamo-dgd-v1alpha1", (f"{DGD}:v1alpha1",), (), (3, 2), "", None, entry="VllmPrefill"),
        custom(DGD, "chat", {"services": {"Planner": {"replicas": 1}}}, version="v1alpha1"),
        "remove component Planner, or let it run without acting",
    ),
}


@pytest.mark.parametrize(("scaled", "found", "remedy"), BUILT_IN.values(), ids=BUILT_IN)
def test_autoscaling_inside_an_object_is_found(
    kube_api: Cluster, search: Search, scaled: Case, found: Object, remedy: str
) -> None:
    set_up(kube_api, scaled)
    kube_api.create(found.plural, found.document)

    (conflict,) = search(scaled).conflicts

    assert (conflict.name, conflict.how_to_proceed) == ("chat", remedy)


def test_the_planner_is_found_from_an_adapter_too(kube_api: Cluster, search: Search) -> None:
    adapted = case("dynamo-adapter")
    set_up(kube_api, adapted)
    change = {"spec": {"components": [{"name": "VllmPrefill", "replicas": 3}, {"name": "Planner", "type": "planner"}]}}
    kube_api.patch("nvidia.com/v1beta1", "dynamographdeployments", "chat", change)

    assert "the Dynamo planner in component Planner" in one(search(adapted))


def write_as(cluster: Cluster, manager: str, replicas: int) -> None:
    path = f"{cluster.path('apps/v1', 'deployments', 'chat')}?fieldManager={manager}"
    code, answer = cluster.request(
        "PATCH", path, {"spec": {"replicas": replicas}}, content_type="application/merge-patch+json"
    )
    assert code == 200, answer


@pytest.mark.parametrize(
    ("manager", "tool"),
    [
        ("argocd-controller", "Argo CD"),
        ("argocd-application-controller", "Argo CD"),
        ("kustomize-controller", "Flux"),
        ("helm-controller", "Flux"),
        ("helm", "Helm"),
    ],
)
def test_a_tool_that_owns_the_count_is_a_competitor(kube_api: Cluster, search: Search, manager: str, tool: str) -> None:
    set_up(kube_api, case("deployment"))
    write_as(kube_api, manager, 4)

    (conflict,) = search(case("deployment")).conflicts

    assert (conflict.kind, conflict.name) == (tool, "chat")
    assert conflict.what_it_writes == f"spec.replicas of Deployment chat, under the name {manager}"


def test_a_person_who_owns_the_count_is_no_competitor(kube_api: Cluster, search: Search) -> None:
    set_up(kube_api, case("deployment"))
    write_as(kube_api, "kubectl-edit", 4)

    assert search(case("deployment")) == Competition()


@pytest.mark.parametrize(
    ("metadata", "tool"),
    [
        ({"annotations": {"argocd.argoproj.io/tracking-id": "app:apps/Deployment:ns/chat"}}, "Argo CD"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "models"}}, "Flux"),
        ({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, "Helm"),
    ],
)
def test_a_tool_that_manages_the_object_without_owning_the_count_is_a_note(
    kube_api: Cluster, search: Search, metadata: dict[str, Any], tool: str
) -> None:
    document = deployment("chat", 3)
    document["metadata"] |= metadata
    kube_api.create("deployments", document)

    found = search(case("deployment"))

    assert found.conflicts == ()
    assert [note.startswith(f"{tool} manages Deployment chat") for note in found.notes] == [True]


def test_a_label_that_says_managed_by_somebody_else_is_no_note(kube_api: Cluster, search: Search) -> None:
    document = deployment("chat", 3)
    document["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "a-person"}
    kube_api.create("deployments", document)

    assert search(case("deployment")) == Competition()


def test_a_forbidden_owner_is_unchecked_and_still_a_competitor(kube_api: Cluster, search: Search, add: Add) -> None:
    add(RUNTIME, "chat", {"deploymentConfig": {"replicas": 3}})
    owners = owned_by(kube_api, "production-stack.vllm.ai/v1alpha1", "vllmruntimes", "chat")
    child = owned_deployment(kube_api, "chat-deployment", owners)
    rules = [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}]

    found = search(child, token=kube_api.service_account("narrow", rules))

    assert [conflict.kind for conflict in found.conflicts] == ["VLLMRuntime"]
    assert "missing verb get on vllmruntimes" in found.unchecked[0]


@pytest.mark.parametrize("role", [Role.PREFILL, Role.DECODE])
def test_an_owner_that_may_keep_the_count_and_cannot_be_read_is_unchecked(
    kube_api: Cluster, search: Search, role: Role
) -> None:
    owners = own(kube_api, OME, "chat", {}, annotations={"ome.io/autoscalerClass": "external"})
    owned_deployment(kube_api, "chat-engine", owners)
    owned_deployment(kube_api, "chat-decoder", owners)
    rules = [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}]

    found = search(Case("ome", (), (), (3, 3), "", None, role=role), token=kube_api.service_account("narrow", rules))

    assert found.conflicts == ()
    assert found.unchecked[0].startswith("cannot look above InferenceService")
