"""Reading pools: the same on the fake server and on a real one."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.core.policy import Role
from autoscaler.targets.kubernetes.refs import ObjectRef
from tests.support.kube import Cluster
from tests.support.kube_api.manifests import definition, deployment, pod, stateful_set
from tests.support.scale_target import ScaledPool, ScaleTarget, stateful_set_ref
from tests.targets.kubernetes.conftest import ClientOn, DecodeOn

APPS = "apps/v1"
READ_RULES = [
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]},
    {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get", "patch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
]


def created(cluster: Cluster, plural: str, document: dict[str, Any], **status: object) -> None:
    """Create a workload and write its status as its controller would."""
    new = cluster.create(plural, document)
    name, api_version = document["metadata"]["name"], document["apiVersion"]
    status.setdefault("observedGeneration", new["metadata"]["generation"])
    cluster.patch(api_version, plural, name, {"status": status}, "status")


def settled(replicas: int, ready: int) -> dict[str, object]:
    """Status of a workload without a rollout."""
    return {"replicas": replicas, "updatedReplicas": replicas, "readyReplicas": ready, "availableReplicas": ready}


def test_current_is_what_was_asked_for_and_ready_is_what_serves(kube_api: Cluster, decode_on: DecodeOn) -> None:
    created(kube_api, "deployments", deployment("decode", replicas=4), **settled(4, 3))

    reading = decode_on(kube_api).read()

    pool = reading.pools[Role.DECODE]
    assert (pool.current, pool.ready, pool.starting, pool.updating) == (4, 3, 1, False)
    assert reading.errors == {}


def test_ready_replicas_that_the_status_leaves_out_are_none(kube_api: Cluster, decode_on: DecodeOn) -> None:
    created(kube_api, "deployments", deployment("decode", replicas=2), replicas=2, updatedReplicas=2)

    assert decode_on(kube_api).read().pools[Role.DECODE].ready == 0


def test_a_pool_scaled_to_zero_is_read_as_zero(kube_api: Cluster, decode_on: DecodeOn) -> None:
    created(kube_api, "deployments", deployment("decode", replicas=0))

    assert decode_on(kube_api).read().pools[Role.DECODE].current == 0


def test_a_status_older_than_the_spec_is_not_believed_beyond_what_was_asked_for(
    kube_api: Cluster, decode_on: DecodeOn
) -> None:
    created(kube_api, "deployments", deployment("decode", replicas=8), **settled(8, 8))
    kube_api.patch(APPS, "deployments", "decode", {"spec": {"replicas": 5}})

    pool = decode_on(kube_api).read().pools[Role.DECODE]

    assert (pool.current, pool.ready, pool.updating) == (5, 5, True)


def test_a_rollout_in_progress_is_said(kube_api: Cluster, decode_on: DecodeOn) -> None:
    created(kube_api, "deployments", deployment("decode", replicas=4), replicas=5, updatedReplicas=1, readyReplicas=4)

    pool = decode_on(kube_api).read().pools[Role.DECODE]

    assert (pool.ready, pool.updating) == (4, True)


def test_a_rollout_that_is_paused_half_way_is_still_one(kube_api: Cluster, decode_on: DecodeOn) -> None:
    paused = deployment("decode", replicas=4, paused=True)
    created(kube_api, "deployments", paused, replicas=4, updatedReplicas=2, readyReplicas=4)

    assert decode_on(kube_api).read().pools[Role.DECODE].updating


def test_a_paused_deployment_without_a_rollout_scales_like_any_other(kube_api: Cluster, decode_on: DecodeOn) -> None:
    created(kube_api, "deployments", deployment("decode", replicas=4, paused=True), **settled(4, 4))

    assert not decode_on(kube_api).read().pools[Role.DECODE].updating


def test_a_stateful_set_is_read_like_a_deployment(kube_api: Cluster, decode_on: DecodeOn) -> None:
    revisions = {"currentRevision": "decode-1", "updateRevision": "decode-1"}
    created(kube_api, "statefulsets", stateful_set("decode", replicas=3), **settled(3, 2), **revisions)
    pool = ScaledPool(stateful_set_ref(kube_api.namespace, "decode"))

    read = decode_on(kube_api, pool).read().pools[Role.DECODE]

    assert (read.current, read.ready, read.updating) == (3, 2, False)


def test_the_pods_of_a_pool_are_found_through_its_selector(kube_api: Cluster, decode_on: DecodeOn) -> None:
    created(kube_api, "deployments", deployment("decode", replicas=2), **settled(2, 0))
    stuck = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    for name, app in (("decode-1", "decode"), ("decode-2", "decode"), ("prefill-1", "prefill")):
        kube_api.create("pods", pod(name, app))
        kube_api.patch("v1", "pods", name, {"status": {"conditions": [stuck]}}, "status")

    assert decode_on(kube_api).read().pools[Role.DECODE].unschedulable == 2


def test_a_custom_resource_counts_where_its_definition_says(kube_api: Cluster, decode_on: DecodeOn) -> None:
    group, path = "production-stack.example", "spec.deploymentConfig.replicas"
    kube_api.define(definition(group, "Runtime", "runtimes", replicas_path=path))
    runtime = {"apiVersion": f"{group}/v1", "kind": "Runtime", "metadata": {"name": "decode"}}
    created(
        kube_api,
        "runtimes",
        {**runtime, "spec": {"deploymentConfig": {"replicas": 3}}},
        replicas=3,
        availableReplicas=2,
    )
    ref = ObjectRef(f"{group}/v1", "Runtime", "runtimes", kube_api.namespace, "decode")

    read = decode_on(kube_api, ScaledPool(ref, ready="availableReplicas")).read().pools[Role.DECODE]

    assert (read.current, read.ready, read.updating) == (3, 2, False)


def test_a_kind_that_keeps_no_count_of_what_is_ready_has_the_pods_that_are(
    kube_api: Cluster, decode_on: DecodeOn
) -> None:
    created(kube_api, "deployments", deployment("decode", replicas=3), replicas=3)
    for index in range(2):
        kube_api.create("pods", pod(f"decode-{index}", "decode"))
        since = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        kube_api.patch("v1", "pods", f"decode-{index}", {"status": {"conditions": [since]}}, "status")

    assert decode_on(kube_api).read().pools[Role.DECODE].ready == 2


def test_a_scale_that_names_no_pods_counts_nobody_elses(kube_api: Cluster, decode_on: DecodeOn) -> None:
    kube_api.define(definition("lws.example", "WorkerSet", "workersets"))
    document = {"apiVersion": "lws.example/v1", "kind": "WorkerSet", "metadata": {"name": "decode"}}
    kube_api.create("workersets", {**document, "spec": {"replicas": 2}})
    kube_api.create("pods", pod("prefill-1", "prefill"))
    stuck = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    kube_api.patch("v1", "pods", "prefill-1", {"status": {"conditions": [stuck]}}, "status")
    ref = ObjectRef("lws.example/v1", "WorkerSet", "workersets", kube_api.namespace, "decode")

    assert decode_on(kube_api, ScaledPool(ref)).read().pools[Role.DECODE].unschedulable == 0


@pytest.fixture
def unset(kube_api: Cluster, decode_on: DecodeOn) -> ScaleTarget:
    """A custom resource that leaves its replica count to its operator."""
    kube_api.define(definition("lws.example", "WorkerSet", "workersets"))
    document = {"apiVersion": "lws.example/v1", "kind": "WorkerSet", "metadata": {"name": "decode"}, "spec": {}}
    kube_api.create("workersets", document)
    ref = ObjectRef("lws.example/v1", "WorkerSet", "workersets", kube_api.namespace, "decode")
    return decode_on(kube_api, ScaledPool(ref))


def test_an_unset_count_is_the_one_in_the_status(kube_api: Cluster, unset: ScaleTarget) -> None:
    status = {"status": {"replicas": 1, "readyReplicas": 1}}
    kube_api.patch("lws.example/v1", "workersets", "decode", status, "status")

    pool = unset.read().pools[Role.DECODE]

    assert (pool.current, pool.ready) == (1, 1)


def test_an_unset_count_without_a_status_is_an_error_and_no_zero(unset: ScaleTarget) -> None:
    reading = unset.read()

    assert reading.pools == {}
    assert "leaves its replica count unset" in reading.errors[Role.DECODE]


def test_a_missing_object_is_an_error_of_its_role_alone(kube_api: Cluster, client_on: ClientOn) -> None:
    created(kube_api, "deployments", deployment("decode", replicas=2), **settled(2, 2))
    refs = {Role.PREFILL: "prefil", Role.DECODE: "decode"}
    pools = {role: ScaledPool(ObjectRef.deployment(kube_api.namespace, name)) for role, name in refs.items()}

    reading = ScaleTarget(client_on(kube_api), pools).read()

    assert reading.pools.keys() == reading.basis.keys() == {Role.DECODE}
    assert "HTTP 404" in reading.errors[Role.PREFILL]
    assert "is Deployment prefil the right name" in reading.errors[Role.PREFILL]


def test_a_kind_that_is_not_served_asks_for_its_definition(kube_api: Cluster, decode_on: DecodeOn) -> None:
    ref = ObjectRef("grove.example/v1", "PodClique", "podcliques", kube_api.namespace, "decode")

    reading = decode_on(kube_api, ScaledPool(ref)).read()

    assert "is its CRD installed" in reading.errors[Role.DECODE]


def test_a_missing_verb_is_named_with_what_to_add(kube_api: Cluster, decode_on: DecodeOn) -> None:
    created(kube_api, "deployments", deployment("decode"))
    token = kube_api.service_account("reader", READ_RULES[:1])

    reading = decode_on(kube_api, token=token).read()

    wanted = f"missing verb get on deployments/scale (API group apps) in namespace {kube_api.namespace}"
    assert wanted in reading.errors[Role.DECODE]


def test_a_wrong_token_is_said_to_be_one(kube_api: Cluster, decode_on: DecodeOn) -> None:
    reading = decode_on(kube_api, token="expired").read()

    assert "HTTP 401" in reading.errors[Role.DECODE]
    assert "the token is wrong or has expired" in reading.errors[Role.DECODE]
