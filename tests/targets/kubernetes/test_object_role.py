"""What a role's reading rests on, and when a write is refused before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from autoscaler.core.policy import Role
from autoscaler.targets.base import Outcome
from autoscaler.targets.kubernetes.build import role_target
from autoscaler.targets.kubernetes.counts import FieldCount
from autoscaler.targets.kubernetes.paths import Path
from autoscaler.targets.kubernetes.refs import ObjectRef
from autoscaler.targets.kubernetes.specs.load import load_spec
from autoscaler.targets.role import RoleTarget, UnreadableError
from tests.support.crds import definition_of
from tests.support.kube import Cluster, FakeCluster
from tests.support.kube_api import Fault
from tests.support.kube_api.manifests import deployment, pod
from tests.targets.kubernetes.cases import (
    CLIQUE,
    DGD,
    DGDSA,
    ENDPOINT,
    KSERVE,
    LWS,
    MODEL_SERVING,
    OME,
    RBG,
    RBGSA,
    SET,
    STORM,
    Case,
    Object,
    case,
    counts,
    create,
    custom,
    ready_pod,
    set_up,
)
from tests.targets.kubernetes.conftest import ClientOn

Make = Callable[..., RoleTarget]


@pytest.fixture
def target_of(kube_api: Cluster, client_on: ClientOn) -> Make:
    """Creates a case's objects and makes its target."""

    def make(case: Case, *, cluster: Cluster = kube_api, token: str = "") -> RoleTarget:
        set_up(cluster, case)
        client = client_on(cluster, token=token)
        return role_target(client, load_spec(case.spec), case.service(cluster.namespace), case.role)

    return make


def with_objects(spec: str, *objects: Any) -> Case:
    """A case of a spec with other objects."""
    return replace(case(spec), objects=objects)


def refusal(target: RoleTarget, replicas: int = 4) -> str:
    result = target.write(replicas, basis=target.read().basis, dry_run=False)
    assert result.outcome is Outcome.REFUSED
    return result.message


ROLES = [{"name": "prefill", "replicas": 3}, {"name": "decode", "replicas": 2}]


# fields that are not there


def test_an_absent_count_is_its_default(target_of: Make) -> None:
    target = target_of(with_objects("rbg", custom(RBG, "chat", {"roles": [{"name": "prefill"}]})))

    assert target.read().state.current == 1


def test_an_absent_count_in_a_list_is_added_without_a_test_of_the_old_one(
    fake_kube_api: FakeCluster, target_of: Make
) -> None:
    absent = with_objects("rbg", custom(RBG, "chat", {"roles": [{"name": "prefill"}]}))
    target = target_of(absent, cluster=fake_kube_api)

    result = target.write(4, basis=target.read().basis, dry_run=False)

    assert (result.outcome, target.read().state.current) == (Outcome.APPLIED, 4)
    assert "unset to 4 replicas" in result.message
    *tests, write = json.loads(fake_kube_api.api.log.all("patch")[-1].body)
    assert [step["path"] for step in tests] == ["/metadata/uid", "/spec/roles/0/name"]
    assert write == {"op": "add", "path": "/spec/roles/0/replicas", "value": 4}


def test_an_absent_scalar_is_set_by_a_merge_patch(target_of: Make) -> None:
    endpoint = custom(ENDPOINT, "chat", {"pdSpec": {"prefillSpec": {}}})
    target = target_of(replace(case("hyperpod"), objects=(endpoint, *case("hyperpod").objects[1:])))

    reading = target.read()
    result = target.write(4, basis=reading.basis, dry_run=False)

    assert (reading.state.current, result.outcome, target.read().state.current) == (1, Outcome.APPLIED, 4)


def test_a_count_that_a_stack_leaves_to_the_workload_below_is_nobodys(target_of: Make) -> None:
    target = target_of(with_objects("kserve", custom(KSERVE, "chat", {"prefill": {}, "replicas": 2})))

    with pytest.raises(UnreadableError, match=r"leaves spec\.prefill\.replicas unset: .*use target kserve-workload"):
        target.read()


