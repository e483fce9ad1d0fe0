"""What holds for every target spec that comes with the program, on objects of its stack; fake server and real one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autoscaler.core.policy import Role
from autoscaler.targets.base import Outcome
from autoscaler.targets.kubernetes.aim import Service
from autoscaler.targets.kubernetes.build import role_target
from autoscaler.targets.kubernetes.specs.load import load_spec, spec_names
from autoscaler.targets.role import RoleTarget, UnreadableError
from tests.support.kube import Cluster, FakeCluster
from tests.support.kube_api import Fault
from tests.targets.kubernetes.cases import CASES
from tests.targets.kubernetes.conftest import ClientOn
from tests.targets.kubernetes.objects import UID, VERSION, Case, set_up

each_case = pytest.mark.parametrize("case", CASES, ids=str)


def target_of(cluster: Cluster, client_on: ClientOn, case: Case, *, token: str = "") -> RoleTarget:
    client = client_on(cluster, token=token)
    return role_target(client, load_spec(case.spec), case.service(cluster.namespace), case.role)


def test_every_spec_that_patches_has_a_case() -> None:
    patching = {name for name in spec_names() if load_spec(name).instructions is None}

    assert {case.spec for case in CASES} == patching


@each_case
def test_the_count_and_the_ready_replicas_are_read(kube_api: Cluster, client_on: ClientOn, case: Case) -> None:
    set_up(kube_api, case)

    reading = target_of(kube_api, client_on, case).read()

    assert (reading.state.current, reading.state.ready) == case.reads
    assert (reading.state.updating, reading.blockers) == (False, ())


@each_case
def test_a_write_is_what_is_read_next(kube_api: Cluster, client_on: ClientOn, case: Case) -> None:
    set_up(kube_api, case)
    target = target_of(kube_api, client_on, case)

    result = target.write(5, basis=target.read().basis, dry_run=False)

    reading = target.read()
    assert (result.outcome, reading.state.current) == (Outcome.APPLIED, 5)
    assert reading.writer == "pd-autoscaler"
    assert f"{case.reads[0]} to 5 replicas" in result.message


@each_case
def test_the_patch_is_this_one(fake_kube_api: FakeCluster, client_on: ClientOn, case: Case) -> None:
    set_up(fake_kube_api, case)
    target = target_of(fake_kube_api, client_on, case)
    basis = target.read().basis
    fake_kube_api.api.log.clear()

    target.write(5, basis=basis, dry_run=False)

    (request,) = fake_kube_api.api.log.writes()
    assert (request.verb, request.resource) == ("patch", case.resource)
    assert {name for name in request.query if name != "timeout"} == {"fieldManager"}
    assert nameless(json.loads(request.body)) == case.patch


def nameless(body: Any) -> Any:
    """A patch with the object's own uid and version taken out."""
    if isinstance(body, dict):
        return body | {"metadata": {"resourceVersion": VERSION}}
    return [step | {"value": UID} if step["path"] == "/metadata/uid" else step for step in body]


@each_case
def test_a_dry_run_changes_nothing(kube_api: Cluster, client_on: ClientOn, case: Case) -> None:
    set_up(kube_api, case)
    target = target_of(kube_api, client_on, case)

    result = target.write(5, basis=target.read().basis, dry_run=True)

    assert (result.outcome, target.read().state.current) == (Outcome.DRY_RUN, case.reads[0])


@each_case
def test_a_count_that_somebody_else_changed_is_a_conflict(kube_api: Cluster, client_on: ClientOn, case: Case) -> None:
    set_up(kube_api, case)
    target, other = (target_of(kube_api, client_on, case) for _ in range(2))
    basis = target.read().basis
    other.write(4, basis=other.read().basis, dry_run=False)

    result = target.write(5, basis=basis, dry_run=False)

    assert (result.outcome, target.read().state.current) == (Outcome.CONFLICT, 4)
    assert "decide again" in result.message


@each_case
def test_an_object_made_anew_is_a_conflict(kube_api: Cluster, client_on: ClientOn, case: Case) -> None:
    set_up(kube_api, case)
    target = target_of(kube_api, client_on, case)
    basis = target.read().basis
    for found in case.objects:
        kube_api.delete(found.document["apiVersion"], found.plural, found.document["metadata"]["name"])
    set_up(kube_api, case)

    result = target.write(5, basis=basis, dry_run=False)

    assert (result.outcome, target.read().state.current) == (Outcome.CONFLICT, case.reads[0])


@each_case
def test_what_the_server_rejects_is_told_in_its_words(
    fake_kube_api: FakeCluster, client_on: ClientOn, case: Case
) -> None:
    set_up(fake_kube_api, case)
    target = target_of(fake_kube_api, client_on, case)
    basis = target.read().basis
    fake_kube_api.api.faults.add(Fault(verb="patch", resource=case.resource, code=422, message="no, says admission"))

    result = target.write(5, basis=basis, dry_run=False)

    assert result.outcome is Outcome.REJECTED
    assert "no, says admission" in result.message


@each_case
def test_a_missing_right_to_write_is_named(kube_api: Cluster, client_on: ClientOn, case: Case) -> None:
    set_up(kube_api, case)
    token = kube_api.service_account("reader", [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]}])
    target = target_of(kube_api, client_on, case, token=token)

    result = target.write(5, basis=target.read().basis, dry_run=False)

    assert result.outcome is Outcome.FORBIDDEN
    assert f"missing verb patch on {case.resource}" in result.message


@each_case
def test_a_missing_object_is_unreadable(kube_api: Cluster, client_on: ClientOn, case: Case) -> None:
    set_up(kube_api, case)
    service = Service(kube_api.namespace, "caht", case.entry)
    target = role_target(client_on(kube_api), load_spec(case.spec), service, case.role)

    with pytest.raises(UnreadableError, match=r"is .*caht.* the right name"):
        target.read()


@pytest.mark.parametrize("case", [case for case in CASES if case.kinds], ids=str)
def test_a_kind_that_no_version_of_is_served_asks_for_its_definition(
    kube_api: Cluster, client_on: ClientOn, case: Case
) -> None:
    with pytest.raises(UnreadableError, match="is its CRD installed, and in which version"):
        target_of(kube_api, client_on, case).read()


@each_case
def test_decode_never_goes_to_zero(fake_kube_api: FakeCluster, client_on: ClientOn, case: Case) -> None:
    target = role_target(
        client_on(fake_kube_api), load_spec(case.spec), case.service(fake_kube_api.namespace), Role.DECODE
    )

    result = target.write(0, basis="", dry_run=False)

    assert (result.outcome, fake_kube_api.api.log.count()) == (Outcome.REFUSED, 0)
