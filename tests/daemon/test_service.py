from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autoscaler.core.policy import Mode, Role
from autoscaler.core.state import State
from autoscaler.daemon.state_store import FileStateStore, MemoryStateStore, StateStoreError
from autoscaler.daemon.tick import Dependency, Tick
from autoscaler.targets.base import Outcome
from tests.daemon.builders import (
    Bench,
    ScriptedSource,
    Write,
    blind_signals,
    crowded_decode_signals,
    policy,
    role_policy,
    steady_signals,
)
from tests.support.core import ROLE_POLICY, service_policy, signals


def wanting(**lows: int) -> Bench:
    """A bench whose bounds want these numbers of pools that have 2."""
    bounds = {name: role_policy(low) for name, low in lows.items()}
    return Bench(policy(prefill=bounds.get("prefill"), decode=bounds.get("decode")))


def desired(done: Tick, role: Role) -> int:
    assert done.decision is not None
    return done.decision.roles[role].desired


def test_only_a_number_that_changed_is_written() -> None:
    bench = wanting(prefill=3)

    bench.tick()

    assert bench.target.writes == [Write(Role.PREFILL, 3, "v2", dry_run=False)]


def test_a_decision_made_twice_writes_once() -> None:
    bench = wanting(prefill=3)

    bench.tick()
    bench.tick()

    assert len(bench.target.writes) == 1


def test_recommend_writes_nothing() -> None:
    bench = Bench(policy(Mode.RECOMMEND, prefill=role_policy(3)))

    assert desired(bench.tick(), Role.PREFILL) == 3
    assert bench.target.writes == []


def test_server_dry_run_asks_the_server_to_persist_nothing() -> None:
    bench = Bench(policy(Mode.SERVER_DRY_RUN, prefill=role_policy(3)))

    bench.tick()

    assert bench.target.writes == [Write(Role.PREFILL, 3, "v2", dry_run=True)]


@pytest.mark.parametrize("mode", [Mode.RECOMMEND, Mode.SERVER_DRY_RUN])
def test_a_change_that_is_never_made_is_wanted_again(mode: Mode) -> None:
    bench = Bench(policy(mode, prefill=role_policy(3)))

    wanted = [desired(bench.tick(), Role.PREFILL) for _ in range(4)]

    assert wanted == [3, 3, 3, 3]


def test_a_change_that_was_made_counts_against_the_rate_limits() -> None:
    bench = wanting(prefill=3)

    bench.tick()
    bench.tick()

    memory = bench.store.load("chat", bench.now_s).roles[Role.PREFILL]
    assert [change.value for change in memory.changes] == [1.0]


def test_growth_is_written_before_a_shrink() -> None:
    bench = Bench(policy(prefill=role_policy(1, 1, window_s=0.0), decode=role_policy(3)))

    bench.tick()

    assert [write.role for write in bench.target.writes] == [Role.DECODE, Role.PREFILL]


def test_a_conflict_is_not_retried_and_the_next_tick_decides_from_what_it_reads() -> None:
    bench = wanting(prefill=5)
    bench.target.answers[Role.PREFILL] = Outcome.CONFLICT

    bench.tick()
    assert len(bench.target.writes) == 1

    bench.target.answers.clear()
    bench.target.counts[Role.PREFILL] = 4  # who else wrote
    bench.tick()

    assert bench.target.writes[1:] == [Write(Role.PREFILL, 5, "v4", dry_run=False)]


def test_a_role_that_may_not_be_written_does_not_stop_the_other() -> None:
    bench = wanting(prefill=3, decode=4)
    bench.target.answers[Role.PREFILL] = Outcome.FORBIDDEN

    done = bench.tick()

    assert bench.target.counts == {Role.PREFILL: 2, Role.DECODE: 4}
    assert [(trouble.dependency, trouble.subject) for trouble in done.troubles] == [(Dependency.WRITE, "prefill")]


def test_a_role_that_cannot_be_read_does_not_stop_the_other() -> None:
    bench = wanting(prefill=3, decode=4)
    bench.target.errors[Role.PREFILL] = "deployment chat-prefill does not exist in namespace llm"

    done = bench.tick()

    assert [write.role for write in bench.target.writes] == [Role.DECODE]
    assert [(trouble.dependency, trouble.message) for trouble in done.troubles] == [
        (Dependency.REPLICAS, "deployment chat-prefill does not exist in namespace llm")
    ]


def test_without_signals_nothing_shrinks_and_the_reason_is_named() -> None:
    bench = Bench()
    bench.source.signals = blind_signals()

    done = bench.tick(3600.0)

    assert bench.target.writes == []
    signal_troubles = {trouble.subject: trouble.message for trouble in done.troubles}
    assert set(signal_troubles) == {"prefill", "decode"}
    assert "refused the connection" in signal_troubles["prefill"]


def test_signals_that_return_need_no_restart() -> None:
    bench = Bench()
    bench.source.signals = blind_signals()
    bench.tick()
    bench.source.signals = steady_signals()

    assert bench.tick().troubles == ()
    assert [line["event"] for line in bench.lines].count("recovered") == 2


def test_the_decision_is_kept_before_the_write() -> None:
    bench = wanting(prefill=3)
    kept_at_write: list[float | None] = []
    bench.target.on_write = lambda: kept_at_write.append(bench.store.load("chat", bench.now_s).decided_at_s)

    bench.tick()

    assert kept_at_write == [bench.now_s]