def test_a_block_that_is_missing_is_never_made(target_of: Make) -> None:
    target = target_of(with_objects("kserve", custom(KSERVE, "chat", {"replicas": 2})))

    with pytest.raises(UnreadableError, match=r"LLMInferenceService .*/chat has no spec\.prefill$"):
        target.read()


def test_a_role_that_the_object_does_not_have_is_told_with_those_it_has(target_of: Make) -> None:
    named = replace(case("rbg"), entry="prefiller")

    with pytest.raises(UnreadableError, match=r"has no entry of name 'prefiller' .* there are router, prefill, decode"):
        target_of(named).read()


def test_bounds_that_differ_are_no_count(target_of: Make) -> None:
    bounds = custom(OME, "chat", {"engine": {"minReplicas": 1, "maxReplicas": 4}})
    target = target_of(with_objects("ome-bounds", bounds))

    with pytest.raises(UnreadableError, match=r"minReplicas 1 and spec\.engine\.maxReplicas 4 differ"):
        target.read()


def test_a_count_that_is_no_number_is_no_count() -> None:
    ref = ObjectRef("a.b/v1", "Thing", "things", "ns", "chat")
    document = {"metadata": {"uid": "1", "resourceVersion": "2"}, "spec": {"replicas": "3"}}

    with pytest.raises(UnreadableError, match=r"spec\.replicas is '3', which is no count"):
        FieldCount((Path.parse("spec.replicas"),), None, "").read(ref, document)


# the object changes


def test_roles_that_somebody_reordered_are_a_conflict(kube_api: Cluster, target_of: Make) -> None:
    target = target_of(with_objects("rbg", custom(RBG, "chat", {"roles": ROLES})))
    basis = target.read().basis
    change = {"spec": {"roles": list(reversed(ROLES))}}
    kube_api.patch("workloads.x-k8s.io/v1alpha2", "rolebasedgroups", "chat", change)

    result = target.write(4, basis=basis, dry_run=False)

    assert (result.outcome, target.read().state.current) == (Outcome.CONFLICT, 3)
    assert "another place of its list" in result.message


def test_a_role_that_somebody_removed_is_a_conflict(kube_api: Cluster, target_of: Make) -> None:
    target = target_of(with_objects("rbg", custom(RBG, "chat", {"roles": ROLES})))
    basis = target.read().basis
    kube_api.patch("workloads.x-k8s.io/v1alpha2", "rolebasedgroups", "chat", {"spec": {"roles": ROLES[1:]}})

    result = target.write(4, basis=basis, dry_run=False)

    assert result.outcome is Outcome.CONFLICT
    assert "has no entry of name 'prefill'" in result.message


def test_a_write_to_one_role_leaves_the_rest_of_the_object_alone(kube_api: Cluster, target_of: Make) -> None:
    target = target_of(with_objects("rbg", custom(RBG, "chat", {"roles": ROLES})))

    target.write(4, basis=target.read().basis, dry_run=False)

    spec = kube_api.get("workloads.x-k8s.io/v1alpha2", "rolebasedgroups", "chat")["spec"]
    assert spec == {"roles": [{"name": "prefill", "replicas": 4}, {"name": "decode", "replicas": 2}]}


def test_a_status_update_in_between_is_no_conflict_for_an_entry(kube_api: Cluster, target_of: Make) -> None:
    target = target_of(case("rbg"))
    basis = target.read().basis
    kube_api.patch("workloads.x-k8s.io/v1alpha2", "rolebasedgroups", "chat", {"status": {"x": 1}}, "status")

    assert target.write(4, basis=basis, dry_run=False).outcome is Outcome.APPLIED


# ready replicas


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
    other = custom(RBG, "chat", {"roles": ROLES}, {"roleStatuses": [{"name": "decode", **counts(2, 2)}]})

    with pytest.raises(UnreadableError, match="and the right to list pods"):
        target_of(with_objects("rbg", other), token=token).read()


