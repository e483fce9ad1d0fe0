"""Demand per slot against windows counted one by one and profiles tried one by one."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.core.policy import Role
from autoscaler.simulation.clairvoyant.demand import deadline_demand, slot_loads, spread, sustained_peak
from autoscaler.simulation.clairvoyant.work import Work

PREFILL, DECODE = Role.PREFILL, Role.DECODE
SLOTS = 4


def made(
    arrival_s: list[float], prefill_s: list[float], slack_s: list[float], decode_s: list[float] | None = None
) -> Work:
    none = np.zeros(len(arrival_s))
    return Work(
        arrival_s=np.array(arrival_s),
        prefill_s=np.array(prefill_s),
        decode_s=none if decode_s is None else np.array(decode_s),
        link_s={PREFILL: none, DECODE: none},
        prefill_slack_s=np.array(slack_s),
        residence_s=np.full(len(arrival_s), 20.0),
        duration_s=10.0 * SLOTS,
    )


def covers(profile: tuple[int, ...], work: Work) -> bool:
    """Whether capacity meets the demand-bound function in every window of slots."""
    due_s = work.arrival_s + work.prefill_s + work.prefill_slack_s
    for first in range(SLOTS):
        for last in range(first, SLOTS):
            inside = (work.arrival_s >= 10.0 * first) & (due_s < 10.0 * (last + 1))
            if work.prefill_s[inside].sum() > 10.0 * sum(profile[first : last + 1]) + 1e-6:
                return False
    return True


requests = st.tuples(st.floats(0.0, 39.9), st.floats(0.5, 25.0), st.floats(0.0, 15.0))


@settings(max_examples=60)
@given(st.lists(requests, min_size=1, max_size=6))
def test_no_profile_with_fewer_replicas_meets_all_deadlines(drawn: list[tuple[float, float, float]]) -> None:
    arrival_s, prefill_s, slack_s = (list(column) for column in zip(*sorted(drawn), strict=True))
    work = made(arrival_s, prefill_s, slack_s)
    fewest = (
        min(sum(profile) for profile in product(range(1, 6), repeat=SLOTS) if covers(profile, work))
        if covers((5,) * SLOTS, work)
        else None
    )

    found = deadline_demand(work)[PREFILL]

    assert covers(tuple(found.tolist()), work)
    if fewest is not None:
        assert found.sum() == fewest


def test_work_that_may_wait_takes_what_is_left_of_the_next_slot() -> None:
    # 12 s of work in slot 0, of which 6 s may finish in slot 1.
    patient = made([1.0, 2.0], [6.0, 6.0], [2.0, 9.0])
    hasty = made([1.0, 2.0], [6.0, 6.0], [2.0, 1.0])

    assert deadline_demand(patient)[PREFILL].tolist() == [1, 1, 1, 1]
    assert deadline_demand(hasty)[PREFILL].tolist() == [2, 1, 1, 1]


def test_a_slot_must_serve_what_arrives_in_it_and_its_slack() -> None:
    work = made([1.0, 2.0, 12.0], [12.0, 12.0, 3.0], [2.0, 2.0, 2.0])

    load = slot_loads(work)[PREFILL]

    assert load.busy.tolist() == pytest.approx([24 / 12, 3 / 12, 0.0, 0.0])
    assert load.replicas().tolist() == [2, 1, 1, 1]
    assert load.replicas(utilization_ratio=0.5).tolist() == [4, 1, 1, 1]
    assert load.requests.tolist() == [2, 1, 0, 0]


def test_weight_multiplies_the_load() -> None:
    work = made([1.0], [3.0], [2.0], [8.0])

    for role in (PREFILL, DECODE):
        assert slot_loads(work, weight=8.0)[role].busy == pytest.approx(8 * slot_loads(work)[role].busy)


def test_a_slot_borrows_the_slack_of_the_next_but_not_all_slots_do() -> None:
    # 28 s of work in every slot, and 10 s of slack: enough room for one slot alone with 2 replicas.
    once = made([1.0], [28.0], [10.0])
    always = made([1.0, 11.0, 21.0, 31.0], [28.0] * 4, [10.0] * 4)

    assert sustained_peak(once)[PREFILL] == slot_loads(once)[PREFILL].replicas().max() == 2
    assert slot_loads(always)[PREFILL].replicas().max() == 2
    assert sustained_peak(always)[PREFILL] == 3


@settings(max_examples=60)
@given(st.lists(requests, min_size=1, max_size=6))
def test_a_constant_fleet_is_the_smallest_that_serves_every_run_of_slots(
    drawn: list[tuple[float, float, float]],
) -> None:
    arrival_s, prefill_s, slack_s = (list(column) for column in zip(*sorted(drawn), strict=True))
    work = made(arrival_s, prefill_s, slack_s)
    slack = float(np.mean(slack_s))
    slot = work.arrival_s // 10.0
    needed = max(
        work.prefill_s[(slot >= first) & (slot <= last)].sum() / (10.0 * (last + 1 - first) + slack)
        for first in range(SLOTS)
        for last in range(first, SLOTS)
    )

    assert sustained_peak(work)[PREFILL] == max(np.ceil(needed - 1e-9), 1)


def test_links_of_either_role_that_carry_all_the_time_need_replicas_for_it() -> None:
    work = made([1.0, 11.0, 21.0, 31.0], [1.0] * 4, [10.0] * 4)
    work.link_s[DECODE][:] = 28.0

    assert sustained_peak(work) == {PREFILL: 3, DECODE: 3}


def test_a_constant_fleet_decodes_the_peak_at_its_slowest_pace() -> None:
    work = made([1.0, 1.0], [1.0, 1.0], [10.0, 10.0], [50.0, 40.0])

    assert sustained_peak(work)[DECODE] == slot_loads(work)[DECODE].replicas().max() == 5


def test_decode_is_spread_over_its_residence() -> None:
    # 8 replica-seconds over [5, 25).
    work = made([5.0], [1.0], [1.0], [8.0])

    assert slot_loads(work)[DECODE].busy.tolist() == pytest.approx([0.2, 0.4, 0.2, 0.0])


def test_links_ask_for_replicas_where_they_are_the_bottleneck() -> None:
    work = made([1.0], [1.0], [2.0], [1.0])
    work.link_s[DECODE][:] = 30.0

    assert slot_loads(work)[DECODE].replicas()[0] == 3
    assert slot_loads(work, links=False)[DECODE].replicas()[0] == 1


@given(st.lists(st.tuples(st.floats(0.0, 30.0), st.floats(0.1, 9.0), st.floats(0.0, 5.0)), min_size=1, max_size=20))
def test_spreading_loses_nothing(parts: list[tuple[float, float, float]]) -> None:
    start_s, length_s, amount = (np.array(column) for column in zip(*parts, strict=True))

    assert spread(start_s, length_s, amount, SLOTS, 10.0).sum() == pytest.approx(amount.sum())
