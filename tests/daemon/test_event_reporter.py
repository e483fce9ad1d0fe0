"""Events: posted once, counted up while they last, and never anybody's trouble but their own."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.core.policy import Mode, Role
from autoscaler.daemon.event_reporter import EventReporter, Subject
from autoscaler.daemon.ledger import Ledger
from autoscaler.daemon.reporters import Reporters
from autoscaler.daemon.tick import Dependency, Tick, Trouble
from autoscaler.report.record import decision_id
from autoscaler.targets.kubernetes.refs import ObjectRef
from tests.daemon.builders import Bench, capturing, crowded_decode_signals, policy, role_policy
from tests.daemon.world import NAMESPACE, StoreApi, World
from tests.support.kube_api.manifests import deployment


class Stand:
    """A bench whose ticks are told as Events on two Deployments."""

    def __init__(self, bench: Bench, *, on_policy: bool = False) -> None:
        self.bench = bench
        self.world = World()
        self.api = StoreApi(self.world)
        for role in ("prefill", "decode"):
            address = self.world.address("apps/v1", "deployments")
            self.world.store.create(address, deployment(f"chat-{role}"), manager="test")
        self.is_policy = on_policy
        self.reporter = EventReporter(self.api, self.subjects, "pod_1")

    def subjects(self, _service: str, role: Role) -> list[Subject]:
        return [Subject(ObjectRef.deployment(NAMESPACE, f"chat-{role}"), is_policy=self.is_policy)]

    def tick(self, after_s: float = 15.0) -> list[Trouble]:
        done = self.bench.tick(after_s)
        return self.reporter.report(done)

    def events(self) -> list[dict[str, Any]]:
        return self.world.store.select(self.world.address("v1", "events"))


def limited() -> Bench:
    bench = Bench(policy(decode=role_policy(1, 2)))
    bench.source.signals = crowded_decode_signals()
    return bench


def test_a_change_is_an_event_on_its_workload() -> None:
    stand = Stand(Bench(policy(prefill=role_policy(3))))

    stand.tick()

    (event,) = stand.events()
    about = stand.world.store.get(stand.world.address("apps/v1", "deployments", name="chat-prefill"))
    assert event["involvedObject"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "chat-prefill",
        "namespace": NAMESPACE,
        "uid": about["metadata"]["uid"],
    }
    assert (event["reason"], event["type"], event["count"]) == ("Scaled", "Normal", 1)
    assert event["message"].startswith("scaled prefill from 2 to 3 replicas: ")
    assert event["message"].endswith(f" [decision {decision_id('chat', stand.bench.now_s)}]")
    assert event["reportingInstance"] == "pod_1"


@pytest.mark.parametrize(
    ("mode", "about"),
    [(Mode.ENFORCE, {"chat", "chat-decode"}), (Mode.RECOMMEND, {"chat"})],
    ids=["enforce", "recommend"],
)
def test_under_a_policy_object_both_it_and_the_workload_are_told_each_once(mode: Mode, about: set[str]) -> None:
    stand = Stand(Bench(policy(mode, decode=role_policy(3))))
    own = Subject(
        ObjectRef("pd-autoscaler.io/v1alpha1", "ScalingPolicy", "scalingpolicies", NAMESPACE, "chat"), "u", True
    )
    stand.reporter = EventReporter(stand.api, lambda service, role: [own, *stand.subjects(service, role)], "pod_1")

    for _ in range(3):
        stand.tick()

    told = [(event["involvedObject"]["name"], event["reason"]) for event in stand.events()]
    assert {name for name, _ in told} == about
    assert len(told) == len(set(told))


def test_what_lasts_is_one_event_that_is_counted_up() -> None:
    stand = Stand(limited())

    for _ in range(100):
        stand.tick()

    (event,) = stand.events()
    assert (event["reason"], event["type"], event["count"]) == ("Limited", "Warning", 3)
    assert event["lastTimestamp"] > event["firstTimestamp"]


def test_what_comes_and_goes_is_not_an_event_each_time() -> None:
    stand = Stand(limited())
    crowded, quiet = stand.bench.source.signals, Bench().source.signals

    for number in range(40):
        stand.bench.source.signals = quiet if number % 2 else crowded
        stand.tick()

    assert [event["reason"] for event in stand.events()] == ["Limited"]


def test_an_event_that_the_server_has_forgotten_is_posted_anew() -> None:
    stand = Stand(limited())
    stand.tick()
    (event,) = stand.events()
    stand.world.store.delete(stand.world.address("v1", "events", name=event["metadata"]["name"]), {})

    stand.tick(after_s=900.0)

    (again,) = stand.events()
    assert again["count"] == 1


def test_what_lasts_is_told_anew_about_a_workload_that_was_made_anew() -> None:
    """One of the same name is another object: `kubectl describe` of it shows nothing that is about the old one."""
    stand = Stand(limited())
    stand.tick()
    decode = stand.world.address("apps/v1", "deployments", name="chat-decode")
    stand.world.store.delete(decode, {})
    stand.world.store.create(
        stand.world.address("apps/v1", "deployments"), deployment("chat-decode"), manager="somebody"
    )

    stand.tick(after_s=900.0)
    stand.tick(after_s=900.0)

    uid = stand.world.store.get(decode)["metadata"]["uid"]
    told = {event["involvedObject"]["uid"]: event["count"] for event in stand.events()}
    assert (len(told), told[uid]) == (2, 2)


@pytest.mark.parametrize("mode", [Mode.RECOMMEND, Mode.SERVER_DRY_RUN])
def test_an_adviser_writes_nothing_about_workloads(mode: Mode) -> None:
    stand = Stand(Bench(policy(mode, prefill=role_policy(3))))

    stand.tick()

    assert stand.api.requests == []


def test_an_adviser_writes_about_the_policy_itself() -> None:
    stand = Stand(Bench(policy(Mode.RECOMMEND, prefill=role_policy(3))), on_policy=True)

    stand.tick()

    assert [event["reason"] for event in stand.events()] == ["Recommended"]


def test_a_standby_tells_nothing() -> None:
    bench = limited()
    bench.may_write = lambda: False
    stand = Stand(bench)

    stand.tick()

    assert stand.events() == []


def test_what_cannot_be_posted_is_trouble_until_it_can_and_is_not_tried_at_each_tick() -> None:
    stand = Stand(limited())
    stand.api.before = stand.api.fail

    troubles = [stand.tick() for _ in range(4)]
    tried = len(stand.api.requests)
    stand.api.before = lambda: None
    after = stand.tick()

    assert [[trouble.dependency for trouble in found] for found in troubles] == [[Dependency.EVENTS]] * 4
    assert tried <= 2
    assert after == []
    assert len(stand.events()) == 1


def test_a_long_message_is_cut_to_what_the_server_takes() -> None:
    stand = Stand(Bench())
    stand.bench.target.errors[Role.PREFILL] = "ü" * 2000

    stand.tick()

    (event,) = stand.events()
    assert len(event["message"].encode()) <= 1024
    assert event["message"].endswith(f"… [decision {decision_id('chat', stand.bench.now_s)}]")


def test_no_credentials_get_into_an_event() -> None:
    stand = Stand(Bench())
    stand.bench.target.errors[Role.PREFILL] = "https://user:hunter2@proxy refused Authorization: Bearer abc.def"

    stand.tick()

    (event,) = stand.events()
    assert "hunter2" not in event["message"]
    assert "abc.def" not in event["message"]


def test_the_longest_name_still_makes_an_event() -> None:
    stand = Stand(limited())
    ref = ObjectRef.deployment(NAMESPACE, "d" * 253)
    stand.reporter = EventReporter(stand.api, lambda _service, _role: [Subject(ref, "uid")], "pod_1")

    stand.tick()

    (event,) = stand.events()
    assert len(event["metadata"]["name"]) <= 253


def test_what_cannot_be_told_is_counted_at_each_tick() -> None:
    class Refused:
        def report(self, tick: Tick) -> list[Trouble]:
            return [Trouble(Dependency.EVENTS, "events", f"may not create events about {tick.service}")]

    bench, ledger = Bench(), Ledger()
    ledger.open(bench.policy, bench.now_s)
    tell = Reporters([Refused()], bench.log, ledger.count)

    for _ in range(3):
        tell(bench.tick())

    assert ledger.accounts()["chat"].errors == {"events": 3}


def test_a_defect_in_telling_is_logged_once_and_goes_no_further() -> None:
    class Broken:
        def report(self, tick: Tick) -> list[Trouble]:
            raise ZeroDivisionError(tick.service)

    log, lines = capturing()
    tell = Reporters([Broken()], log)

    for _ in range(3):
        tell(Bench().tick())

    (line,) = lines
    assert isinstance(line["exc_info"], ZeroDivisionError)
