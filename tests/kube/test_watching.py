"""A copy of a collection: kept up to date, kept at all while nobody can see the original."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from autoscaler.kube.watching import Watching
from autoscaler.targets.kubernetes.errors import KubeError, Operation, RejectedError, UnavailableError
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef
from tests.kube.conftest import Connect
from tests.support.kube import FakeCluster
from tests.support.prometheus import wait_until

REF = ObjectRef("v1", "ConfigMap", "configmaps", "serving")


def item(name: str, version: int, **data: str) -> JsonObject:
    return {"metadata": {"name": name, "namespace": "serving", "resourceVersion": str(version)}, "data": data}


def event(kind: str, document: JsonObject) -> JsonObject:
    return {"type": kind, "object": document}


def forgotten() -> KubeError:
    return RejectedError(Operation("watch", REF), 410, "too old resource version")


def gone() -> KubeError:
    return UnavailableError(Operation("watch", REF), None, "the connection broke")


class Script:
    """Answers lists and watches in turn; an exception is raised where its turn has come."""

    def __init__(self, lists: list[list[JsonObject] | KubeError], watches: list[list[JsonObject | KubeError]]) -> None:
        self._lists = iter(lists)
        self._watches = iter(watches)
        self.since: list[str] = []

    def list_all(self, ref: ObjectRef, *, label_selector: str = "") -> tuple[list[JsonObject], str]:
        assert (ref, label_selector) == (REF, "")
        found = next(self._lists)
        if isinstance(found, KubeError):
            raise found
        return found, "10"

    def watch(self, ref: ObjectRef, *, since: str, timeout_s: float) -> Iterator[JsonObject]:
        assert (ref, timeout_s) == (REF, 60.0)
        self.since.append(since)
        for step in next(self._watches, [gone()]):
            if isinstance(step, KubeError):
                raise step
            yield step


def names(watching: Watching) -> list[str]:
    return sorted(watching.objects or {})


def test_nothing_is_known_before_the_first_list() -> None:
    assert Watching(Script([], []), REF).objects is None


def test_what_is_added_changed_and_deleted_is_followed() -> None:
    script = Script(
        [[item("a", 1), item("b", 2)]],
        [
            [
                event("ADDED", item("c", 11)),
                event("MODIFIED", item("a", 12, x="1")),
                event("DELETED", item("b", 13)),
                event("BOOKMARK", {"metadata": {"resourceVersion": "20"}}),
            ],
            [],
            [gone()],
        ],
    )
    watching = Watching(script, REF)

    with pytest.raises(UnavailableError):
        watching.follow()

    assert names(watching) == ["serving/a", "serving/c"]
    assert (watching.objects or {})["serving/a"]["data"] == {"x": "1"}
    assert script.since == ["10", "20", "20"]


def test_a_place_that_is_forgotten_is_listed_anew_and_what_vanished_meanwhile_is_gone() -> None:
    script = Script([[item("a", 1), item("b", 2)], [item("b", 2)]], [[forgotten()], [gone()]])
    watching = Watching(script, REF)

    watching.follow()
    assert names(watching) == ["serving/a", "serving/b"]
    with pytest.raises(UnavailableError):
        watching.follow()

    assert names(watching) == ["serving/b"]


def test_objects_do_not_vanish_while_nobody_can_see_them() -> None:
    script = Script([[item("a", 1)], gone()], [[gone()]])
    watching = Watching(script, REF)
    for _ in range(2):
        with pytest.raises(UnavailableError):
            watching.follow()

    assert names(watching) == ["serving/a"]


def make(cluster: FakeCluster, name: str) -> None:
    document: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    cluster.create("configmaps", document)


def test_the_thread_keeps_up_with_a_server_through_expiry(fake_kube_api: FakeCluster, connect: Connect) -> None:
    make(fake_kube_api, "a")
    watching = Watching(connect(fake_kube_api), REF, watch_s=1.0)
    watching.start()
    try:
        wait_until(lambda: names(watching) == ["serving/a"], "a listed")
        make(fake_kube_api, "b")
        wait_until(lambda: names(watching) == ["serving/a", "serving/b"], "b seen")
        fake_kube_api.api.store.compact()
        fake_kube_api.delete("v1", "configmaps", "a")
        wait_until(lambda: names(watching) == ["serving/b"], "a gone")
        assert watching.trouble == ""
    finally:
        fake_kube_api.api.close()
        watching.close()
        wait_until(lambda: not watching._thread.is_alive(), "thread ended")  # noqa: SLF001 - no thread is left behind


def test_why_nothing_can_be_seen_is_said(fake_kube_api: FakeCluster, connect: Connect) -> None:
    token = fake_kube_api.service_account("blind", [])
    watching = Watching(connect(fake_kube_api, token=token), REF)
    watching.start()

    wait_until(lambda: "missing verb list on configmaps" in watching.trouble, "the missing verb")

    watching.close()
