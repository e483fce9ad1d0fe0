from __future__ import annotations

import re

import pytest

from autoscaler.cli.demo import demo, demo_policy
from autoscaler.config.schedule import Schedule, ScheduledBounds
from autoscaler.core.policy import Role
from autoscaler.daemon.rehearsal import Rehearsal
from autoscaler.simulation.traces.formats import bundled_trace
from autoscaler.simulation.traces.synthetic import steps


def test_the_demo_shows_changes_and_ends_with_both_bills(capsys: pytest.CaptureFixture[str]) -> None:
    demo(minutes=12.0, rate=3.0, speed=0.0, seed=0)

    said = capsys.readouterr().out
    assert re.search(r"^00:\d\d:\d\d  (prefill|decode) \d+ -> \d+  \w", said, re.MULTILINE), said
    assert re.search(r"requests inside both objectives +\d+\.\d+% +\d+\.\d+%", said)
    assert re.search(r"GPU-hours +\d+ +\d+", said)
    assert "static peak:" in said


def test_a_step_of_load_is_seen_over_http_and_answered_after_a_startup_time() -> None:
    lengths = bundled_trace()
    trace = steps([(8.0, 600.0), (60.0, 900.0)], lengths, seed=1)

    with Rehearsal(demo_policy(), trace, {Role.PREFILL: 2, Role.DECODE: 2}) as rehearsal:
        beats = list(rehearsal.beats(speed=0.0))
        results = rehearsal.results()

    before = max(beat.gpus for beat in beats if beat.elapsed_s < 600)
    after = max(beat.gpus for beat in beats)
    assert after > before
    assert all(not beat.tick.troubles for beat in beats[20:])
    assert results.finished == results.arrived


def test_the_pace_is_kept_with_the_clock_that_it_is_given() -> None:
    slept: list[float] = []
    trace = steps([(2.0, 60.0)], bundled_trace(), seed=1)

    with Rehearsal(
        demo_policy(), trace, {Role.PREFILL: 1, Role.DECODE: 1}, clock=lambda: 0.0, sleep=slept.append
    ) as rehearsal:
        elapsed = [beat.elapsed_s for beat in rehearsal.beats(speed=10.0)]

    assert slept == [at_s / 10.0 for at_s in elapsed]


def test_bounds_by_schedule_hold_by_the_clock_of_a_monday() -> None:
    trace = steps([(2.0, 240.0)], bundled_trace(), seed=1)
    prefill = ScheduledBounds(min=3)
    rush = Schedule.model_validate(
        {"name": "rush", "days": ["mon"], "from": "00:02", "to": "01:00", "prefill": prefill}
    )
    plain = demo_policy()
    policy = plain.model_copy(update={"spec": plain.spec.model_copy(update={"schedules": (rush,)})})

    with Rehearsal(policy, trace, {Role.PREFILL: 1, Role.DECODE: 1}) as rehearsal:
        decisions = [(beat.elapsed_s, beat.tick.decision) for beat in rehearsal.beats(speed=0.0)]

    least = {at_s: made.roles[Role.PREFILL].desired for at_s, made in decisions if made is not None}
    assert least[105.0] < 3 <= least[120.0]
