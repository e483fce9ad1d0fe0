"""A few minutes with the real thing: load comes and goes, a worker is killed, and prefill is taken away."""

from __future__ import annotations

import itertools
import math
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from autoscaler.core.policy import Role
from autoscaler.daemon.pod_marks import OURS
from tests.cpu_stack.client import Answer, Phase, Request, plan
from tests.cpu_stack.cluster import Departure, Sample
from tests.cpu_stack.conftest import PYTHON
from tests.cpu_stack.stage import MOST_REPLICAS, Load, Stage, running_stage
from tests.e2e.program import Program

ROLES = tuple(MOST_REPLICAS)
QUIET, BUSY, LATE = Phase(15.0, 1.0), Phase(45.0, 6.0), Phase(330.0, 2.0)
NEEDED = {
    *("prefill.queue_depth", "prefill.in_flight", "prefill.offered_tokens_per_s", "prefill.request_rate"),
    *("decode.kv_utilization_mean", "decode.running", "decode.waiting", "decode.kv_capacity_tokens"),
    *("decode.step_time_s", "decode.offered_tokens_per_s"),
    *("service.ttft_s", "service.tpot_s", "service.ttft_attainment_ratio", "service.input_tokens_mean"),
}
# Decode gives back two minutes and a quarter after it grew on a quiet machine; this leaves room for a busy one.
PATIENCE_S = 240.0


@dataclass(frozen=True, slots=True)
class Kill:
    """Ready decode replicas as the autoscaler counts them, around a kill -9 of one of their workers.

    Attributes:
        at_s: When it was, on the monotonic clock.
    """

    at_s: float
    before: float
    after: float
    later: float


@dataclass(frozen=True, slots=True)
class Day:
    """What happened.

    Attributes:
        doctor_code, doctor: What `doctor` said under light load.
        answers: To every request of the day.
        samples: Replicas asked for, ready and running, at each change.
        departures: Pods that left.
        decided: Counts that the autoscaler says it has written, in order, by role.
        outlived: Pods that had to be killed when they left.
        exit_code: Of the autoscaler.
        without_prefill, with_prefill_again: Answers to a request with no prefill worker, and with one again.
    """

    doctor_code: int
    doctor: dict[str, Any]
    answers: Sequence[Answer]
    samples: Sequence[Sample]
    departures: Sequence[Departure]
    decided: dict[Role, list[int]]
    outlived: Sequence[str]
    kill: Kill
    exit_code: int
    without_prefill: Answer
    with_prefill_again: Answer

    def asked_for(self, role: Role, until_s: float = math.inf) -> list[int]:
        """The counts that a pool was given, one after the other."""
        counts = [sample.asked_for for sample in self.samples if sample.role is role and sample.at_s < until_s]
        return [count for count, _ in itertools.groupby(counts)]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    """Four minutes, most of them waiting for a shrink; everything that it starts has ended when it is over."""
    with running_stage(os.environ[PYTHON], tmp_path_factory.mktemp("stack"), replicas=1) as stage:
        load = Load(stage.dynamo.frontend_port, plan([QUIET, BUSY, LATE], longest_prompt=4096, longest_output=128))
        try:
            return _live_through(stage, load)
        finally:
            load.stop()


def _live_through(stage: Stage, load: Load) -> Day:
    stage.wait_for(lambda: sum(answer.is_whole for answer in load.answers) >= 5, "some answers")
    doctor_code, doctor = stage.doctor()
    program = stage.start_autoscaler()
    try:
        stage.wait_for(lambda: all(_peak(stage, role) > 1 for role in ROLES), "growth of both pools", PATIENCE_S)
        stage.wait_for(lambda: all(_has_shrunk(stage, role) for role in ROLES), "shrink of both pools", PATIENCE_S)
        kill = _kill_one(stage, program)
        load.stop()
    finally:
        exit_code = program.end(signal.SIGTERM)
    decided = {role: _decided(program, role) for role in ROLES}
    stage.wait_for(
        lambda: all(stage.graph.latest(role).asked_for == decided[role][-1] for role in ROLES), "the last word"
    )
    samples, departures = list(stage.graph.samples), list(stage.graph.departures)
    stage.graph.set_replicas(Role.PREFILL, 0)
    stage.wait_for_workers(Role.PREFILL, 0)
    without_prefill = stage.send(Request(0.0, 100, 10))
    stage.graph.set_replicas(Role.PREFILL, 1)
    stage.wait_for_workers(Role.PREFILL, 1)
    stage.wait_for(lambda: stage.send(Request(0.0, 8, 2)).is_whole, "an answer with prefill again")
    return Day(
        doctor_code=doctor_code,
        doctor=doctor,
        answers=load.answers,
        samples=samples,
        departures=departures,
        decided=decided,
        outlived=stage.graph.outlived,
        kill=kill,
        exit_code=exit_code,
        without_prefill=without_prefill,
        with_prefill_again=stage.send(Request(0.0, 100, 10)),
    )


