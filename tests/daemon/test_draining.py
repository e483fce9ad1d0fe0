"""Shrinking with care: who leaves, when the next may, and what is said of requests that were lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from autoscaler.core.policy import Role
from autoscaler.daemon.draining import DrainingTarget
from autoscaler.daemon.pod_marks import OURS, MarksError, MarksForbiddenError, Pod
from autoscaler.targets.base import Outcome, PoolReading, WriteResult
from autoscaler.targets.kubernetes.refs import ObjectRef
from tests.daemon.builders import HandClock, ScriptedTarget, capturing

LEASE_S = 30.0


def pod(name: str, *, serves: bool = True, leaves: bool = False, cost: str = "", grace_s: float = 600.0) -> Pod:
    controller = ObjectRef("apps/v1", "ReplicaSet", "replicasets", "serving", "chat-decode-1")
    return Pod(ObjectRef("v1", "Pod", "pods", "serving", name), serves, leaves, controller, grace_s, cost)


@dataclass
class Loads:
    found: dict[str, float] = field(default_factory=dict)
    stream_s: float | None = None

    def requests(self, role: Role) -> Mapping[str, float]:  # noqa: ARG002 - one pool at a time
        return self.found

    def longest_stream_s(self) -> float | None:
        return self.stream_s


@dataclass
class Marks:
    found: list[Pod] = field(default_factory=list)
    error: MarksError | None = None
    sets: list[tuple[list[str], str | None]] = field(default_factory=list)
    on_list: Callable[[], None] = lambda: None
    on_set: Callable[[], None] = lambda: None

    def pods(self, role: Role) -> Sequence[Pod]:  # noqa: ARG002 - one pool at a time
        self.on_list()
        return self.found

    def set(self, pods: Sequence[Pod], cost: str | None) -> None:
        if self.error:
            raise self.error
        self.on_set()
        self.sets.append(([one.ref.name for one in pods], cost))


@dataclass
class Leaving(ScriptedTarget):
    """Pods leave when the test lets them."""

    terminating: int = 0
    blockers: dict[Role, tuple[str, ...]] = field(default_factory=dict)

    def read(self) -> PoolReading:
        reading = super().read()
        pools = {role: replace(state, terminating=self.terminating) for role, state in reading.pools.items()}
        return replace(reading, pools=pools, blockers=dict(self.blockers))


class Stand:
    def __init__(self, role: Role = Role.DECODE, **requests: float) -> None:
        self.role = role
        self.inner = Leaving({Role.PREFILL: 4, Role.DECODE: 4})
        self.marks = Marks([pod(name) for name in requests])
        self.loads = Loads(dict(requests))
        self.clock = HandClock()
        log, self.lines = capturing()
        self.target = DrainingTarget(self.inner, self.marks, self.loads, kv_lease_s=LEASE_S, clock=self.clock, log=log)

    def write(self, replicas: int, *, dry_run: bool = False) -> WriteResult:
        self.target.read()
        return self.target.write(self.role, replicas, basis="v", dry_run=dry_run)

    def messages(self) -> str:
        return " ".join(f"{line['event']}: {line['message']}" for line in self.lines)


def test_the_least_loaded_leave() -> None:
    stand = Stand(a=5.0, b=1.0, c=9.0, d=0.0)

    assert stand.write(2).outcome is Outcome.APPLIED

    assert stand.marks.sets == [(["d", "b"], OURS)]


def test_pods_that_do_not_serve_leave_before_any_that_is_marked() -> None:
    stand = Stand(a=5.0, b=1.0, c=9.0)
    stand.marks.found += [pod("starting", serves=False)]

    stand.write(2)

    assert stand.marks.sets == [(["b"], OURS)]


def test_growth_and_trial_runs_mark_nobody() -> None:
    stand = Stand(a=5.0, b=1.0, c=9.0, d=0.0)

    stand.write(6)
    stand.write(2, dry_run=True)

    assert stand.marks.sets == []


@pytest.mark.parametrize("outcome", [Outcome.CONFLICT, Outcome.FORBIDDEN, Outcome.REJECTED])
def test_a_shrink_that_is_refused_takes_its_marks_back(outcome: Outcome) -> None:
    stand = Stand(a=5.0, b=1.0, c=9.0, d=0.0)
    stand.inner.answers[Role.DECODE] = outcome

    stand.write(3)

    assert stand.marks.sets == [(["d"], OURS), (["d"], None)]


def test_marks_that_a_failed_step_left_behind_are_moved() -> None:
    stand = Stand(a=5.0, b=1.0, c=9.0, d=0.0)
    stand.marks.found[0] = pod("a", cost=OURS)

    stand.write(3)

    assert stand.marks.sets == [(["a"], None), (["d"], OURS)]


def test_what_others_say_of_who_leaves_stands() -> None:
    stand = Stand(a=5.0, b=1.0, c=9.0, d=0.0)
    stand.marks.found[0] = pod("a", cost="100")

    assert stand.write(3).outcome is Outcome.APPLIED

    assert stand.marks.sets == []
    assert "somebody else sets the deletion cost" in stand.messages()


def test_without_the_load_of_each_pod_the_controller_chooses() -> None:
    stand = Stand(a=5.0, b=1.0, c=9.0, d=0.0)
    del stand.loads.found["c"]

    assert stand.write(3).outcome is Outcome.APPLIED
    assert stand.marks.sets == []


def test_without_the_right_to_mark_it_is_said_once_and_not_tried_again() -> None:
    stand = Stand(a=5.0, b=1.0, c=9.0, d=0.0)
    stand.marks.error = MarksForbiddenError("missing verb patch on pods")

    assert stand.write(3).outcome is Outcome.APPLIED
    stand.marks.error = None
    assert stand.write(2).outcome is Outcome.APPLIED

    assert stand.marks.sets == []
    assert stand.messages().count("missing verb patch on pods") == 1


def test_a_mark_that_fails_once_is_tried_again_at_the_next_step() -> None:
    stand = Stand(a=5.0, b=1.0, c=9.0, d=0.0)
    stand.marks.error = MarksError("patch pods serving/d: no answer within 5 s")
    assert stand.write(3).outcome is Outcome.APPLIED
    stand.marks.error = None

    stand.write(2)

    assert stand.marks.sets == [(["d"], OURS)]


def test_the_next_step_waits_for_those_who_leave() -> None:
    stand = Stand(a=5.0, b=1.0, c=9.0, d=0.0)
    stand.write(3)
    stand.inner.terminating = 1

    waits = stand.write(2)
    grows = stand.write(5)
    stand.inner.terminating = 0
    goes_on = stand.write(4)

    assert waits.outcome is Outcome.DEFERRED
    assert "1 replicas are still leaving" in waits.message
    assert (grows.outcome, goes_on.outcome) == (Outcome.APPLIED, Outcome.APPLIED)


def test_a_pod_that_never_ends_holds_nothing_up_for_ever() -> None:
    stand = Stand()
    stand.inner.terminating = 1
    assert stand.write(3).outcome is Outcome.DEFERRED

    stand.clock.at_s += 721.0

    assert stand.write(3).outcome is Outcome.APPLIED


def test_prefill_waits_until_nobody_may_still_fetch_kv() -> None:
    stand = Stand(Role.PREFILL, a=5.0, b=1.0)
    stand.write(3)
    stand.inner.terminating = 1
    stand.clock.at_s += 40.0
    stand.write(2)
    stand.inner.terminating = 0

    waits = stand.write(2)
    stand.clock.at_s += LEASE_S
    goes_on = stand.write(2)

    assert waits.outcome is Outcome.DEFERRED
    assert "may still fetch KV for 30 s" in waits.message
    assert goes_on.outcome is Outcome.APPLIED


@pytest.mark.parametrize(("ended_after_s", "lost"), [(599.0, False), (601.0, True)])
def test_requests_in_flight_at_the_end_of_the_grace_period_are_told(ended_after_s: float, *, lost: bool) -> None:
    stand = Stand(a=5.0, b=1.0, c=9.0, d=3.0)
    stand.write(3)
    stand.inner.terminating = 1
    stand.target.read()
    stand.clock.at_s += ended_after_s
    stand.inner.terminating = 0
    stand.target.read()

    assert ("requests lost: pods were killed after their grace period of 600 s" in stand.messages()) == lost


@pytest.mark.parametrize(
    ("role", "grace_s", "words"),
    [
        (Role.DECODE, 30.0, "1 of 100 streams lasts longer than about 90 s"),
        (Role.DECODE, 90.0, ""),
        (Role.PREFILL, 20.0, "decode may fetch KV from them for 30 s"),
        (Role.PREFILL, 30.0, ""),
    ],
)
def test_a_grace_period_that_is_too_short_is_said_once(role: Role, grace_s: float, words: str) -> None:
    stand = Stand(role, a=1.0)
    stand.marks.found = [pod("a", grace_s=grace_s)]
    stand.loads.stream_s = 90.0

    stand.write(3)
    stand.clock.at_s += LEASE_S
    stand.write(2)

    warned = [line for line in stand.lines if line["event"] == "grace period short"]
    assert len(warned) == (1 if words else 0)
    assert words in stand.messages()
