"""Policies as objects: taken over, refused, kept, and what an object may not do though a file may."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from autoscaler.config.files import PolicyFiles
from autoscaler.daemon.tenancy import Tenancy
from autoscaler.daemon.watched_policies import WatchedPolicies
from autoscaler.targets.kubernetes.refs import JsonObject
from tests.e2e.stage import policy_document


class Shelf:
    """Objects that the test puts there."""

    def __init__(self) -> None:
        self.objects: Mapping[str, JsonObject] | None = None
        self.watched = WatchedPolicies(self, Tenancy())

    def put(
        self, name: str, namespace: str = "serving", created: str = "2026-01-01T00:00:00Z", **spec: Any
    ) -> JsonObject:
        document = policy_document(name, namespace, "http://prom:9090", **spec)
        for role in ("prefill", "decode"):
            document["spec"]["roles"][role]["target"]["name"] = f"{name}-{role}"
        document["spec"]["selector"]["namespace"] = namespace
        key = f"{namespace}/{name}"
        old = (self.objects or {}).get(key, {"metadata": {"generation": 0}})
        document["metadata"] |= {
            "uid": f"uid-{name}",
            "resourceVersion": "7",
            "creationTimestamp": created,
            "generation": old["metadata"]["generation"] + 1,
            "managedFields": [{"manager": "kubectl"}],
        }
        self.objects = {**(self.objects or {}), key: document}
        return document

    def drop(self, key: str) -> None:
        self.objects = {name: item for name, item in (self.objects or {}).items() if name != key}


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def test_before_the_objects_could_be_listed_there_are_none_and_it_says_so(shelf: Shelf) -> None:
    assert not shelf.watched.reload()
    assert not shelf.watched.synced
    shelf.objects = {}
    assert shelf.watched.synced


def test_an_object_is_a_policy(shelf: Shelf) -> None:
    shelf.put("chat")

    report = shelf.watched.reload()

    assert report.added == ("chat",)
    found = shelf.watched.object_of("chat")
    assert found is not None
    assert (str(found.ref), found.uid, found.generation) == ("ScalingPolicy serving/chat", "uid-chat", 1)


def test_a_status_is_no_change(shelf: Shelf) -> None:
    document = shelf.put("chat")
    shelf.watched.reload()
    loaded = shelf.watched.policies["chat"]
    document["status"] = {"mode": "recommend"}
    document["metadata"]["resourceVersion"] = "8"

    assert not shelf.watched.reload()
    assert shelf.watched.policies["chat"] is loaded


def test_an_annotation_is_a_change(shelf: Shelf) -> None:
    document = copy.deepcopy(shelf.put("chat"))
    shelf.watched.reload()
    document["metadata"]["annotations"] = {"pd-autoscaler.io/pause": "true"}
    shelf.objects = {"serving/chat": document}

    assert shelf.watched.reload().changed == ("chat",)


def test_a_bad_edit_keeps_the_last_good_policy(shelf: Shelf) -> None:
    shelf.put("chat")
    shelf.watched.reload()
    shelf.put("chat", interval="soon")

    report = shelf.watched.reload()

    assert (report.changed, report.kept) == ((), ("chat",))
    assert shelf.watched.policies["chat"].policy.spec.interval_s == 15.0
    (problem,) = shelf.watched.problems["serving/chat"]
    assert problem.path == "spec.interval"
    assert not shelf.watched.reload()


def test_a_mended_edit_takes_effect(shelf: Shelf) -> None:
    shelf.put("chat")
    shelf.watched.reload()
    shelf.put("chat", interval="soon")
    shelf.watched.reload()
    shelf.put("chat", interval="30s")

    assert shelf.watched.reload().changed == ("chat",)
    assert shelf.watched.errors == ()


def test_an_object_that_is_gone_takes_its_service_along(shelf: Shelf) -> None:
    shelf.put("chat")
    shelf.watched.reload()
    shelf.drop("serving/chat")

    assert shelf.watched.reload().removed == ("chat",)
    assert shelf.watched.object_of("chat") is None


def test_of_two_with_one_name_the_older_is_served_by_every_daemon(shelf: Shelf) -> None:
    shelf.put("chat", "b", created="2026-01-02T00:00:00Z")
    shelf.put("chat", "c", created="2026-01-01T00:00:00Z")
    shelf.watched.reload()

    found = shelf.watched.object_of("chat")
    assert found is not None
    assert found.ref.namespace == "c"
    assert set(shelf.watched.problems) == {"b/chat"}
    shelf.drop("c/chat")
    assert shelf.watched.reload().changed == ("chat",)


def test_a_target_of_another_namespace_is_refused(shelf: Shelf) -> None:
    document = shelf.put("chat")
    document["spec"]["roles"]["decode"]["target"]["namespace"] = "kube-system"

    shelf.watched.reload()

    assert shelf.watched.policies == {}
    problem, *_ = shelf.watched.problems["serving/chat"]
    assert problem.path == "spec.roles.decode.target.namespace"
    assert "scales no other" in problem.message


FILES: dict[str, dict[str, Any]] = {
    "spec.prometheus.bearerTokenFile": {"bearerTokenFile": "/var/run/secrets/kubernetes.io/serviceaccount/token"},
    "spec.prometheus.tls.caFile": {"tls": {"caFile": "/etc/shadow"}},
    "spec.prometheus.basicAuth.passwordFile": {"basicAuth": {"username": "u", "passwordFile": "/etc/shadow"}},
}


@pytest.mark.parametrize("path", FILES)
def test_a_file_of_the_daemon_is_refused_where_the_object_chooses_who_sees_it(shelf: Shelf, path: str) -> None:
    shelf.put("chat", prometheus={"url": "https://collector.example", **FILES[path]})

    shelf.watched.reload()

    (problem,) = shelf.watched.problems["serving/chat"]
    assert problem.path == path
    assert problem.value is None


def test_a_file_may_be_named_where_the_daemon_chooses_the_server(shelf: Shelf) -> None:
    shelf.put("chat", prometheus={"bearerTokenFile": "/etc/prometheus/token"})
    trusting = WatchedPolicies(shelf, Tenancy(prometheus_given=True))

    trusting.reload()

    assert set(trusting.policies) == {"chat"}


def put_with_stack_file(shelf: Shelf, name: str) -> None:
    document = shelf.put("chat", stackFile=name)
    del document["spec"]["stack"]


def test_an_object_names_no_stack_file_unless_the_operator_gives_a_folder(shelf: Shelf) -> None:
    put_with_stack_file(shelf, "/etc/hostname")

    shelf.watched.reload()

    (problem,) = shelf.watched.problems["serving/chat"]
    assert (problem.path, shelf.watched.policies) == ("spec.stackFile", {})
    assert "policyFiles in the settings file" in problem.message


def test_an_object_takes_a_stack_file_of_the_operators_folder_and_follows_it(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "ours.yaml").write_text("name: ours")
    put_with_stack_file(shelf, "ours.yaml")
    fenced = WatchedPolicies(shelf, Tenancy(files=PolicyFiles(tmp_path, fenced=True)))
    assert fenced.reload().added == ("chat",)
    assert not fenced.reload()

    (tmp_path / "ours.yaml").write_text("name: all of ours")

    assert fenced.reload().changed == ("chat",)
    assert not fenced.reload()