def test_an_object_that_has_no_status_yet_has_nothing_ready(target_of: Make) -> None:
    assert target_of(with_objects("rbg", custom(RBG, "chat", {"roles": ROLES}))).read().state.ready == 0


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


# rollouts

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
            {"roles": ROLES},
            {"observedGeneration": 0, "roleStatuses": [{"name": "prefill", **counts(3, 3)}]},
        ),
    ),
}


@pytest.mark.parametrize(("spec", "found"), UPDATING.values(), ids=UPDATING)
def test_a_rollout_is_seen(target_of: Make, spec: str, found: Any) -> None:
    assert target_of(with_objects(spec, found)).read().state.updating


def test_a_condition_of_the_past_is_no_rollout(target_of: Make) -> None:
    status = counts(3, 3) | {"conditions": [{"type": "UpdateInProgress", "status": "False"}]}

    target = target_of(with_objects("leaderworkerset", custom(LWS, "chat", {"replicas": 3}, status)))

    assert not target.read().state.updating


def test_a_rollout_of_the_graph_holds_an_adapter_too(kube_api: Cluster, target_of: Make) -> None:
    target = target_of(case("dynamo-adapter"))
    status = {"status": {"rollingUpdate": {"phase": "Pending"}}}
    kube_api.patch("nvidia.com/v1beta1", "dynamographdeployments", "chat", status, "status")

    assert target.read().state.updating


# what forbids a write

DS_ROLE = {"name": "prefill", "spec": {"replicas": 3}}
STORM_ROLES = {"template": {"spec": {"roles": ROLES}}}
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
        custom(RBG, "chat", {"roles": [{**ROLES[0], "scalingAdapter": {"enable": True}}]}),
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
    "ModelServing of several groups": (
        "modelserving",
        custom(MODEL_SERVING, "chat", {"replicas": 2, "template": {"roles": ROLES}}),
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


# versions


def test_an_older_version_is_used_where_the_newer_one_is_not_served(
    fake_kube_api: FakeCluster, target_of: Make
) -> None:
    service = custom(KSERVE, "chat", {"prefill": {"replicas": 3}}, version="v1alpha1")
    old = replace(case("kserve"), kinds=(f"{KSERVE}:v1alpha1",), objects=(service,))
    target = target_of(old, cluster=fake_kube_api)

    result = target.write(4, basis=target.read().basis, dry_run=False)

    assert result.outcome is Outcome.APPLIED


def test_the_version_that_was_found_is_asked_first(fake_kube_api: FakeCluster, target_of: Make) -> None:
    service = custom(KSERVE, "chat", {"prefill": {"replicas": 3}}, version="v1alpha1")
    old = replace(case("kserve"), kinds=(f"{KSERVE}:v1alpha1",), objects=(service,))
    target = target_of(old, cluster=fake_kube_api)
    target.read()
    fake_kube_api.api.log.clear()

    target.read()

    assert fake_kube_api.api.log.count("get", "llminferenceservices") == 1


def test_a_version_that_is_no_longer_served_is_left_for_one_that_is(
    fake_kube_api: FakeCluster, target_of: Make
) -> None:
    target = target_of(case("kserve"), cluster=fake_kube_api)
    target.read()
    fake_kube_api.api.store.registry.define(definition_of(KSERVE, ["v1alpha1"]))

    assert target.read().state.current == 3


# trouble


def test_a_write_whose_answer_is_lost_may_have_been_applied(fake_kube_api: FakeCluster, target_of: Make) -> None:
    target = target_of(case("hyperpod"), cluster=fake_kube_api)
    basis = target.read().basis
    fake_kube_api.api.faults.add(Fault(verb="patch", cut=True))

    result = target.write(4, basis=basis, dry_run=False)

    assert result.outcome is Outcome.UNAVAILABLE
    assert target.read().state.current == 4


@pytest.mark.parametrize("spec", ["rbg", "hyperpod", "vllmruntime", "dynamo-dgd-v1alpha1"])
def test_a_reading_says_who_set_the_count(target_of: Make, spec: str) -> None:
    assert target_of(case(spec)).read().writer == "kubectl"
