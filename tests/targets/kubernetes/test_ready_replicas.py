"""What a role's reading rests on: statuses, pods, rollouts under way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from autoscaler.targets.role import UnreadableError
from tests.support.crds import manifest
from tests.support.kube import Cluster
from tests.support.kube_api.manifests import deployment, pod
from tests.targets.kubernetes.cases import case, counts, with_objects
from tests.targets.kubernetes.conftest import Make
from tests.targets.kubernetes.objects import (
    DGD,
    LWS,
    OME_REPLICA,
    PAIR,
    RBG,
    RBGSA,
    SET,
    STORM,
    Object,
    create,
    custom,
    ready_pod,
)


def test_a_role_without_a_status_is_counted_by_its_ready_pods(kube_api: Cluster, target_of: Make) -> None:
    target = target_of(with_objects("stormservice", case("stormservice").objects[0]))
    kube_api.patch(
        "orchestration.aibrix.ai/v1alpha1", "stormservices", "chat", {"status": {"roleStatuses": []}}, "status"
    )
    labels = {"storm-service-name": "chat", "role-name": "prefill"}
    create(kube_api, ready_pod("a", labels))
    create(kube_api, ready_pod("b", labels))
    create(kube_api, ready_pod("c", {**labels, "role-name": "decode"}))

    assert target.read().state.ready == 2


def test_pods_that_make_one_replica_together_are_counted_as_one(kube_api: Cluster, target_of: Make) -> None:
    spec = {
        "updateStrategy": {"type": "InPlaceUpdate"},
        "template": {"spec": {"roles": [{"name": "prefill", "replicas": 2, "podGroupSize": 2}]}},
    }
    target = target_of(with_objects("stormservice", custom(STORM, "chat", spec)))
    for name in "abc":
        create(kube_api, ready_pod(name, {"storm-service-name": "chat", "role-name": "prefill"}, gpus=4))

    reading = target.read()

    assert (reading.state.ready, reading.gpus_per_replica) == (1, 8.0)


def test_a_group_of_pods_costs_its_size_although_only_leaders_are_selected(kube_api: Cluster, target_of: Make) -> None:
    status = counts(1, 1) | {"hpaPodSelector": "role=leader"}
    target = target_of(
        with_objects(
            "leaderworkerset", custom(LWS, "chat", {"replicas": 1, "leaderWorkerTemplate": {"size": 4}}, status)
        )
    )
    create(kube_api, ready_pod("leader", {"role": "leader"}, gpus=8))

    assert target.read().gpus_per_replica == 32.0


@pytest.mark.parametrize(("version", "field"), [("v1alpha2", "leaderWorkerPattern"), ("v1alpha1", "leaderWorkerSet")])
def test_a_role_of_several_pods_costs_them_all_in_each_version_of_its_group(
    kube_api: Cluster, target_of: Make, version: str, field: str
) -> None:
    target = target_of(replace(case("rbg"), kinds=(f"{RBG}:{version}", RBGSA), objects=()))
    role = {"name": "prefill", "replicas": 2, field: {"size": 4}}
    kube_api.create("rolebasedgroups", manifest(RBG, "chat", {"roles": [role]}, version=version))
    labels = {"rbg.workloads.x-k8s.io/group-name": "chat", "rbg.workloads.x-k8s.io/role-name": "prefill"}
    create(kube_api, ready_pod("a", labels, gpus=8))

    assert target.read().gpus_per_replica == 32.0


@pytest.mark.parametrize(
    ("runners", "gpus"),
    [
        ([{"name": "leader", "size": 1}, {"name": "worker", "size": 3}], 32.0),
        ([{"name": "default", "size": 1}], 8.0),
        ([], 8.0),
    ],
    ids=["a leader and its workers", "one pod", "made from references"],
)
def test_an_instance_of_ome_costs_all_its_pods_and_is_in_trouble_once(
    kube_api: Cluster, target_of: Make, runners: list[Any], gpus: float
) -> None:
    spec = {"component": "engine", "replicas": 2, "runners": runners}
    target = target_of(with_objects("ome-native", custom(OME_REPLICA, "chat-engine", spec, counts(2, 1))))
    labels = {"ome.io/inferenceservice": "chat", "component": "engine"}
    for runner in ("leader", "worker"):
        found = ready_pod(runner, {**labels, "ome.io/runner": runner}, gpus=8)
        unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
        create(kube_api, replace(found, status={"conditions": [unscheduled]}))

    reading = target.read()

    assert (reading.state.current, reading.state.ready, reading.state.unschedulable) == (2, 1, 1)
    assert reading.gpus_per_replica == gpus


def test_a_paused_component_of_ome_holds_its_count(target_of: Make) -> None:
    spec = {"component": "engine", "replicas": 3, "paused": True}

    assert (
        target_of(with_objects("ome-native", custom(OME_REPLICA, "chat-engine", spec, counts(3, 3))))
        .read()
        .state.updating
    )


def test_pods_without_accelerators_tell_nothing_of_the_cost(kube_api: Cluster, target_of: Make) -> None:
    target = target_of(case("deployment"))
    create(kube_api, ready_pod("a", {"app": "chat"}))

    assert target.read().gpus_per_replica is None


def test_without_status_or_pods_ready_is_unknown_and_not_zero(target_of: Make) -> None:
    target = target_of(replace(case("inferserviceset"), pods=""))

    with pytest.raises(UnreadableError, match="give a label selector of their pods"):
        target.read()


@pytest.mark.parametrize(("expressions", "seen"), [([], 1), ([{"key": "app", "operator": "Exists"}], 0)])
def test_a_selector_of_expressions_selects_nobodys_pods(
    kube_api: Cluster, target_of: Make, expressions: list[dict[str, str]], seen: int
) -> None:
    endpoint, *_ = case("hyperpod").objects
    selector = {"matchLabels": {"app": "prefill-chat"}, "matchExpressions": expressions}
    child = Object("deployments", deployment("prefill-chat", 3, selector=selector))
    target = target_of(with_objects("hyperpod", endpoint, child))
    stuck = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    create(kube_api, Object("pods", pod("prefill-chat-1", "prefill-chat"), {"conditions": [stuck]}))

    assert target.read().state.unschedulable == seen


def test_a_status_without_the_role_is_not_zero(kube_api: Cluster, target_of: Make) -> None:
    token = kube_api.service_account("reader", [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get"]}])
    other = custom(RBG, "chat", {"roles": PAIR}, {"roleStatuses": [{"name": "decode", **counts(2, 2)}]})

    with pytest.raises(UnreadableError, match="and the right to list pods"):
        target_of(with_objects("rbg", other), token=token).read()


def test_an_object_that_has_no_status_yet_has_nothing_ready(target_of: Make) -> None:
    assert target_of(with_objects("rbg", custom(RBG, "chat", {"roles": PAIR}))).read().state.ready == 0


def test_a_child_that_cannot_be_read_leaves_the_role_unread(kube_api: Cluster, target_of: Make) -> None:
    target = target_of(case("hyperpod"))
    kube_api.delete("apps/v1", "deployments", "prefill-chat")

    with pytest.raises(UnreadableError, match="is Deployment prefill-chat the right name"):
        target.read()


def test_pods_that_may_not_be_listed_are_said_once(kube_api: Cluster, target_of: Make) -> None:
    token = kube_api.service_account("reader", [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get"]}])
    target = target_of(case("rbg"), token=token)

    with capture_logs() as logs:
        readings = [target.read() for _ in range(2)]

    assert [reading.state.ready for reading in readings] == [2, 2]
    assert ["missing verb list on pods" in line["reason"] for line in logs] == [True]


UPDATING = {
    "LeaderWorkerSet": (
        "leaderworkerset",
        custom(
            LWS,
            "chat",
            {"replicas": 3},
            counts(3, 3) | {"conditions": [{"type": "UpdateInProgress", "status": "True"}]},
        ),
    ),
    "DisaggregatedSet, by its role's counts": (
        "disaggregatedset",
        custom(
            SET,
            "chat",
            {"roles": [{"name": "prefill", "spec": {"replicas": 3}}]},
            {"roleStatuses": [{"name": "prefill", "replicas": 3, "readyReplicas": 3, "updatedReplicas": 1}]},
        ),
    ),
    "DisaggregatedSet of which no replica is new yet, a count that it then leaves out": (
        "disaggregatedset",
        custom(
            SET,
            "chat",
            {"roles": [{"name": "prefill", "spec": {"replicas": 3}}]},
            {"roleStatuses": [{"name": "prefill", "replicas": 3, "readyReplicas": 3}]},
        ),
    ),
    "StormService, likewise": (
        "stormservice",
        custom(
            STORM,
            "chat",
            {"updateStrategy": {"type": "InPlaceUpdate"}, "template": {"spec": {"roles": PAIR}}},
            {"roleStatuses": [{"name": "prefill", "replicas": 3, "readyReplicas": 3}]},
        ),
    ),
    "Dynamo, by its phase": (
        "dynamo-dgd",
        custom(
            DGD,
            "chat",
            {"components": [{"name": "VllmPrefill", "replicas": 3}]},
            {"rollingUpdate": {"phase": "InProgress"}, "components": {"VllmPrefill": counts(3, 3)}},
        ),
    ),
    "a status older than the spec": (
        "rbg",
        custom(
            RBG,
            "chat",
            {"roles": PAIR},
            {"observedGeneration": 0, "roleStatuses": [{"name": "prefill", **counts(3, 3)}]},
        ),
    ),
}


@pytest.mark.parametrize(("spec", "found"), UPDATING.values(), ids=UPDATING)
def test_a_rollout_is_seen(target_of: Make, spec: str, found: Any) -> None:
    assert target_of(with_objects(spec, found)).read().state.updating


def test_a_status_that_has_never_counted_new_replicas_tells_of_no_rollout(target_of: Make) -> None:
    status = {"roleStatuses": [{"name": "prefill", "replicas": 3, "readyReplicas": 3}]}

    target = target_of(with_objects("rbg", custom(RBG, "chat", {"roles": PAIR}, status)))

    assert not target.read().state.updating


def test_a_condition_of_the_past_is_no_rollout(target_of: Make) -> None:
    status = counts(3, 3) | {"conditions": [{"type": "UpdateInProgress", "status": "False"}]}

    target = target_of(with_objects("leaderworkerset", custom(LWS, "chat", {"replicas": 3}, status)))

    assert not target.read().state.updating


def test_a_rollout_of_the_graph_holds_an_adapter_too(kube_api: Cluster, target_of: Make) -> None:
    target = target_of(case("dynamo-adapter"))
    status = {"status": {"rollingUpdate": {"phase": "Pending"}}}
    kube_api.patch("nvidia.com/v1beta1", "dynamographdeployments", "chat", status, "status")

    assert target.read().state.updating
