"""A copy of a collection: kept up to date, kept at all while nobody can see the original."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
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


class Always:
    """Lists one object, and answers each watch alike: with these steps, after each of these times and then at once."""

    def __init__(self, *steps: JsonObject | Exception, lasts_s: Sequence[float] = ()) -> None:
        self.lists = self.watches = 0
        self.at_s = 0.0
        self._steps = steps
        self._lasts_s = iter(lasts_s)

    def list_all(self, ref: ObjectRef, *, label_selector: str = "") -> tuple[list[JsonObject], str]:
        assert (ref, label_selector) == (REF, "")
        self.lists += 1
        return [item("a", 1)], "10"

    def watch(self, ref: ObjectRef, *, since: str, timeout_s: float) -> Iterator[JsonObject]:
        assert (ref, since, timeout_s) == (REF, "10", 60.0)
        self.watches += 1
        self.at_s += next(self._lasts_s, 0.0)
        for step in self._steps:
            if isinstance(step, Exception):
                raise step
            yield step


class Even(Random):
    """No jitter."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


def run(api: Always, pauses: int) -> tuple[Watching, list[float]]:
    """Run until so many pauses were taken; how long they were, in seconds."""
    taken: list[float] = []

    def pause(seconds: float) -> None:
        taken.append(seconds)
        api.at_s += seconds
        if len(taken) == pauses:
            watching.close()

    watching = Watching(api, REF, random=Even(), clock=lambda: api.at_s, pause=pause)
    watching.run()
    return watching, taken


def unhurried(script: Script) -> Watching:
    """Pauses take no time."""
    return Watching(script, REF, pause=lambda _seconds: None)


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
    watching = unhurried(script)

    with pytest.raises(UnavailableError):
        watching.follow()

    assert names(watching) == ["serving/a", "serving/c"]
    assert (watching.objects or {})["serving/a"]["data"] == {"x": "1"}
    assert script.since == ["10", "20", "20"]


def test_a_place_that_is_forgotten_is_listed_anew_and_what_vanished_meanwhile_is_gone() -> None:
    script = Script([[item("a", 1), item("b", 2)], [item("b", 2)]], [[forgotten()], [gone()]])
    watching = unhurried(script)

    watching.follow()
    assert names(watching) == ["serving/a", "serving/b"]
    with pytest.raises(UnavailableError):
        watching.follow()

    assert names(watching) == ["serving/b"]


def test_objects_do_not_vanish_while_nobody_can_see_them() -> None:
    script = Script([[item("a", 1)], gone()], [[gone()]])
    watching = unhurried(script)
    for _ in range(2):
        with pytest.raises(UnavailableError):
            watching.follow()

    assert names(watching) == ["serving/a"]


@pytest.mark.parametrize(
    "odd",
    [{"message": "upstream connect error"}, event("ADDED", {"kind": "Status", "message": "timeout"}), ValueError("?")],
    ids=["no event", "no object", "no answer that anybody expects"],
)
def test_what_makes_no_sense_is_said_and_the_watch_begins_anew_after_a_pause(odd: JsonObject | Exception) -> None:
    api = Always(odd)

    watching, pauses = run(api, 3)

    assert "configmaps cannot be followed" in watching.trouble
    assert names(watching) == ["serving/a"]
    assert (pauses, api.lists) == ([1.0, 2.0, 4.0], 3)


def test_watches_that_a_proxy_ends_at_once_begin_a_second_apart() -> None:
    api = Always()

    watching, pauses = run(api, 5)

    assert (pauses, api.lists, api.watches) == ([1.0] * 5, 1, 5)
    assert watching.trouble == ""


def test_a_place_that_is_forgotten_again_and_again_is_asked_for_more_and_more_seldom() -> None:
    api = Always(forgotten())

    _, pauses = run(api, 7)

    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert api.lists == 7


@pytest.mark.parametrize(("steps", "lists"), [((), 1), ((forgotten(),), 3)], ids=["ended", "forgotten"])
def test_a_watch_that_lasted_is_followed_by_the_next_without_a_pause(steps: tuple[KubeError, ...], lists: int) -> None:
    api = Always(*steps, lasts_s=[60.0, 60.0])

    _, pauses = run(api, 1)

    assert (pauses, api.watches, api.lists) == ([1.0], 3, lists)


def test_after_a_watch_that_went_well_pauses_begin_small_again() -> None:
    taken: list[float] = []
    script = Script([[], [], [], gone()], [[gone()], [gone()], [], [gone()]])

    def pause(seconds: float) -> None:
        taken.append(seconds)
        if len(taken) == 5:
            watching.close()

    watching = Watching(script, REF, random=Even(), clock=lambda: 0.0, pause=pause)
    watching.run()

    assert taken == [1.0, 2.0, 1.0, 1.0, 2.0]


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