def _decided(program: Program, role: Role) -> list[int]:
    """Counts that the autoscaler wrote for a role."""
    lines = program.lines("scale")
    return [line["desired"] for line in lines if (line["role"], line["outcome"]) == (role.value, "applied")]


def _peak(stage: Stage, role: Role) -> int:
    return max(sample.ready for sample in stage.graph.samples if sample.role is role)


def _has_shrunk(stage: Stage, role: Role) -> bool:
    """Whether fewer are asked for than there were, and those who left have ended."""
    latest = stage.graph.latest(role)
    return latest.asked_for == latest.running < _peak(stage, role)


def _kill_one(stage: Stage, program: Program) -> Kill:
    """Kill a decode worker, and look at what the autoscaler makes of it."""

    def counted() -> float:
        return program.metric("pd_autoscaler_ready_replicas", role="decode")

    stage.wait_for(lambda: counted() == stage.graph.latest(Role.DECODE).ready, "the count of decode replicas")
    at_s, before = time.monotonic(), counted()
    stage.graph.processes(Role.DECODE)[0].kill()
    stage.wait_for(lambda: counted() == before - 1.0, "one ready decode replica less")
    after = counted()
    stage.wait_for(lambda: counted() >= before, "as many ready decode replicas as before")
    return Kill(at_s, before, after, counted())


def test_doctor_finds_every_signal_that_decides_and_has_nothing_against_the_policy(day: Day) -> None:
    signals = day.doctor["signals"]["signals"]
    found = {f"{one['scope']}.{one['name']}" for one in signals if one["verdict"] == "ok"}

    assert NEEDED - found == set()
    assert day.doctor_code == 0


@pytest.mark.parametrize("role", ROLES)
def test_a_rising_load_makes_a_pool_grow_and_a_falling_one_makes_it_shrink(day: Day, role: Role) -> None:
    counts = day.asked_for(role, day.kill.at_s)

    assert counts[0] < max(counts) > counts[-1]


@pytest.mark.parametrize("role", ROLES)
def test_what_was_decided_was_asked_for_and_what_was_asked_for_ran(day: Day, role: Role) -> None:
    of_role = [sample for sample in day.samples if sample.role is role]
    settled = {sample.asked_for for sample in of_role if sample.counts == (sample.asked_for,) * 3}

    assert day.decided[role] == day.asked_for(role)[1:]
    assert settled >= {min(day.asked_for(role)), max(day.asked_for(role))}


def test_no_request_failed_or_was_cut_while_pools_grew_and_shrank_under_load(day: Day) -> None:
    ended = [answer for answer in day.answers if answer.ended_s is not None and answer.ended_s < day.kill.at_s]

    assert [answer for answer in ended if not answer.is_whole] == []
    assert len(ended) > BUSY.duration_s * BUSY.per_s
    assert day.outlived == []


def test_who_leaves_is_whom_the_autoscaler_marked_as_least_loaded(day: Day) -> None:
    left = [departure.cost for departure in day.departures if departure.at_s < day.kill.at_s]

    assert len(left) >= len(ROLES)
    assert set(left) == {int(OURS)}


def test_a_worker_that_is_killed_is_counted_out_and_in_again(day: Day) -> None:
    assert day.kill.after == day.kill.before - 1.0
    assert day.kill.later >= day.kill.before
    assert day.exit_code == 0


def test_without_a_prefill_worker_the_service_is_down_so_prefill_at_zero_is_no_switch(day: Day) -> None:
    assert day.without_prefill.status == 503
    assert day.with_prefill_again.is_whole
