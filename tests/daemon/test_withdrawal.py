"""Out of routing first: when pods leave, and when they come back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from autoscaler.core.policy import Role
from autoscaler.daemon.draining import DrainingTarget
from autoscaler.daemon.leadership import LED_BY_ANOTHER
from autoscaler.daemon.pod_marks import MarksError, MarksForbiddenError, Pod
from autoscaler.daemon.withdrawal import Withdrawal
from autoscaler.targets.base import Outcome, WriteResult
from tests.daemon.builders import HandClock, capturing
from tests.daemon.test_draining import LEASE_S, Leaving, Loads, Marks, pod

TICK_S = 15.0
GRACE_S = 600.0


@dataclass
class Router:
    """Routes to all pods but those that were taken out."""

    out: set[str] = field(default_factory=set)
    error: str = ""

    def withdraw(self, pods: Sequence[Pod]) -> None:
        self._require_health()
        self.out |= {one.ref.name for one in pods}

    def readmit(self, pods: Sequence[Pod]) -> None:
        if pods:
            self._require_health()
        self.out -= {one.ref.name for one in pods}

    def _require_health(self) -> None:
        if self.error:
            raise MarksError(self.error)


class Stand:
    """A pool of 4; `requests` says what each pod has to do, and moves only by the test."""

    def __init__(self, role: Role = Role.DECODE) -> None:
        self.role = role
        self.inner = Leaving({Role.PREFILL: 4, Role.DECODE: 4})
        self.requests = {"a": 5.0, "b": 1.0, "c": 9.0, "d": 2.0}
        self.marks = Marks([pod(name, grace_s=GRACE_S) for name in self.requests])
        self.router = Router()
        self.clock = HandClock()
        self.log, self.lines = capturing()
        self.leads = True
        self.restart()

    def restart(self) -> None:
        """As after a kill: what the pods carry is left, and nothing else."""
        self.marks.found = [
            replace(one, withdrawn="true" if one.ref.name in self.router.out else "") for one in self.marks.found
        ]
        self.target = DrainingTarget(
            self.inner,
            self.marks,
            Loads(self.requests),
            kv_lease_s=LEASE_S,
            clock=self.clock,
            log=self.log,
            withdrawal=Withdrawal(self.router, kv_lease_s=LEASE_S, clock=self.clock),
            may_write=lambda: self.leads,
        )

    def tick(self, replicas: int | None = 3) -> WriteResult | None:
        """One interval passes; a shrink is asked for, or nothing."""
        self.clock.at_s += TICK_S
        self.target.read()
        if replicas is None:
            return None
        return self.target.write(self.role, replicas, basis="v", dry_run=False)

    def outcome(self, replicas: int = 3) -> Outcome:
        done = self.tick(replicas)
        assert done is not None
        return done.outcome

    def ticks_until_it_shrinks(self, most: int = 100) -> int:
        for number in range(most):
            if self.outcome() is Outcome.APPLIED:
                return number
        raise AssertionError("never")


def test_who_is_to_leave_gets_no_new_requests_and_leaves_once_it_has_none() -> None:
    stand = Stand()

    first = stand.tick()
    assert first == WriteResult(
        Outcome.DEFERRED,
        "decode: 1 replicas are out of routing and finish 1 requests; they leave then, or in 600 s",
    )
    assert stand.router.out == {"b"}
    assert [stand.outcome() for _ in range(3)] == [Outcome.DEFERRED] * 3

    stand.requests["b"] = 0.0
    assert stand.outcome() is Outcome.APPLIED
    assert stand.inner.counts[Role.DECODE] == 3
    assert stand.marks.sets == [(["b"], "-20250")]


def test_gauges_of_before_are_not_believed() -> None:
    stand = Stand()
    stand.requests["b"] = 0.0

    assert stand.ticks_until_it_shrinks() * TICK_S == 30.0


def test_prefill_stays_until_nobody_may_still_fetch_what_it_computed() -> None:
    stand = Stand(Role.PREFILL)
    stand.requests["b"] = 0.0

    assert stand.ticks_until_it_shrinks() * TICK_S == 30.0 + LEASE_S


def test_a_stream_that_never_ends_holds_it_up_for_one_grace_period() -> None:
    assert Stand().ticks_until_it_shrinks() * TICK_S == GRACE_S


def test_who_was_chosen_stays_chosen_though_others_have_less_to_do_by_now() -> None:
    stand = Stand()
    stand.tick()
    stand.requests |= {"b": 4.0, "d": 0.0}

    stand.tick()

    assert stand.router.out == {"b"}


def test_a_smaller_step_puts_those_back_that_stay_and_a_larger_one_takes_more_out() -> None:
    stand = Stand()
    stand.tick(2)
    assert stand.router.out == {"b", "d"}

    stand.tick(3)
    assert stand.router.out == {"b"}
    stand.tick(1)
    assert stand.router.out == {"b", "d", "a"}


def test_a_pod_that_is_made_anew_under_its_name_while_it_is_out_goes_out_again() -> None:
    stand = Stand()
    stand.tick()
    stand.router.out.clear()
    stand.requests["b"] = 0.0
    stand.marks.found = [replace(one, uid="another") if one.ref.name == "b" else one for one in stand.marks.found]

    assert stand.ticks_until_it_shrinks() * TICK_S == 30.0
    assert stand.router.out == {"b"}


@pytest.mark.parametrize("then", ["nothing is asked", "growth", "a refusal", "the end"])
def test_where_the_shrink_is_not_carried_out_they_go_back(then: str) -> None:
    stand = Stand()
    stand.tick()
    assert stand.router.out == {"b"}

    if then == "a refusal":
        stand.requests["b"] = 0.0
        stand.inner.answers[Role.DECODE] = Outcome.FORBIDDEN
        while stand.outcome() is not Outcome.FORBIDDEN:
            pass
    elif then == "the end":
        stand.target.close()
    else:
        stand.tick(5 if then == "growth" else None)
    stand.tick(None)

    assert stand.router.out == set()


def test_pods_that_leave_by_a_shrink_whose_answer_was_lost_stay_out() -> None:
    stand = Stand()
    stand.tick(2)
    assert stand.router.out == {"b", "d"}
    stand.requests |= {"b": 0.0, "d": 0.0}
    stand.inner.answers[Role.DECODE] = Outcome.UNAVAILABLE
    while stand.outcome(2) is not Outcome.UNAVAILABLE:
        pass
    stand.marks.found = [replace(one, leaves=one.ref.name == "b") for one in stand.marks.found]

    stand.tick(None)
    stand.tick(None)

    assert stand.router.out == {"b"}


def test_a_lease_that_is_lost_while_pods_are_listed_leaves_them_alone() -> None:
    stand = Stand()
    stand.tick(None)
    stand.marks.on_list = lambda: setattr(stand, "leads", False)

    assert stand.tick() == LED_BY_ANOTHER

    assert (stand.router.out, stand.marks.sets, stand.inner.writes) == (set(), [], [])


def test_a_lease_that_is_lost_while_pods_are_marked_leaves_the_count_alone() -> None:
    stand = Stand()
    stand.tick()
    stand.requests["b"] = 0.0
    stand.marks.on_set = lambda: setattr(stand, "leads", False)
    while stand.leads:
        done = stand.tick()

    assert done == LED_BY_ANOTHER
    assert (stand.marks.sets, stand.inner.writes) == ([(["b"], "-20250")], [])


def test_what_a_killed_daemon_left_outside_is_put_back_by_whoever_leads_next() -> None:
    stand = Stand()
    stand.tick()
    stand.leads = False
    stand.restart()
    stand.tick(None)
    assert stand.router.out == {"b"}

    stand.leads = True
    stand.tick(None)

    assert stand.router.out == set()


def test_one_that_stays_because_its_controller_chose_another_goes_back() -> None:
    stand = Stand()
    stand.tick()
    stand.requests["b"] = 0.0
    stand.ticks_until_it_shrinks()
    stand.marks.found = [
        replace(one, withdrawn="true") if one.ref.name == "b" else one for one in stand.marks.found[:3]
    ]

    stand.tick(None)
    stand.tick(None)

    assert stand.router.out == set()


def test_no_pod_is_touched_for_a_step_that_is_blocked() -> None:
    stand = Stand()
    stand.inner.blockers = {Role.DECODE: ("an HPA writes it: delete it",)}

    assert [stand.tick(), stand.tick()] == [WriteResult(Outcome.REFUSED, "an HPA writes it: delete it")] * 2

    assert (stand.router.out, stand.marks.sets, stand.inner.writes) == (set(), [], [])


def test_pods_that_are_out_when_their_pool_is_blocked_go_back() -> None:
    stand = Stand()
    stand.tick()
    stand.inner.blockers = {Role.DECODE: ("an HPA writes it: delete it",)}
    stand.tick()
    stand.tick()

    assert stand.router.out == set()


def test_what_cannot_be_put_back_now_is_put_back_at_a_later_tick() -> None:
    stand = Stand()
    stand.tick()
    stand.router.error = "503"
    stand.tick(None)
    stand.router.error = ""

    stand.tick(None)

    assert stand.router.out == set()


@pytest.mark.parametrize("error", [MarksError("no answer within 5 s"), MarksForbiddenError("missing verb patch")])
def test_they_go_back_whether_or_not_they_could_be_marked(error: MarksError) -> None:
    stand = Stand()
    stand.tick()
    stand.requests["b"] = 0.0
    stand.marks.error = error
    stand.inner.answers[Role.DECODE] = Outcome.REJECTED
    while stand.outcome() is not Outcome.REJECTED:
        pass

    stand.tick(None)

    assert stand.router.out == set()


def test_where_pods_cannot_be_taken_out_they_leave_as_they_are_and_it_is_said_once() -> None:
    stand = Stand()
    stand.router.error = "ReplicaSet serving/x selects its pods by that label"

    assert stand.outcome() is Outcome.APPLIED
    stand.outcome(2)

    said = [line["message"] for line in stand.lines if line["event"] == "pods not out of routing"]
    assert said == [f"{stand.router.error}; they leave while requests still come"]
