"""Autoscalers that are objects of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from autoscaler.targets.kubernetes.competitors import Competition
from tests.support.crds import definition_of, manifest
from tests.support.kube import Cluster
from tests.support.kube_api.manifests import deployment, stateful_set
from tests.targets.kubernetes.cases import case
from tests.targets.kubernetes.competitors.conftest import Add, Search, hpa, owned_by
from tests.targets.kubernetes.objects import LWS, Case, set_up

KEDA = "ScaledObject.keda.sh"
AIBRIX = "PodAutoscaler.autoscaling.aibrix.ai"
KTHENA = "AutoscalingPolicyBinding.workload.serving.volcano.sh"
KTHENA_ROLE = "ModelServingRoleReplica.workload.serving.volcano.sh"
WVA = "VariantAutoscaling.llmd.ai"
INSTANCES = "RoleInstanceSet.workloads.x-k8s.io"
COORDINATED = "CoordinatedPolicy.workloads.x-k8s.io"


def kinds(found: Competition) -> list[str]:
    return [conflict.kind for conflict in found.conflicts]


def test_a_target_alone_has_no_competitor(around: Callable[[Case], Competition]) -> None:
    assert around(case("deployment")) == Competition()


def test_an_hpa_is_named_with_what_it_writes_and_how_to_proceed(kube_api: Cluster, search: Search) -> None:
    set_up(kube_api, case("deployment"))
    kube_api.create("horizontalpodautoscalers", hpa("theirs", "Deployment", "chat"))

    (conflict,) = search(case("deployment")).conflicts

    assert str(conflict) == (
        f"HorizontalPodAutoscaler {kube_api.namespace}/theirs writes the replica count of Deployment chat: "
        "delete it, or leave the role to it"
    )


@pytest.mark.parametrize(
    "other",
    [
        hpa("theirs", "Deployment", "other"),
        hpa("theirs", "StatefulSet", "chat"),
        hpa("theirs", "Deployment", "chat", api_version="other.example/v1"),
    ],
    ids=["another name", "another kind", "another group"],
)
def test_an_hpa_of_something_else_is_none_of_ours(kube_api: Cluster, search: Search, other: dict[str, Any]) -> None:
    set_up(kube_api, case("deployment"))
    kube_api.create("horizontalpodautoscalers", other)

    assert search(case("deployment")) == Competition()


def test_an_hpa_of_an_adapter_is_found(kube_api: Cluster, search: Search) -> None:
    set_up(kube_api, case("dynamo-adapter"))
    scaled = ("DynamoGraphDeploymentScalingAdapter", "chat-vllmprefill", "nvidia.com/v1alpha1")
    kube_api.create("horizontalpodautoscalers", hpa("theirs", *scaled))

    assert kinds(search(case("dynamo-adapter"))) == ["HorizontalPodAutoscaler"]


def test_an_hpa_of_a_child_is_found(kube_api: Cluster, search: Search) -> None:
    set_up(kube_api, case("odin"))
    child = deployment("chat-7f9c")
    child["metadata"]["ownerReferences"] = owned_by(kube_api, "odin.moreh.io/v1alpha1", "inferenceservices", "chat")
    kube_api.create("deployments", child)
    kube_api.create("horizontalpodautoscalers", hpa("theirs", "Deployment", "chat-7f9c"))

    (conflict,) = search(case("odin")).conflicts

    assert conflict.what_it_writes == "the replica count of Deployment chat-7f9c"


def test_an_hpa_of_a_grandchild_is_found(kube_api: Cluster, search: Search) -> None:
    set_up(kube_api, case("disaggregatedset"))
    kube_api.define(definition_of(LWS))
    owners = owned_by(kube_api, "disaggregatedset.x-k8s.io/v1", "disaggregatedsets", "chat")
    kube_api.create("leaderworkersets", manifest(LWS, "chat-0-abc-prefill", {"replicas": 3}, ownerReferences=owners))
    child = stateful_set("chat-0-abc-prefill")
    child["metadata"]["ownerReferences"] = owned_by(
        kube_api, "leaderworkerset.x-k8s.io/v1", "leaderworkersets", "chat-0-abc-prefill"
    )
    kube_api.create("statefulsets", child)
    kube_api.create("horizontalpodautoscalers", hpa("theirs", "StatefulSet", "chat-0-abc-prefill"))

    assert kinds(search(case("disaggregatedset"))) == ["HorizontalPodAutoscaler"]


def test_an_hpa_of_the_instance_set_that_a_role_becomes_by_default_is_found(
    kube_api: Cluster, search: Search, add: Add
) -> None:
    set_up(kube_api, case("rbg"))
    owners = owned_by(kube_api, "workloads.x-k8s.io/v1alpha2", "rolebasedgroups", "chat")
    add(INSTANCES, "chat-prefill", {"replicas": 3}, ownerReferences=owners)
    scaled = ("RoleInstanceSet", "chat-prefill", "workloads.x-k8s.io/v1alpha2")
    kube_api.create("horizontalpodautoscalers", hpa("theirs", *scaled))

    assert kinds(search(case("rbg"))) == ["HorizontalPodAutoscaler"]


def test_an_hpa_of_the_other_roles_child_is_none_of_ours(kube_api: Cluster, search: Search) -> None:
    set_up(kube_api, case("rbg"))
    child = deployment("chat-decode")
    child["metadata"]["ownerReferences"] = owned_by(kube_api, "workloads.x-k8s.io/v1alpha2", "rolebasedgroups", "chat")
    child["metadata"]["labels"] = {
        "rbg.workloads.x-k8s.io/group-name": "chat",
        "rbg.workloads.x-k8s.io/role-name": "decode",
    }
    kube_api.create("deployments", child)
    kube_api.create("horizontalpodautoscalers", hpa("theirs", "Deployment", "chat-decode"))

    assert search(case("rbg")) == Competition()


def test_the_workload_behind_an_endpoint_is_looked_at_without_an_owner_reference(
    kube_api: Cluster, search: Search
) -> None:
    set_up(kube_api, case("hyperpod"))
    kube_api.create("horizontalpodautoscalers", hpa("theirs", "Deployment", "prefill-chat"))

    assert kinds(search(case("hyperpod"))) == ["HorizontalPodAutoscaler"]


def test_a_scaled_object_stands_for_the_hpa_that_it_made(kube_api: Cluster, search: Search, add: Add) -> None:
    set_up(kube_api, case("deployment"))
    add(KEDA, "theirs", {"scaleTargetRef": {"name": "chat"}})
    owners = owned_by(kube_api, "keda.sh/v1alpha1", "scaledobjects", "theirs")
    kube_api.create("horizontalpodautoscalers", hpa("keda-hpa-theirs", "Deployment", "chat", ownerReferences=owners))

    assert kinds(search(case("deployment"))) == ["ScaledObject"]


def test_the_hpa_of_a_paused_scaled_object_competes_as_long_as_it_is_there(
    kube_api: Cluster, search: Search, add: Add
) -> None:
    set_up(kube_api, case("deployment"))
    add(KEDA, "theirs", {"scaleTargetRef": {"name": "chat"}}, annotations={"autoscaling.keda.sh/paused": "true"})
    owners = owned_by(kube_api, "keda.sh/v1alpha1", "scaledobjects", "theirs")
    kube_api.create("horizontalpodautoscalers", hpa("keda-hpa-theirs", "Deployment", "chat", ownerReferences=owners))

    assert kinds(search(case("deployment"))) == ["HorizontalPodAutoscaler"]


def test_an_hpa_of_the_other_role_is_none_of_an_adapters(kube_api: Cluster, search: Search) -> None:
    set_up(kube_api, case("rbg-adapter"))
    child = deployment("chat-decode")
    child["metadata"]["ownerReferences"] = owned_by(kube_api, "workloads.x-k8s.io/v1alpha2", "rolebasedgroups", "chat")
    child["metadata"]["labels"] = {"rbg.workloads.x-k8s.io/role-name": "decode"}
    kube_api.create("deployments", child)
    kube_api.create("horizontalpodautoscalers", hpa("theirs", "Deployment", "chat-decode"))

    assert search(case("rbg-adapter")) == Competition()


@pytest.mark.parametrize("annotation", ["paused", "paused-replicas"])
def test_a_paused_scaled_object_is_a_note(kube_api: Cluster, search: Search, add: Add, annotation: str) -> None:
    set_up(kube_api, case("deployment"))
    value = {"paused": "true", "paused-replicas": "3"}[annotation]
    add(KEDA, "theirs", {"scaleTargetRef": {"name": "chat"}}, annotations={f"autoscaling.keda.sh/{annotation}": value})

    found = search(case("deployment"))

    assert found.conflicts == ()
    (note,) = found.notes
    assert note.startswith("ScaledObject theirs is paused; resumed, it writes the replica count of Deployment chat")


@pytest.mark.parametrize("value", ["false", "False", "0", "f"])
def test_a_pause_that_keda_reads_as_no_is_none(kube_api: Cluster, search: Search, add: Add, value: str) -> None:
    set_up(kube_api, case("deployment"))
    add(KEDA, "theirs", {"scaleTargetRef": {"name": "chat"}}, annotations={"autoscaling.keda.sh/paused": value})

    assert [conflict.kind for conflict in search(case("deployment")).conflicts] == ["ScaledObject"]


def test_a_scaled_object_paused_in_one_direction_still_competes(kube_api: Cluster, search: Search, add: Add) -> None:
    set_up(kube_api, case("deployment"))
    annotations = {"autoscaling.keda.sh/paused-scale-in": "true"}
    add(KEDA, "theirs", {"scaleTargetRef": {"name": "chat"}}, annotations=annotations)

    assert kinds(search(case("deployment"))) == ["ScaledObject"]


def aibrix(role: str) -> dict[str, Any]:
    sub = {"subTargetSelector": {"roleName": role}} if role else {}
    reference = {"apiVersion": "orchestration.aibrix.ai/v1alpha1", "kind": "StormService", "name": "chat"}
    return {"scaleTargetRef": reference, **sub}


@pytest.mark.parametrize(("role", "competes"), [("prefill", True), ("", True), ("decode", False)])
def test_a_pod_autoscaler_competes_for_its_role_or_for_all(
    kube_api: Cluster, search: Search, add: Add, role: str, *, competes: bool
) -> None:
    set_up(kube_api, case("stormservice"))
    add(AIBRIX, "theirs", aibrix(role))

    assert kinds(search(case("stormservice"))) == (["PodAutoscaler"] if competes else [])


@pytest.mark.parametrize(
    "spec",
    [
        {"homogeneousTarget": {"target": {"targetRef": {"name": "chat"}}}},
        {"homogeneousTarget": {"target": {"targetRef": {"kind": "ModelServing/Role", "name": "chat/prefill"}}}},
        {"heterogeneousTarget": {"params": [{"target": {"targetRef": {"kind": "ModelServing", "name": "chat"}}}]}},
        {"pdDisaggregatedTarget": {"modelServingRef": {"name": "chat"}}},
    ],
    ids=["one kind", "one role", "several kinds", "prefill and decode"],
)
def test_a_kthena_policy_is_found_through_its_binding(
    kube_api: Cluster, search: Search, add: Add, spec: dict[str, Any]
) -> None:
    set_up(kube_api, case("modelserving"))
    add(KTHENA, "theirs", spec)

    assert kinds(search(case("modelserving"))) == ["AutoscalingPolicyBinding"]


def test_a_kthena_policy_of_the_other_role_is_none_of_ours(kube_api: Cluster, search: Search, add: Add) -> None:
    set_up(kube_api, case("modelserving"))
    add(
        KTHENA,
        "theirs",
        {"homogeneousTarget": {"target": {"targetRef": {"kind": "ModelServing/Role", "name": "chat/decode"}}}},
    )

    assert search(case("modelserving")) == Competition()


@pytest.mark.parametrize(("role", "competes"), [("prefill", True), ("decode", False)])
def test_what_holds_the_count_of_a_kthena_role_beside_the_serving_is_named_as_the_target_to_take(
    kube_api: Cluster, search: Search, add: Add, role: str, *, competes: bool
) -> None:
    set_up(kube_api, case("modelserving"))
    add(KTHENA_ROLE, "theirs", {"modelServingRef": {"name": "chat"}, "roleName": role, "replicas": 2})

    told = (
        f"ModelServingRoleReplica {kube_api.namespace}/theirs writes the replica count of a role of ModelServing chat, "
        "which it holds: name it as the target, or delete it"
    )
    assert [str(conflict) for conflict in search(case("modelserving")).conflicts] == ([told] if competes else [])


def test_a_variant_autoscaling_is_found(kube_api: Cluster, search: Search, add: Add) -> None:
    set_up(kube_api, case("deployment"))
    add(WVA, "theirs", {"scaleTargetRef": {"kind": "Deployment", "name": "chat"}, "modelID": "m"})

    (conflict,) = search(case("deployment")).conflicts

    assert conflict.kind == "VariantAutoscaling"
    assert "the metric by which an HPA or ScaledObject sets" in conflict.what_it_writes


def test_an_hpa_that_follows_the_variant_autoscaler_says_so(kube_api: Cluster, search: Search) -> None:
    set_up(kube_api, case("deployment"))
    annotated = hpa("theirs", "Deployment", "chat", annotations={"llmd.ai/model-id": "m"})
    kube_api.create("horizontalpodautoscalers", annotated)

    (conflict,) = search(case("deployment")).conflicts

    assert "Workload Variant Autoscaler" in conflict.how_to_proceed


@pytest.mark.parametrize(
    ("strategy", "competes"), [({"scaling": {"maxSkew": "10%"}}, True), ({"rollingUpdate": {"maxSkew": "1%"}}, False)]
)
def test_a_coordinated_policy_competes_when_it_shapes_scaling(
    kube_api: Cluster, search: Search, add: Add, strategy: dict[str, Any], *, competes: bool
) -> None:
    set_up(kube_api, case("rbg"))
    add(COORDINATED, "chat", {"policies": [{"name": "both", "roles": ["prefill", "decode"], "strategy": strategy}]})

    assert kinds(search(case("rbg"))) == (["CoordinatedPolicy"] if competes else [])


def test_a_forbidden_list_is_unchecked_and_not_none(kube_api: Cluster, search: Search, add: Add) -> None:
    set_up(kube_api, case("deployment"))
    add(KEDA, "theirs", {"scaleTargetRef": {"name": "chat"}})
    rules = [
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]},
        {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": ["list"]},
    ]

    found = search(case("deployment"), token=kube_api.service_account("narrow", rules))

    assert found.conflicts == ()
    assert any(
        line.startswith("cannot check for ScaledObject: ") and "missing verb list on scaledobjects" in line
        for line in found.unchecked
    )
    assert not any("HorizontalPodAutoscaler" in line for line in found.unchecked)


def test_a_target_that_cannot_be_read_is_unchecked(search: Search) -> None:
    found = search(case("deployment"))

    assert found.conflicts == ()
    assert "cannot look at the target" in found.unchecked[0]


def test_an_instruction_is_left_to_its_person(search: Search) -> None:
    found = search(Case("mindie-classic", (), (), (0, 0), "", None))

    assert found.unchecked == ("target mindie-classic is changed by a person: ask who else does",)
