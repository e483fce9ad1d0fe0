"""When the status of a policy object is written, and by whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from autoscaler.config import Problem
from autoscaler.core.policy import Role
from autoscaler.daemon.status_reporter import StatusReporter
from autoscaler.daemon.tick import Dependency
from autoscaler.daemon.watched_policies import PolicyObject
from autoscaler.kube.crd import definition, policy_ref
from tests.daemon.builders import Bench, blind_signals, policy, role_policy, steady_signals
from tests.daemon.world import NAMESPACE, StoreApi, World
from tests.e2e.stage import policy_document


class Stand:
    """A policy object on a server, and a bench whose ticks are written into it."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.world = World()
        self.api = StoreApi(self.world)
        crd = self.world.address("apiextensions.k8s.io/v1", "customresourcedefinitions", "")
        self.world.store.create(crd, definition(), manager="test")
        self.world.store.registry.define(definition())
        made = self.world.store.create(
            self.world.address("pd-autoscaler.io/v1alpha1", "scalingpolicies"),
            policy_document("chat", NAMESPACE, "http://prom:9090"),
            manager="kubectl",
        )
        self.policy = PolicyObject(policy_ref(NAMESPACE, "chat"), made["metadata"]["uid"], 1, {})
        self.problems: Mapping[str, list[Problem]] = {}
        self.reporter = StatusReporter(self.api, self)

    def object(self, key: str) -> PolicyObject | None:
        return self.policy if key == f"{NAMESPACE}/chat" else None

    def object_of(self, service: str) -> PolicyObject | None:
        return self.policy if service == "chat" else None

    def tick(self, after_s: float = 15.0) -> list[Any]:
        return self.reporter.report(self.bench.tick(after_s))

    def follow(self, *running: str, **failures: str) -> list[Any]:
        return self.reporter.follow(failures, running, self.bench.now_s)

    def edit(self, *wrong: str) -> None:
        """Somebody edits the object, and the watch brings it with its status."""
        self.policy = replace(self.policy, generation=self.policy.generation + 1)
        self.problems = {f"{NAMESPACE}/chat": [Problem("spec.interval", one) for one in wrong]} if wrong else {}
        self.read()

    def read(self) -> None:
        """The watch brings the status as it is now."""
        self.policy = replace(self.policy, status=self.status())

    def another(self) -> StatusReporter:
        """Of another daemon, which sees the same object."""
        return StatusReporter(StoreApi(self.world), self)

    def status(self) -> dict[str, Any]:
        address = self.world.address("pd-autoscaler.io/v1alpha1", "scalingpolicies", name="chat")
        return dict(self.world.store.get(address)["status"])

    def condition(self, kind: str) -> dict[str, Any]:
        (found,) = (item for item in self.status()["conditions"] if item["type"] == kind)
        return dict(found)


def test_a_status_is_written_and_the_server_takes_it() -> None:
    stand = Stand(Bench(policy(prefill=role_policy(3))))

    assert stand.tick() == []

    assert stand.status()["summary"]["prefill"] == "2 -> 3"
    assert len(stand.status()["conditions"]) == 6


def test_what_says_the_same_is_not_written_again_for_a_while() -> None:
    stand = Stand(Bench())

    for _ in range(19):
        stand.tick()
    assert stand.api.requests == ["patch"]
    for _ in range(3):
        stand.tick()

    assert stand.api.requests == ["patch", "patch"]


def test_what_changes_is_written_at_once() -> None:
    stand = Stand(Bench())
    stand.tick()
    stand.bench.source.signals = blind_signals()

    stand.tick()

    assert stand.condition("Effective")["status"] == "False"


def test_the_last_scale_time_survives_ticks_that_scale_nothing() -> None:
    stand = Stand(Bench(policy(prefill=role_policy(3))))
    stand.tick()
    scaled_at = stand.status()["lastScaleTime"]

    stand.tick()

    assert stand.status()["summary"]["prefill"] == "3 -> 3"
    assert stand.status()["lastScaleTime"] == scaled_at


def test_a_role_that_can_no_longer_be_read_loses_its_numbers() -> None:
    stand = Stand(Bench())
    stand.tick()
    stand.bench.target.errors[Role.PREFILL] = "gone"

    stand.tick()

    assert set(stand.status()["roles"]) == {"decode"}


def test_a_standby_writes_nothing() -> None:
    bench = Bench()
    bench.may_write = lambda: False
    stand = Stand(bench)

    stand.tick()

    assert stand.api.requests == []


def test_a_refused_edit_is_told_and_what_still_runs_is_told_beside_it() -> None:
    stand = Stand(Bench())
    stand.tick()
    stand.policy = replace(stand.policy, generation=2)
    stand.problems = {f"{NAMESPACE}/chat": [Problem("spec.interval", "is no duration", "soon", file="x", line=1)]}

    stand.follow("chat")
    stand.tick()

    ready = stand.condition("Ready")
    assert (ready["status"], ready["reason"], ready["observedGeneration"]) == ("False", "Refused", 2)
    assert ready["message"].startswith("spec.interval: is no duration")
    assert ready["message"].endswith("the last good policy stays in force")
    assert stand.condition("Active")["status"] == "True"


