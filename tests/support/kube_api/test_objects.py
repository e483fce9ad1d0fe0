"""What a Kubernetes API server does with objects: run on the fake, and on a real server where there is one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.kube import Cluster, FakeCluster
from tests.support.kube_api.manifests import definition, deployment, pod
from tests.support.kube_api.patch import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH

APPS = "apps/v1"
LEASES = "coordination.k8s.io/v1"


def version_of(document: dict[str, Any]) -> str:
    return str(document["metadata"]["resourceVersion"])


@pytest.fixture
def decode(kube_api: Cluster) -> dict[str, Any]:
    """A Deployment `decode` of 2."""
    return kube_api.create("deployments", deployment("decode", replicas=2))


def patch(cluster: Cluster, body: Any, content_type: str, subresource: str = "") -> tuple[int, dict[str, Any]]:
    path = cluster.path(APPS, "deployments", "decode", subresource)
    return cluster.request("PATCH", path, body, content_type=content_type)


def test_a_change_of_the_spec_raises_version_and_generation(kube_api: Cluster, decode: dict[str, Any]) -> None:
    changed = kube_api.patch(APPS, "deployments", "decode", {"spec": {"replicas": 3}})

    assert version_of(changed) != version_of(decode)
    assert changed["metadata"]["generation"] == decode["metadata"]["generation"] + 1


def test_a_change_that_changes_nothing_keeps_the_version(kube_api: Cluster, decode: dict[str, Any]) -> None:
    same = kube_api.patch(APPS, "deployments", "decode", {"spec": {"replicas": 2}})

    assert version_of(same) == version_of(decode)


def test_a_status_is_written_through_its_subresource_alone(kube_api: Cluster, decode: dict[str, Any]) -> None:
    through_main = kube_api.patch(APPS, "deployments", "decode", {"status": {"replicas": 2}})
    change = {"status": {"replicas": 2}, "spec": {"replicas": 9}}
    through_status = kube_api.patch(APPS, "deployments", "decode", change, "status")

    assert "replicas" not in through_main.get("status", {})
    assert (through_status["status"]["replicas"], through_status["spec"]["replicas"]) == (2, 2)
    assert through_status["metadata"]["generation"] == decode["metadata"]["generation"]


def test_a_stale_put_is_409(kube_api: Cluster, decode: dict[str, Any]) -> None:
    kube_api.patch(APPS, "deployments", "decode", {"spec": {"replicas": 3}})

    code, answer = kube_api.request("PUT", kube_api.path(APPS, "deployments", "decode"), decode)

    assert (code, answer["reason"]) == (409, "Conflict")
    assert "the object has been modified" in answer["message"]


@pytest.mark.parametrize("subresource", ["", "scale"])
def test_a_stale_merge_patch_is_409(kube_api: Cluster, decode: dict[str, Any], subresource: str) -> None:
    kube_api.patch(APPS, "deployments", "decode", {"spec": {"replicas": 3}})
    change = {"metadata": {"resourceVersion": version_of(decode)}, "spec": {"replicas": 4}}

    assert patch(kube_api, change, MERGE_PATCH, subresource)[0] == 409


@pytest.mark.usefixtures("decode")
def test_a_failed_json_patch_test_is_422_without_details(kube_api: Cluster) -> None:
    code, answer = patch(kube_api, [{"op": "test", "path": "/spec/replicas", "value": 3}], JSON_PATCH, "scale")

    assert (code, answer["details"]) == (422, {})
    assert answer["message"] == "the server rejected our request due to an error in our request"


@pytest.mark.usefixtures("decode")
def test_a_json_patch_applies_all_of_its_operations_or_none(kube_api: Cluster) -> None:
    operations = [
        {"op": "add", "path": "/metadata/labels", "value": {"team": "a/b"}},
        {"op": "add", "path": "/metadata/labels/tier~1name", "value": "gold"},
        {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "registry.example/engine:2"},
        {"op": "remove", "path": "/metadata/labels/team"},
    ]

    done, changed = patch(kube_api, operations, JSON_PATCH)
    failed, _ = patch(kube_api, [*operations[2:3], {"op": "remove", "path": "/metadata/labels/none"}], JSON_PATCH)

    assert (done, failed) == (200, 422)
    assert changed["metadata"]["labels"] == {"tier/name": "gold"}
    assert changed["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example/engine:2"


@pytest.mark.usefixtures("decode")
def test_a_strategic_patch_merges_containers_by_name_and_a_merge_patch_replaces_them(kube_api: Cluster) -> None:
    change = {"spec": {"template": {"spec": {"containers": [{"name": "sidecar", "image": "registry.example/s:1"}]}}}}

    def names(answer: dict[str, Any]) -> set[str]:
        return {container["name"] for container in answer["spec"]["template"]["spec"]["containers"]}

    assert names(patch(kube_api, change, STRATEGIC_PATCH)[1]) == {"engine", "sidecar"}
    assert names(patch(kube_api, change, MERGE_PATCH)[1]) == {"sidecar"}


def test_creating_a_name_again_is_409(kube_api: Cluster, decode: dict[str, Any]) -> None:
    path = kube_api.path(APPS, "deployments")

    code, answer = kube_api.request("POST", path, deployment(decode["metadata"]["name"]))

    assert (code, answer["reason"]) == (409, "AlreadyExists")


def test_a_dry_run_checks_and_keeps_nothing(kube_api: Cluster) -> None:
    path = kube_api.path(APPS, "deployments")

    fine, shown = kube_api.request("POST", path + "?dryRun=All", deployment("decode"))
    bad, _ = kube_api.request("POST", path + "?dryRun=All", deployment("decode", replicas=-1))

    assert (fine, bad, shown["metadata"]["name"]) == (201, 422, "decode")
    assert kube_api.request("GET", path + "/decode")[0] == 404


@pytest.mark.usefixtures("decode")
def test_a_scale_at_zero_shows_no_count(kube_api: Cluster) -> None:
    kube_api.patch(APPS, "deployments", "decode", {"spec": {"replicas": 0}})

    _, scale = kube_api.request("GET", kube_api.path(APPS, "deployments", "decode", "scale"))

    assert (scale["kind"], scale["spec"], scale["status"]["selector"]) == ("Scale", {}, "app=decode")


def test_a_custom_kind_is_held_to_its_schema(kube_api: Cluster) -> None:
    kube_api.define(definition("lws.example", "WorkerSet", "workersets"))
    path = kube_api.path("lws.example/v1", "workersets")
    document = {"apiVersion": "lws.example/v1", "kind": "WorkerSet", "metadata": {"name": "decode"}}

    code, answer = kube_api.request("POST", path, {**document, "spec": {"replicas": "three"}})
    _, pruned = kube_api.request("POST", path, {**document, "spec": {"replicas": 3, "unknown": True}})

    assert (code, answer["details"]["causes"][0]["field"]) == (422, "spec.replicas")
    assert pruned["spec"] == {"replicas": 3}


def test_a_custom_kind_takes_no_strategic_patch(kube_api: Cluster) -> None:
    kube_api.define(definition("lws.example", "WorkerSet", "workersets"))
    document = {"apiVersion": "lws.example/v1", "kind": "WorkerSet", "metadata": {"name": "decode"}, "spec": {}}
    kube_api.create("workersets", document)
    path = kube_api.path("lws.example/v1", "workersets", "decode")

    assert kube_api.request("PATCH", path, {"spec": {"replicas": 1}}, content_type=STRATEGIC_PATCH)[0] == 415


def test_a_kind_that_nobody_defined_is_answered_in_plain_text(kube_api: Cluster) -> None:
    code, answer = kube_api.request("GET", kube_api.path("nowhere.example/v1", "things"))

    assert (code, answer["message"].strip()) == (404, "404 page not found")


def test_a_lease_is_replaced_by_the_one_who_read_it_last(kube_api: Cluster) -> None:
    path = kube_api.path(LEASES, "leases")
    lease = {"apiVersion": LEASES, "kind": "Lease", "metadata": {"name": "leader"}, "spec": {"holderIdentity": "a"}}
    _, first = kube_api.request("POST", path, lease)
    raced, _ = kube_api.request("POST", path, lease)
    first["spec"] = {"holderIdentity": "b", "renewTime": "2026-01-01T00:00:00.000000Z", "leaseDurationSeconds": 15}
    renewed, _ = kube_api.request("PUT", f"{path}/leader", first)
    stale, _ = kube_api.request("PUT", f"{path}/leader", first)
    blind, _ = kube_api.request("PUT", f"{path}/leader", lease)

    assert (raced, renewed, stale, blind) == (409, 200, 409, 422)


def test_a_lease_time_needs_microseconds(kube_api: Cluster) -> None:
    spec = {"renewTime": "2026-01-01T00:00:00Z"}
    lease = {"apiVersion": LEASES, "kind": "Lease", "metadata": {"name": "leader"}, "spec": spec}

    assert kube_api.request("POST", kube_api.path(LEASES, "leases"), lease)[0] == 400


def test_an_event_must_be_in_the_namespace_that_it_is_about(kube_api: Cluster) -> None:
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"generateName": "decode-"}, "reason": "Scaled"}
    about = {"kind": "Deployment", "name": "decode", "namespace": kube_api.namespace}
    path = kube_api.path("v1", "events")

    right, _ = kube_api.request("POST", path, {**event, "involvedObject": about})
    wrong, _ = kube_api.request("POST", path, {**event, "involvedObject": {**about, "namespace": "elsewhere"}})

    assert (right, wrong) == (201, 422)


def test_lists_are_chosen_by_labels_and_fields(kube_api: Cluster) -> None:
    for name, app in (("a", "decode"), ("b", "decode"), ("c", "prefill")):
        kube_api.create("pods", pod(name, app))
    path = kube_api.path("v1", "pods")

    def names(query: str) -> list[str]:
        return [item["metadata"]["name"] for item in kube_api.request("GET", path + query)[1]["items"]]

    assert names("?labelSelector=app%3Ddecode") == ["a", "b"]
    assert names("?labelSelector=app%20in%20(prefill,router),!old") == ["c"]
    assert names("?labelSelector=app!%3Ddecode&fieldSelector=metadata.name%3Dc") == ["c"]


def test_a_watch_tells_what_happened_since_a_version(kube_api: Cluster) -> None:
    path = kube_api.path("v1", "pods")
    since = version_of(kube_api.request("GET", path)[1])
    kube_api.create("pods", pod("a", "decode"))
    kube_api.patch("v1", "pods", "a", {"metadata": {"labels": {"app": "prefill"}}})

    events = kube_api.watch(path, since=since)

    seen = [(event["type"], event["object"]["metadata"]["labels"]["app"]) for event in events]
    assert seen == [("ADDED", "decode"), ("MODIFIED", "prefill")]


def test_a_watch_from_a_forgotten_version_has_expired(fake_kube_api: FakeCluster) -> None:
    fake_kube_api.create("pods", pod("a", "decode"))
    fake_kube_api.api.store.compact()

    (event,) = fake_kube_api.watch(fake_kube_api.path("v1", "pods"), since="1")

    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


def apply(cluster: Cluster, spec: dict[str, Any], manager: str, *, force: bool = False) -> tuple[int, dict[str, Any]]:
    document = {"apiVersion": APPS, "kind": "Deployment", "metadata": {"name": "decode"}, "spec": spec}
    query = f"?fieldManager={manager}" + ("&force=true" if force else "")
    path = cluster.path(APPS, "deployments", "decode") + query
    return cluster.request("PATCH", path, document, content_type=APPLY_PATCH)


def test_server_side_apply_creates_conflicts_and_takes_by_force(kube_api: Cluster) -> None:
    whole = deployment("decode", replicas=2)["spec"]

    created, _ = apply(kube_api, whole, "gitops")
    refused, answer = apply(kube_api, {"replicas": 5}, "autoscaler")
    forced, changed = apply(kube_api, {"replicas": 5}, "autoscaler", force=True)

    assert (created, refused, forced, changed["spec"]["replicas"]) == (201, 409, 200, 5)
    assert answer["details"]["causes"][0]["field"] == ".spec.replicas"
    assert 'conflict with "gitops"' in answer["message"]


def test_server_side_apply_drops_what_its_manager_no_longer_names(kube_api: Cluster) -> None:
    whole = deployment("decode")["spec"]
    apply(kube_api, {**whole, "minReadySeconds": 10}, "gitops")

    _, changed = apply(kube_api, whole, "gitops")

    assert "minReadySeconds" not in changed["spec"]
