"""Competitors that were found stay found while they cannot be looked at, and no longer."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.targets.kubernetes.competitors import Competition, Memory
from tests.support.crds import definition_of
from tests.support.kube import Cluster
from tests.support.kube_api.manifests import deployment
from tests.targets.kubernetes.cases import case
from tests.targets.kubernetes.competitors.conftest import Search, hpa, owned_by
from tests.targets.kubernetes.objects import set_up

READS_AND_LISTS = ["get", "list"]
HPAS = {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": READS_AND_LISTS}
DEPLOYMENTS = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": READS_AND_LISTS}
ODIN = {"apiGroups": ["odin.moreh.io"], "resources": ["inferenceservices"], "verbs": READS_AND_LISTS}


@pytest.fixture
def memory() -> Memory:
    return {}


def kinds(found: Competition) -> list[str]:
    return [conflict.kind for conflict in found.conflicts]


def may(cluster: Cluster, name: str, *rules: dict[str, Any]) -> str:
    return cluster.service_account(name, list(rules))


def test_a_known_hpa_counts_while_hpas_cannot_be_looked_at(kube_api: Cluster, search: Search, memory: Memory) -> None:
    set_up(kube_api, case("deployment"))
    kube_api.create("horizontalpodautoscalers", hpa("theirs", "Deployment", "chat"))
    search(case("deployment"), memory=memory)

    found = search(case("deployment"), token=may(kube_api, "narrow", DEPLOYMENTS), memory=memory)

    assert kinds(found) == ["HorizontalPodAutoscaler"]
    (said,) = [line for line in found.unchecked if line.startswith("horizontalpodautoscalers in ")]
    assert "counts as it was last seen" in said
    assert "missing verb list" in said


def test_a_known_hpa_counts_while_its_target_cannot_be_looked_at(
    kube_api: Cluster, search: Search, memory: Memory
) -> None:
    set_up(kube_api, case("deployment"))
    kube_api.create("horizontalpodautoscalers", hpa("theirs", "Deployment", "chat"))
    search(case("deployment"), memory=memory)

    found = search(case("deployment"), token=may(kube_api, "narrow", HPAS), memory=memory)

    assert kinds(found) == ["HorizontalPodAutoscaler"]


def test_a_known_hpa_counts_while_the_child_that_it_scales_cannot_be_looked_at(
    kube_api: Cluster, search: Search, memory: Memory
) -> None:
    set_up(kube_api, case("odin"))
    child = deployment("chat-7f9c")
    child["metadata"]["ownerReferences"] = owned_by(kube_api, "odin.moreh.io/v1alpha1", "inferenceservices", "chat")
    kube_api.create("deployments", child)
    kube_api.create("horizontalpodautoscalers", hpa("theirs", "Deployment", "chat-7f9c"))
    search(case("odin"), memory=memory)

    found = search(case("odin"), token=may(kube_api, "narrow", ODIN, HPAS), memory=memory)

    assert kinds(found) == ["HorizontalPodAutoscaler"]


def test_an_hpa_that_was_deleted_is_gone_where_others_could_never_be_looked_at(
    kube_api: Cluster, search: Search, memory: Memory
) -> None:
    set_up(kube_api, case("deployment"))
    kube_api.define(definition_of("ScaledObject.keda.sh"))
    kube_api.create("horizontalpodautoscalers", hpa("theirs", "Deployment", "chat"))
    token = may(kube_api, "narrow", DEPLOYMENTS, HPAS)
    assert kinds(search(case("deployment"), token=token, memory=memory)) == ["HorizontalPodAutoscaler"]
    kube_api.delete("autoscaling/v2", "horizontalpodautoscalers", "theirs")

    found = search(case("deployment"), token=token, memory=memory)

    assert found.conflicts == ()
    assert any("ScaledObject" in line for line in found.unchecked)


def test_only_what_concerns_the_target_is_remembered(kube_api: Cluster, search: Search, memory: Memory) -> None:
    set_up(kube_api, case("deployment"))
    for name, target in (("theirs", "chat"), ("another", "other")):
        kube_api.create("horizontalpodautoscalers", hpa(name, "Deployment", target))

    search(case("deployment"), memory=memory)

    _, remembered = memory["autoscaling", "HorizontalPodAutoscaler", kube_api.namespace, ""]
    assert [one["metadata"]["name"] for one in remembered] == ["theirs"]