def test_a_policy_that_never_ran_is_not_said_to_stay_in_force() -> None:
    stand = Stand(Bench())

    stand.follow(chat="chat: no Prometheus is named")
    assert stand.condition("Ready")["message"] == "chat: no Prometheus is named"

    stand.follow("chat", chat="chat: no Prometheus is named")
    assert stand.condition("Ready")["message"].endswith("; the last good policy stays in force")


def test_a_refusal_is_written_once() -> None:
    stand = Stand(Bench())
    stand.problems = {f"{NAMESPACE}/chat": [Problem("spec.interval", "is no duration")]}

    for _ in range(5):
        stand.bench.now_s += 400.0
        stand.follow()

    assert stand.api.requests == ["patch"]


def test_a_standby_that_tells_of_a_refusal_leaves_what_the_leader_wrote_since_it_last_did() -> None:
    stand = Stand(Bench())
    standby = stand.another()
    stand.bench.source.signals = blind_signals()
    stand.tick()
    stand.edit("is no duration")
    standby.follow({}, [], stand.bench.now_s)
    stand.edit()
    standby.follow({}, [], stand.bench.now_s)
    stand.bench.source.signals = steady_signals()
    stand.tick()

    stand.edit("is no duration, either")
    standby.follow({}, [], stand.bench.now_s)

    assert stand.condition("Ready")["message"].startswith("spec.interval: is no duration, either")
    assert stand.condition("Effective")["status"] == "True"


def test_what_was_just_written_counts_before_the_watch_brings_it_back() -> None:
    stand = Stand(Bench())
    stand.tick()
    stand.problems = {f"{NAMESPACE}/chat": [Problem("spec.interval", "is no duration")]}

    stand.follow()

    assert stand.condition("Ready")["status"] == "False"
    assert stand.condition("Effective")["status"] == "True"


def test_a_standby_that_takes_over_keeps_the_dates_of_the_leader_before() -> None:
    stand = Stand(Bench())
    leader = stand.another()
    stand.bench.source.signals = blind_signals()
    stand.tick()
    stand.bench.source.signals = steady_signals()
    done = stand.bench.tick()
    leader.report(done)
    stand.reporter.report(replace(done, leads=False))
    stand.read()
    since = stand.condition("Effective")["lastTransitionTime"]

    stand.tick()

    assert stand.condition("Effective")["lastTransitionTime"] == since


def test_two_daemons_that_do_not_agree_do_not_answer_each_other_for_ever() -> None:
    stand = Stand(Bench())
    stand.tick()
    standby = stand.another()

    for _ in range(5):
        stand.read()
        stand.follow(chat="chat: no Prometheus is named")
        stand.read()
        standby.follow({"chat": "chat: no token file"}, [], stand.bench.now_s)

    assert stand.api.requests == ["patch", "patch"]
    assert stand.condition("Ready")["message"].startswith("chat: no token file")


def test_a_policy_that_cannot_be_put_to_work_for_another_reason_says_that() -> None:
    stand = Stand(Bench())
    stand.follow(chat="chat: no Prometheus is named")

    stand.follow(chat="chat: no token file")

    assert stand.condition("Ready")["message"].startswith("chat: no token file")


def test_a_policy_that_cannot_be_put_to_work_says_why() -> None:
    stand = Stand(Bench())

    stand.follow(chat="chat: no Prometheus is named")

    assert stand.condition("Ready")["reason"] == "CannotRun"


def test_a_mended_policy_is_ready_again() -> None:
    stand = Stand(Bench())
    stand.follow(chat="chat: no Prometheus is named")

    stand.follow()
    stand.tick()

    assert stand.condition("Ready")["status"] == "True"


def test_an_object_that_was_made_anew_does_not_inherit() -> None:
    stand = Stand(Bench())
    stand.tick()
    before = stand.condition("Ready")
    stand.policy = replace(stand.policy, uid="another", status={})

    stand.tick()

    assert before["status"] == stand.condition("Ready")["status"]
    assert before["lastTransitionTime"] < stand.condition("Ready")["lastTransitionTime"]


def test_a_status_that_cannot_be_written_is_trouble_until_it_can() -> None:
    stand = Stand(Bench())
    stand.api.before = stand.api.fail

    found = [stand.tick() for _ in range(4)]
    tried = len(stand.api.requests)
    stand.api.before = lambda: None
    after = stand.tick()

    assert [[trouble.dependency for trouble in troubles] for troubles in found] == [[Dependency.STATUS]] * 4
    assert tried == 1
    assert after == []


def test_an_object_that_was_deleted_is_no_trouble() -> None:
    stand = Stand(Bench())
    address = stand.world.address("pd-autoscaler.io/v1alpha1", "scalingpolicies", name="chat")
    stand.world.store.delete(address, {})

    assert stand.tick() == []
