"""When a write is refused before anything is sent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autoscaler.core.policy import Role
from autoscaler.targets.base import Outcome
from tests.support.kube import Cluster, FakeCluster
from tests.targets.kubernetes.cases import case, with_objects
from tests.targets.kubernetes.conftest import Make
from tests.targets.kubernetes.objects import (
    CLIQUE,
    DGD,
    DGDSA,
    ENDPOINT,
    KSERVE,
    MODEL_SERVING,
    OME,
    PAIR,
    RBG,
    RBGSA,
    SET,
    STORM,
    create,
    custom,
    refusal,
)

DS_ROLE = {"name": "prefill", "spec": {"replicas": 3}}
STORM_ROLES = {"template": {"spec": {"roles": PAIR}}}
UNMET = {
    "StormService that would replace every pod": (
        "stormservice",
        custom(STORM, "chat", {**STORM_ROLES, "updateStrategy": {"type": "RollingUpdate"}}),
        "spec.updateStrategy.type is RollingUpdate: any other strategy",
    ),
    "StormService whose strategy is the default": (
        "stormservice",
        custom(STORM, "chat", STORM_ROLES),
        "spec.updateStrategy.type is unset: any other strategy",
    ),
    "StormService in replica mode": (
        "stormservice",
        custom(STORM, "chat", {**STORM_ROLES, "replicas": 2, "updateStrategy": {"type": "InPlaceUpdate"}}),
        "spec.replicas is 2: a role's count is per RoleSet",
    ),
    "StormService that says replica mode": (
        "stormservice",
        custom(STORM, "chat", {**STORM_ROLES, "replicas": 1, "mode": "Replica"}),
        "spec.mode is Replica: a new role count replaces every RoleSet",
    ),
    "DisaggregatedSet of several slices": (
        "disaggregatedset",
        custom(SET, "chat", {"slices": 2, "roles": [DS_ROLE]}),
        "spec.slices is 2: a role's count is per slice",
    ),
    "DisaggregatedSet whose role is scaled from outside": (
        "disaggregatedset",
        custom(SET, "chat", {"roles": [{**DS_ROLE, "scaling": {"mode": "External"}}]}),
        "use target disaggregatedset-scaler",
    ),
    "Dynamo component with a scaling adapter": (
        "dynamo-dgd",
        custom(DGD, "chat", {"components": [{"name": "VllmPrefill", "replicas": 3, "scalingAdapter": {}}]}),
        "scalingAdapter is set: the component has a scaling adapter",
    ),
    "RoleBasedGroup role with a scaling adapter": (
        "rbg",
        custom(RBG, "chat", {"roles": [{**PAIR[0], "scalingAdapter": {"enable": True}}]}),
        "use target rbg-adapter",
    ),
    "HyperPod that scales itself": (
        "hyperpod",
        custom(ENDPOINT, "chat", {"pdSpec": {"prefillSpec": {}, "autoScalingSpec": {"prefillAutoScaling": {}}}}),
        "remove it from autoScalingSpec first",
    ),
    "KServe that scales itself": (
        "kserve",
        custom(KSERVE, "chat", {"prefill": {"replicas": 3, "scaling": {"maxReplicas": 4}}}),
        "remove its scaling block first",
    ),
    "OME whose component another scales": (
        "ome-bounds",
        custom(OME, "chat", {"engine": {"minReplicas": 3, "maxReplicas": 3, "autoscaler": {"class": "External"}}}),
        "spec.engine.autoscaler.class is External: with an external autoscaler class the bounds are not carried out",
    ),
    "OME whose runtime leaves it to another": (
        "ome-bounds",
        custom(
            OME,
            "chat",
            {"engine": {"minReplicas": 3, "maxReplicas": 3}},
            {"components": {"engine": {"autoscaler": {"class": "External"}}}},
        ),
        "status.components.engine.autoscaler.class is External",
    ),
    "ModelServing of several groups": (
        "modelserving",
        custom(MODEL_SERVING, "chat", {"replicas": 2, "template": {"roles": PAIR}}),
        "spec.replicas is 2: a role's count is per serving group",
    ),
}


@pytest.mark.parametrize(("spec", "found", "words"), UNMET.values(), ids=UNMET)
def test_a_stack_that_would_not_bear_it_is_read_but_not_written(
    fake_kube_api: FakeCluster, target_of: Make, spec: str, found: Any, words: str
) -> None:
    rest = case(spec).objects[1:]
    target = target_of(with_objects(spec, found, *rest), cluster=fake_kube_api)

    reading = target.read()

    assert [words in blocker for blocker in reading.blockers] == [True]
    fake_kube_api.api.log.clear()
    result = target.write(4, basis=reading.basis, dry_run=False)
    assert (result.outcome, fake_kube_api.api.log.count()) == (Outcome.REFUSED, 0)
    assert words in result.message


@pytest.mark.parametrize("strategy", [{}, {"updateStrategy": {"type": "RollingUpdate"}}], ids=["unset", "default"])
def test_a_storm_service_in_pooled_mode_updates_in_place_whatever_its_strategy(
    target_of: Make, strategy: dict[str, Any]
) -> None:
    spec = {**STORM_ROLES, "mode": "Pooled", **strategy}
    target = target_of(with_objects("stormservice", custom(STORM, "chat", spec), *case("stormservice").objects[1:]))

    reading = target.read()

    assert reading.blockers == ()
    assert target.write(4, basis=reading.basis, dry_run=False).outcome is Outcome.APPLIED


def test_a_blocker_is_gone_once_it_is_mended(kube_api: Cluster, target_of: Make) -> None:
    target = target_of(with_objects("stormservice", custom(STORM, "chat", STORM_ROLES)))
    refusal(target)
    change = {"spec": {"updateStrategy": {"type": "InPlaceUpdate"}}}
    kube_api.patch("orchestration.aibrix.ai/v1alpha1", "stormservices", "chat", change)

    assert target.write(4, basis=target.read().basis, dry_run=False).outcome is Outcome.APPLIED


@pytest.mark.parametrize(
    ("spec", "adapter"),
    [
        ("dynamo-dgd", custom(DGDSA, "chat-vllmprefill", {"replicas": 3})),
        ("dynamo-dgd-v1alpha1", custom(DGDSA, "chat-vllmprefill", {"replicas": 3})),
        ("rbg", custom(RBGSA, "chat-prefill", {"replicas": 3})),
    ],
)
def test_beside_an_adapter_nothing_is_written(kube_api: Cluster, target_of: Make, spec: str, adapter: Any) -> None:
    target = target_of(case(spec))
    create(kube_api, adapter)

    assert f"{adapter.document['metadata']['name']} exists: " in refusal(target)


def test_an_adapter_of_another_role_blocks_nothing(kube_api: Cluster, target_of: Make) -> None:
    target = target_of(case("rbg"))
    create(kube_api, custom(RBGSA, "chat-decode", {"replicas": 3}))

    assert target.read().blockers == ()


def test_an_adapter_that_may_not_be_looked_for_blocks(kube_api: Cluster, target_of: Make) -> None:
    rules = [{"apiGroups": ["workloads.x-k8s.io"], "resources": ["rolebasedgroups"], "verbs": ["get", "patch"]}]
    target = target_of(case("rbg"), token=kube_api.service_account("narrow", rules))

    words = refusal(target)

    assert "cannot tell whether RoleBasedGroupScalingAdapter" in words
    assert "missing verb get on rolebasedgroupscalingadapters" in words


def test_an_adapter_that_is_not_bound_is_not_written(target_of: Make) -> None:
    group, _ = case("rbg-adapter").objects
    adapter = custom(RBGSA, "chat-prefill", {"replicas": 3}, {"phase": "NotBound"})

    assert "status.phase is NotBound" in refusal(target_of(with_objects("rbg-adapter", group, adapter)))


@pytest.mark.parametrize(
    ("spec", "role", "replicas", "words"),
    [
        ("hyperpod", Role.PREFILL, 0, "0 replicas are fewer than 1: the API takes no fewer"),
        ("hyperpod", Role.DECODE, 2, "2 replicas are more than 1: AWS has tested one decode deployment"),
        ("vllmruntime", Role.PREFILL, 0, "0 replicas are fewer than 1: the router has no fallback"),
        ("disaggregatedset", Role.PREFILL, 0, "Static roles are all zero or all not"),
    ],
)
def test_limits_of_a_stack_are_kept(target_of: Make, spec: str, role: Role, replicas: int, words: str) -> None:
    assert words in refusal(target_of(replace(case(spec), role=role)), replicas)


def test_more_than_a_stacks_limit_is_written_when_the_user_says_so(target_of: Make) -> None:
    target = target_of(replace(case("hyperpod"), role=Role.DECODE, max_replicas=2))

    assert target.write(2, basis=target.read().basis, dry_run=False).outcome is Outcome.APPLIED


def test_a_floor_that_the_object_carries_is_kept(target_of: Make) -> None:
    clique = custom(CLIQUE, "chat-0-prefill", {"replicas": 3, "minAvailable": 2})

    assert "1 replicas are fewer than 2: spec.minAvailable of the object says so" in refusal(
        target_of(with_objects("podclique", clique)), 1
    )
