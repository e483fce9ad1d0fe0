"""Thousands of objects that no API server should send: words, and nothing else that is raised."""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import Any

import pytest

from autoscaler.config import ScalingPolicy
from autoscaler.daemon.elector import Elector, Terms
from autoscaler.daemon.places import target_aims
from autoscaler.daemon.pod_marks import MarksError, Pod, PodMarks
from autoscaler.daemon.pod_routing import PodRouting
from autoscaler.daemon.state_config_map import ConfigMapStateStore
from autoscaler.daemon.state_store import StateStoreError
from autoscaler.daemon.tenancy import Tenancy
from autoscaler.daemon.watched_policies import WatchedPolicies
from autoscaler.kube.lease import lease_ref
from autoscaler.targets.kubernetes.build import role_target
from autoscaler.targets.kubernetes.competitors import find_competitors
from autoscaler.targets.kubernetes.errors import SHAPE_ERRORS, KubeError, NotFoundError, Operation
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef
from autoscaler.targets.kubernetes.specs.load import load_spec
from autoscaler.targets.role import UnreadableError
from tests.daemon.builders import START_S
from tests.e2e.stage import policy_document
from tests.fuzz.mutations import luck_of, mutated
from tests.targets.kubernetes.cases import CASES
from tests.targets.kubernetes.objects import Case

ROUNDS = 40


class MadServer:
    """Has the objects of a case, and damages what it answers."""

    def __init__(self, case: Case, luck: Random) -> None:
        self._luck = luck
        self._objects = {
            (one.plural, one.document["metadata"]["name"]): {
                **one.document,
                "status": one.status,
                "metadata": {**one.document["metadata"], "uid": "u", "resourceVersion": "7", "namespace": "serving"},
            }
            for one in case.objects
        }

    def get(self, ref: ObjectRef, subresource: str = "") -> JsonObject:
        found = self._objects.get((ref.plural, ref.name))
        if found is None:
            raise NotFoundError(Operation("get", ref), 404, "not found")
        if subresource:
            found = {
                "kind": "Scale",
                "metadata": found["metadata"],
                "spec": {"replicas": 3},
                "status": {"replicas": 3, "selector": "app=chat"},
            }
        made = mutated(found, self._luck, times=self._luck.choice([0, 1, 2]))
        return self._as_promised(made, found)

    def list_items(self, ref: ObjectRef, *, label_selector: str = "") -> list[JsonObject]:  # noqa: ARG002 - all of them
        found = [one for (plural, _), one in self._objects.items() if plural == ref.plural]
        return [self._as_promised(mutated(one, self._luck), one) for one in found]

    def patch(self, ref: ObjectRef, change: Any, *, subresource: str = "", dry_run: bool = False) -> JsonObject:
        raise AssertionError((ref, change, subresource, dry_run))

    def close(self) -> None:
        pass

    @staticmethod
    def _as_promised(made: Any, whole: JsonObject) -> JsonObject:
        """Every object has a name, a uid and a version: without, it is none, which the client sees to."""
        made = made if isinstance(made, dict) else {}
        metadata = made.get("metadata")
        kept = {key: whole["metadata"][key] for key in ("uid", "resourceVersion", "name", "namespace")}
        return {**made, "metadata": {**(metadata if isinstance(metadata, dict) else {}), **kept}}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_workload_that_makes_no_sense_cannot_be_read_and_it_is_said(case: Case) -> None:
    luck = luck_of(str(case))
    server: Any = MadServer(case, luck)
    target = role_target(server, load_spec(case.spec), case.service("serving"), case.role)

    said: list[str] = []
    for _ in range(ROUNDS):
        try:
            state = target.read().state
        except UnreadableError as error:
            said.append(str(error))
        else:
            assert state.current >= 0
            assert state.ready >= 0
        find_competitors(server, load_spec(case.spec), case.service("serving"), case.role)
    assert all(said)


def test_pods_that_make_no_sense_are_not_marked_and_it_is_said() -> None:
    luck = luck_of(1)
    pods = [
        {"metadata": {"name": name, "annotations": {}}, "spec": {"containers": []}, "status": {"conditions": []}}
        for name in "abc"
    ]

    class Pods(MadServer):
        def get(self, ref: ObjectRef, subresource: str = "") -> JsonObject:  # noqa: ARG002 - the scale
            return {"status": {"selector": "app=chat"}}

        def list_items(self, ref: ObjectRef, *, label_selector: str = "") -> list[JsonObject]:  # noqa: ARG002 - pods
            return [mutated(pod, luck) for pod in pods]

    document = policy_document("chat", "serving", "http://prom:9090")
    aims = target_aims(ScalingPolicy.model_validate(document))
    server: Any = Pods(CASES[0], luck)
    marks = PodMarks(server, aims)
    said: list[str] = []
    for _ in range(500):
        for role in aims:
            try:
                said += [str(pod.ref) for pod in marks.pods(role)]
            except MarksError as error:
                said.append(str(error))
    assert all(said)


