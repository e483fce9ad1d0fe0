"""What tests do to the fake: faults, counted requests, controllers, operators."""

from __future__ import annotations

from http.client import IncompleteRead

import pytest

from tests.support.kube import FakeCluster
from tests.support.kube_api import DeploymentController, Fault, RevertingOperator
from tests.support.kube_api.manifests import deployment

APPS = "apps/v1"


def test_a_fault_hits_the_next_matching_requests_and_no_others(fake_kube_api: FakeCluster) -> None:
    path = fake_kube_api.path(APPS, "deployments")
    fake_kube_api.api.faults.add(Fault(times=2, verb="list", resource="deployments", code=503))

    codes = [fake_kube_api.request("GET", target)[0] for target in (path + "/x", path, path, path)]

    assert codes == [404, 503, 503, 200]


def test_a_cut_answer_comes_after_the_deed(fake_kube_api: FakeCluster) -> None:
    fake_kube_api.api.faults.add(Fault(verb="create", cut=True))
    with pytest.raises(IncompleteRead):
        fake_kube_api.create("deployments", deployment("decode"))

    assert fake_kube_api.get(APPS, "deployments", "decode")


def test_requests_are_counted_by_verb_and_resource(fake_kube_api: FakeCluster) -> None:
    fake_kube_api.create("deployments", deployment("decode"))
    fake_kube_api.get(APPS, "deployments", "decode")

    log = fake_kube_api.api.log
    assert (log.count("get", "deployments"), log.count("get"), log.count(), len(log.writes())) == (1, 1, 2, 1)


def test_a_controller_follows_spec_and_clock(fake_kube_api: FakeCluster) -> None:
    now_s = [1_800_000_000.0]
    controller = DeploymentController(fake_kube_api.api, lambda: now_s[0], startup_time_s=60.0, schedulable_pods=3)
    fake_kube_api.create("deployments", deployment("decode", replicas=4))

    def ready() -> int:
        return int(fake_kube_api.get(APPS, "deployments", "decode")["status"].get("readyReplicas", 0))

    steps = [ready()]
    now_s[0] += 60.0
    steps.append(ready())
    fake_kube_api.patch(APPS, "deployments", "decode", {"spec": {"replicas": 1}})
    steps.append(ready())
    controller.startup_time_s = float("inf")
    fake_kube_api.patch(APPS, "deployments", "decode", {"spec": {"replicas": 2}})
    steps.append(ready())
    controller.make_ready("decode")
    steps.append(ready())

    assert steps == [0, 3, 1, 1, 2]


def test_a_reverting_operator_takes_its_number_back_and_signs_for_it(fake_kube_api: FakeCluster) -> None:
    fake_kube_api.create("deployments", deployment("decode", replicas=2))
    address = fake_kube_api.api.address(APPS, "deployments", fake_kube_api.namespace, "decode")
    RevertingOperator(fake_kube_api.api, address, 2, manager="dynamo-operator")

    changed = fake_kube_api.patch(APPS, "deployments", "decode", {"spec": {"replicas": 5}})
    later = fake_kube_api.get(APPS, "deployments", "decode")

    assert (changed["spec"]["replicas"], later["spec"]["replicas"]) == (5, 2)
    owners = {entry["manager"] for entry in later["metadata"]["managedFields"] if "f:replicas" in str(entry)}
    assert owners == {"dynamo-operator"}
