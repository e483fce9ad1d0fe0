"""Writing replica counts: the same on the fake server and on a real one."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.core.policy import Role
from autoscaler.targets.base import Outcome, WriteResult
from autoscaler.targets.kubernetes.refs import ObjectRef
from tests.support.kube import Cluster
from tests.support.kube_api.manifests import definition, deployment, stateful_set
from tests.support.scale_target import ScaledPool, ScaleTarget, stateful_set_ref
from tests.targets.kubernetes.conftest import DecodeOn

APPS = "apps/v1"


def basis_of(target: ScaleTarget) -> str:
    return target.read().basis[Role.DECODE]


def write(target: ScaleTarget, replicas: int, *, basis: str, dry_run: bool = False) -> WriteResult:
    return target.write(Role.DECODE, replicas, basis=basis, dry_run=dry_run)


def asked_for(cluster: Cluster, plural: str = "deployments") -> int:
    return int(cluster.get(APPS, plural, "decode")["spec"]["replicas"])


@pytest.fixture
def decode(kube_api: Cluster, decode_on: DecodeOn) -> ScaleTarget:
    """A Deployment of 4."""
    kube_api.create("deployments", deployment("decode", replicas=4))
    return decode_on(kube_api)


def test_a_write_changes_the_count(kube_api: Cluster, decode: ScaleTarget) -> None:
    result = write(decode, 6, basis=basis_of(decode))

    assert (result.outcome, asked_for(kube_api)) == (Outcome.APPLIED, 6)
    assert result.message == f"Deployment {kube_api.namespace}/decode: 4 to 6 replicas"


def test_a_dry_run_changes_nothing(kube_api: Cluster, decode: ScaleTarget) -> None:
    before = kube_api.get(APPS, "deployments", "decode")

    result = write(decode, 6, basis=basis_of(decode), dry_run=True)

    assert result.outcome is Outcome.DRY_RUN
    assert kube_api.get(APPS, "deployments", "decode") == before


def test_a_count_that_somebody_else_changed_is_a_conflict_and_stays(kube_api: Cluster, decode: ScaleTarget) -> None:
    basis = basis_of(decode)
    kube_api.patch(APPS, "deployments", "decode", {"spec": {"replicas": 2}})

    result = write(decode, 6, basis=basis)

    assert (result.outcome, asked_for(kube_api)) == (Outcome.CONFLICT, 2)
    assert "has 2 replicas, it had 4 when read" in result.message


def test_an_object_made_anew_under_the_same_name_is_a_conflict(kube_api: Cluster, decode: ScaleTarget) -> None:
    basis = basis_of(decode)
    kube_api.delete(APPS, "deployments", "decode")
    kube_api.create("deployments", deployment("decode", replicas=4))

    result = write(decode, 6, basis=basis)

    assert (result.outcome, asked_for(kube_api)) == (Outcome.CONFLICT, 4)
    assert "is another object of that name" in result.message


def test_a_status_update_in_between_is_no_conflict(kube_api: Cluster, decode: ScaleTarget) -> None:
    basis = basis_of(decode)
    kube_api.patch(APPS, "deployments", "decode", {"status": {"replicas": 4, "readyReplicas": 3}}, "status")

    assert write(decode, 6, basis=basis).outcome is Outcome.APPLIED


def test_a_pool_grows_from_zero(kube_api: Cluster, decode: ScaleTarget) -> None:
    kube_api.patch(APPS, "deployments", "decode", {"spec": {"replicas": 0}})

    result = write(decode, 2, basis=basis_of(decode))

    assert (result.outcome, asked_for(kube_api)) == (Outcome.APPLIED, 2)


def test_a_pool_shrinks_to_zero(kube_api: Cluster, decode: ScaleTarget) -> None:
    write(decode, 0, basis=basis_of(decode))

    assert asked_for(kube_api) == 0


def test_a_pool_at_zero_that_somebody_else_grew_is_a_conflict(kube_api: Cluster, decode: ScaleTarget) -> None:
    kube_api.patch(APPS, "deployments", "decode", {"spec": {"replicas": 0}})
    basis = basis_of(decode)
    kube_api.patch(APPS, "deployments", "decode", {"spec": {"replicas": 3}})

    result = write(decode, 2, basis=basis)

    assert (result.outcome, asked_for(kube_api)) == (Outcome.CONFLICT, 3)


def test_a_negative_count_is_refused(kube_api: Cluster, decode: ScaleTarget) -> None:
    result = write(decode, -1, basis=basis_of(decode))

    assert (result.outcome, asked_for(kube_api)) == (Outcome.REFUSED, 4)
    assert "-1 replicas are fewer than 0" in result.message


def test_a_missing_verb_is_named_with_what_to_add(kube_api: Cluster, decode_on: DecodeOn, decode: ScaleTarget) -> None:
    rules = [{"apiGroups": ["apps"], "resources": ["deployments", "deployments/scale"], "verbs": ["get"]}]
    target = decode_on(kube_api, token=kube_api.service_account("recommender", rules))

    result = write(target, 6, basis=basis_of(decode))

    assert (result.outcome, asked_for(kube_api)) == (Outcome.FORBIDDEN, 4)
    wanted = f"missing verb patch on deployments/scale (API group apps) in namespace {kube_api.namespace}"
    assert wanted in result.message
    assert "`pd-autoscaler rbac` prints it" in result.message


def test_a_deleted_object_is_missing(kube_api: Cluster, decode: ScaleTarget) -> None:
    basis = basis_of(decode)
    kube_api.delete(APPS, "deployments", "decode")

    assert write(decode, 6, basis=basis).outcome is Outcome.MISSING


def test_a_stateful_set_is_scaled_like_a_deployment(kube_api: Cluster, decode_on: DecodeOn) -> None:
    kube_api.create("statefulsets", stateful_set("decode", replicas=2))
    target = decode_on(kube_api, ScaledPool(stateful_set_ref(kube_api.namespace, "decode")))

    result = write(target, 3, basis=basis_of(target))

    assert (result.outcome, asked_for(kube_api, "statefulsets")) == (Outcome.APPLIED, 3)


@pytest.fixture
def worker_set(kube_api: Cluster, decode_on: DecodeOn) -> ScaleTarget:
    """A custom resource `decode` that leaves its count unset, with one replica."""
    kube_api.define(definition("lws.example", "WorkerSet", "workersets"))
    document = {"apiVersion": "lws.example/v1", "kind": "WorkerSet", "metadata": {"name": "decode"}, "spec": {}}
    kube_api.create("workersets", document)
    kube_api.patch("lws.example/v1", "workersets", "decode", {"status": {"replicas": 1}}, "status")
    ref = ObjectRef("lws.example/v1", "WorkerSet", "workersets", kube_api.namespace, "decode")
    return decode_on(kube_api, ScaledPool(ref))


def test_an_unset_count_is_set_and_then_changed(kube_api: Cluster, worker_set: ScaleTarget) -> None:
    outcomes = [write(worker_set, count, basis=basis_of(worker_set)).outcome for count in (3, 5)]

    assert outcomes == [Outcome.APPLIED, Outcome.APPLIED]
    assert kube_api.get("lws.example/v1", "workersets", "decode")["spec"] == {"replicas": 5}


def test_an_unset_count_that_somebody_else_set_is_a_conflict(kube_api: Cluster, worker_set: ScaleTarget) -> None:
    basis = basis_of(worker_set)
    kube_api.patch("lws.example/v1", "workersets", "decode", {"spec": {"replicas": 2}})

    assert write(worker_set, 3, basis=basis).outcome is Outcome.CONFLICT
    assert kube_api.get("lws.example/v1", "workersets", "decode")["spec"] == {"replicas": 2}


def test_the_server_remembers_us_as_the_writer_of_the_count_alone(kube_api: Cluster, decode: ScaleTarget) -> None:
    write(decode, 6, basis=basis_of(decode))

    document = kube_api.get(APPS, "deployments", "decode")
    assert ours(document) == {"f:spec": {"f:replicas": {}}}
    assert document["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example/engine:1"


def ours(document: dict[str, Any]) -> Any:
    entries = document["metadata"]["managedFields"]
    return next(entry["fieldsV1"] for entry in entries if entry["manager"] == "pd-autoscaler")
