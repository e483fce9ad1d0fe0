"""A role in an object that changes, in whichever version is served, on a server in trouble."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.targets.base import Outcome
from tests.support.crds import definition_of
from tests.support.kube import Cluster, FakeCluster
from tests.support.kube_api import Fault
from tests.targets.kubernetes.cases import case, with_objects
from tests.targets.kubernetes.conftest import Make
from tests.targets.kubernetes.objects import KSERVE, PAIR, RBG, custom


def test_roles_that_somebody_reordered_are_a_conflict(kube_api: Cluster, target_of: Make) -> None:
    target = target_of(with_objects("rbg", custom(RBG, "chat", {"roles": PAIR})))
    basis = target.read().basis
    change = {"spec": {"roles": list(reversed(PAIR))}}
    kube_api.patch("workloads.x-k8s.io/v1alpha2", "rolebasedgroups", "chat", change)

    result = target.write(4, basis=basis, dry_run=False)

    assert (result.outcome, target.read().state.current) == (Outcome.CONFLICT, 3)
    assert "another place of its list" in result.message


def test_a_role_that_somebody_removed_is_a_conflict(kube_api: Cluster, target_of: Make) -> None:
    target = target_of(with_objects("rbg", custom(RBG, "chat", {"roles": PAIR})))
    basis = target.read().basis
    kube_api.patch("workloads.x-k8s.io/v1alpha2", "rolebasedgroups", "chat", {"spec": {"roles": PAIR[1:]}})

    result = target.write(4, basis=basis, dry_run=False)

    assert result.outcome is Outcome.CONFLICT
    assert "has no entry of name 'prefill'" in result.message


def test_a_write_to_one_role_leaves_the_rest_of_the_object_alone(kube_api: Cluster, target_of: Make) -> None:
    target = target_of(with_objects("rbg", custom(RBG, "chat", {"roles": PAIR})))

    target.write(4, basis=target.read().basis, dry_run=False)

    spec = kube_api.get("workloads.x-k8s.io/v1alpha2", "rolebasedgroups", "chat")["spec"]
    assert spec == {"roles": [{"name": "prefill", "replicas": 4}, {"name": "decode", "replicas": 2}]}


def test_a_status_update_in_between_is_no_conflict_for_an_entry(kube_api: Cluster, target_of: Make) -> None:
    target = target_of(case("rbg"))
    basis = target.read().basis
    kube_api.patch("workloads.x-k8s.io/v1alpha2", "rolebasedgroups", "chat", {"status": {"x": 1}}, "status")

    assert target.write(4, basis=basis, dry_run=False).outcome is Outcome.APPLIED


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