def test_a_kill_right_after_a_write_makes_no_second_step(tmp_path: Path) -> None:
    four_a_minute = role_policy(1, 20)
    bench = Bench(policy(decode=four_a_minute), store=FileStateStore(tmp_path))
    bench.source.signals = crowded_decode_signals()

    def killed() -> None:
        bench.target.counts[Role.DECODE] = 6
        raise KeyboardInterrupt

    bench.target.on_write = killed
    with pytest.raises(KeyboardInterrupt):
        bench.tick()
    bench.target.on_write = lambda: None
    bench.restart()
    bench.tick()

    assert bench.target.counts[Role.DECODE] == 6


def test_a_restart_goes_on_with_the_memory_of_the_store(tmp_path: Path) -> None:
    bench = Bench(store=FileStateStore(tmp_path))
    bench.tick()
    began_s = bench.store.load("chat", bench.now_s).started_at_s

    bench.restart()
    bench.tick()

    assert bench.store.load("chat", bench.now_s).started_at_s == began_s


@pytest.mark.parametrize("restarted", [True, False], ids=["process was down", "machine was asleep"])
def test_a_memory_with_a_long_hole_holds_every_shrink_for_a_window(*, restarted: bool) -> None:
    bench = Bench(policy(prefill=role_policy(window_s=60.0)))
    bench.target.counts[Role.PREFILL] = 5
    bench.tick()
    if restarted:
        bench.restart()

    bench.tick(after_s=3600.0)
    for _ in range(3):
        bench.tick()
    assert bench.target.counts[Role.PREFILL] == 5

    bench.tick()
    assert bench.target.counts[Role.PREFILL] == 2


class BrokenStore(MemoryStateStore):
    def load(self, service: str, now_s: float) -> State:
        raise StateStoreError(f"{service}.json: corrupt at {now_s:.0f}")

    def save(self, service: str, state: State, *, urgent: bool = True) -> None:  # noqa: ARG002 - it is always full
        raise StateStoreError(f"cannot write {service}.json: No space left on device ({state.started_at_s})")


def test_a_full_disk_is_reported_and_keeps_no_pool_small() -> None:
    bench = Bench(policy(prefill=role_policy(3)), store=BrokenStore())

    done = bench.tick()

    assert bench.target.counts[Role.PREFILL] == 3
    assert {trouble.dependency for trouble in done.troubles} == {Dependency.STATE}
    assert any("No space left" in trouble.message for trouble in done.troubles)


def test_a_defect_ends_the_tick_and_not_the_daemon() -> None:
    bench = Bench()

    def fail() -> None:
        raise ZeroDivisionError("division by zero")

    bench.source.on_read = fail
    done = bench.tick()

    assert done.decision is None
    assert [trouble.dependency for trouble in done.troubles] == [Dependency.INTERNAL]
    assert isinstance(bench.lines[0]["exc_info"], ZeroDivisionError)


def failing_on_memory() -> Bench:
    """A bench of two that wants 3 of prefill, whose kept memory lets every decision fail."""
    wants = service_policy(prefill=replace(ROLE_POLICY, min_replicas=3))
    bench = Bench(replace(wants, mode=Mode.RECOMMEND), source=ScriptedSource(signals({})))
    bench.tick()
    state = bench.store.load("chat", bench.now_s)
    prefill = state.roles[Role.PREFILL]
    damaged = replace(prefill, headroom=replace(prefill.headroom, spent_ratio=-1e300))
    roles = {**state.roles, Role.PREFILL: damaged}
    bench.store.save("chat", replace(state, roles=roles, originals={Role.DECODE: 5}))
    bench.policy = wants
    bench.restart()
    return bench


def test_a_memory_that_lets_decisions_fail_is_forgotten_and_not_the_end_of_the_service() -> None:
    bench = failing_on_memory()

    first, second = bench.tick(), bench.tick()

    assert [trouble.dependency for trouble in first.troubles] == [Dependency.STATE]
    assert "nothing shrinks for one window" in first.troubles[0].message
    assert bench.target.writes == [Write(Role.PREFILL, 3, "v2", dry_run=False)]
    assert second.troubles == ()
    assert bench.store.load("chat", bench.now_s).originals[Role.DECODE] == 5


def test_a_change_is_logged_once_with_number_reason_and_outcome() -> None:
    bench = wanting(prefill=3)

    bench.tick()
    bench.tick()

    (line,) = [line for line in bench.lines if line["event"] == "scale"]
    assert line["role"] == "prefill"
    assert (line["current"], line["desired"], line["reason"], line["outcome"]) == (2, 3, "at_min", "applied")
    assert str(line["detail"]).endswith("at min: the policy wants at least 3")


def test_a_recommendation_that_stays_the_same_is_logged_once() -> None:
    bench = Bench(policy(Mode.RECOMMEND, prefill=role_policy(3)))

    for _ in range(3):
        bench.tick()

    assert [line["event"] for line in bench.lines].count("scale") == 1


def test_a_tick_reads_replicas_before_the_slower_signals() -> None:
    """What changes between the two is caught by the basis of the write, not the other way round."""
    bench = wanting(prefill=3)
    bench.source.on_read = lambda: bench.target.counts.update({Role.PREFILL: 9})

    bench.tick()

    assert bench.target.writes[0].basis == "v2"


def test_closing_lets_go_of_source_and_target() -> None:
    bench = Bench()

    bench.runner.close()

    assert bench.source.closed
    assert bench.target.closed


def test_what_only_a_person_can_change_is_said_when_recommending_too_and_nothing_else_is() -> None:
    bench = Bench(policy=policy(Mode.RECOMMEND, prefill=role_policy(low=3), decode=role_policy(low=3)))
    bench.target.by_hand = frozenset({Role.PREFILL})
    bench.target.answers = {Role.PREFILL: Outcome.INSTRUCTED}

    done = bench.tick()

    assert {role: written.outcome for role, written in done.writes.items()} == {Role.PREFILL: Outcome.INSTRUCTED}
    assert done.troubles == ()