def test_pods_and_controllers_that_make_no_sense_stay_in_routing_and_it_is_said() -> None:
    luck, label = luck_of(3), "llm-d.ai/inference-serving"
    owner = {"kind": "ReplicaSet", "name": "chat-1", "controller": True}
    metadata = {"name": "a", "namespace": "serving", "labels": {label: "true"}, "ownerReferences": [owner]}
    pod = {"metadata": metadata, "spec": {}, "status": {"conditions": []}}
    replica_set = {"spec": {"selector": {"matchLabels": {"app": "chat"}, "matchExpressions": [{"key": "x"}]}}}

    class Server:
        def get(self, _ref: ObjectRef) -> Any:
            return mutated(replica_set, luck)

        def patch(self, _ref: ObjectRef, _change: JsonObject) -> Any:
            return mutated(pod, luck)

    server: Any = Server()
    said: list[str] = []
    for _ in range(1000):
        with suppress(*SHAPE_ERRORS):  # what its reader turns into words, as above
            found = Pod.of(mutated(pod, luck, times=luck.choice([0, 1])))
        try:
            PodRouting(server, label).withdraw([found])
        except MarksError as error:
            said.append(str(error))
    assert len(said) > 100
    assert all(said)


def test_policy_objects_that_make_no_sense_are_refused_in_words() -> None:
    luck = luck_of(2)
    whole = policy_document("chat", "serving", "http://prom:9090")
    whole["metadata"] |= {"uid": "u", "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z"}

    class Shelf:
        objects: dict[str, JsonObject] = {}  # noqa: RUF012 - exchanged by the test

    shelf = Shelf()
    watched = WatchedPolicies(shelf, Tenancy())
    for _ in range(300):
        made = mutated(whole, luck, times=luck.choice([1, 2]))
        shelf.objects = {"serving/chat": MadServer._as_promised(made, whole)}  # noqa: SLF001 - what a list promises
        watched.reload()
        assert all(str(problem) for problem in watched.errors)


def test_leases_that_make_no_sense_are_free() -> None:
    luck = luck_of(3)
    whole = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": "pd.chat",
            "annotations": {"a": "b"},
            "uid": "u",
            "resourceVersion": "7",
            "namespace": "n",
        },
        "spec": {
            "holderIdentity": "other",
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-01-01T00:00:00.000000Z",
            "renewTime": "2026-01-01T00:00:00.000000Z",
            "leaseTransitions": 3,
        },
    }

    class Refusing:
        def create(self, ref: ObjectRef, document: JsonObject) -> JsonObject:
            raise KubeError(Operation("create", ref), 500, str(document)[:10])

        def replace(self, ref: ObjectRef, document: JsonObject) -> JsonObject:
            raise KubeError(Operation("update", ref), 500, str(document)[:10])

    elector = Elector(
        Refusing(), lease_ref("n", "pd.chat"), "me", monotonic=lambda: 0.0, wall=lambda: START_S, terms=Terms()
    )
    for _ in range(500):
        elector.observe(MadServer._as_promised(mutated(whole, luck), whole))  # noqa: SLF001 - what a list promises
        elector.step()
        assert not elector.may_write()


def test_memory_that_makes_no_sense_counts_as_none() -> None:
    luck = luck_of(4)
    text = (
        '{"version":1,"started_at_s":1.0,"decided_at_s":2.0,"roles":{"decode":{"current":3}},"originals":{"decode":2}}'
    )
    whole = {"metadata": {"name": "pd.chat", "uid": "u", "resourceVersion": "7", "namespace": "n"}, "data": {}}

    class Server:
        def get(self, ref: ObjectRef) -> JsonObject:  # noqa: ARG002 - the only one
            at = luck.randrange(len(text))
            damaged = text[:at] + luck.choice(["", "}", "null", '"x"', "1e999", "[", "NaN", "-"]) + text[at + 1 :]
            data = luck.choice([{"state.json": damaged}, {"state.json": text}])
            return MadServer._as_promised(mutated({**whole, "data": data}, luck), whole)  # noqa: SLF001 - as above

        def create(self, ref: ObjectRef, document: JsonObject) -> JsonObject:  # noqa: ARG002 - taken as it is
            return document

        def replace(self, ref: ObjectRef, document: JsonObject) -> JsonObject:  # noqa: ARG002 - taken as it is
            return document

    store = ConfigMapStateStore(Server(), "n", "pd")
    said: list[str] = []
    for _ in range(500):
        try:
            store.load("chat", START_S)
        except StateStoreError as error:
            said.append(str(error))
    assert said
    assert all("starting without memory" in words for words in said)
