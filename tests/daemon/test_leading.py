"""A runner that leads, stands by, takes over; and what it does when its memory is out of reach."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from autoscaler.core.policy import RateRule, Role, RuleKind
from autoscaler.core.state import State
from autoscaler.daemon.leadership import LED_BY_ANOTHER
from autoscaler.daemon.state_store import MemoryStateStore, StateTakenError, StateUnreachableError
from autoscaler.daemon.tick import Dependency
from tests.daemon.builders import Bench, crowded_decode_signals, policy, role_policy


@dataclass
class WatchedStore(MemoryStateStore):
    """Counts what is asked of it; may be out of reach, or taken by somebody else."""

    loads: int = 0
    urgent: list[bool] = field(default_factory=list)
    reachable: bool = True
    taken: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def load(self, service: str, now_s: float) -> State:
        self.loads += 1
        if not self.reachable:
            raise StateUnreachableError("no answer within 5 s; nothing is scaled before the memory can be read")
        return super().load(service, now_s)

    def save(self, service: str, state: State, *, urgent: bool = True) -> None:
        if self.taken:
            raise StateTakenError("configmap was changed by somebody else")
        self.urgent.append(urgent)
        super().save(service, state, urgent=urgent)


@pytest.fixture
def store() -> WatchedStore:
    return WatchedStore()


def growing(store: WatchedStore, *, leads: bool = True) -> Bench:
    """Decode wants far more than it has, and may take four a minute."""
    decode = role_policy(1, 20, RateRule(RuleKind.PODS, 4, 60.0))
    bench = Bench(policy(decode=decode), store=store, may_write=lambda: leads)
    bench.source.signals = crowded_decode_signals()
    return bench


def test_a_standby_decides_and_writes_nothing(store: WatchedStore) -> None:
    bench = growing(store, leads=False)

    ticks = [bench.tick() for _ in range(4)]

    assert all(done.decision is not None and done.decision.roles[Role.DECODE].desired == 6 for done in ticks)
    assert (bench.target.writes, store.urgent) == ([], [])
    assert not any(done.leads for done in ticks)
    assert bench.lines == []


def test_a_standby_begins_with_the_memory_of_the_one_who_leads(store: WatchedStore) -> None:
    leader = growing(store)
    leader.tick()
    standby = growing(store, leads=False)
    standby.now_s = leader.now_s
    standby.target.counts = leader.target.counts

    standby.tick()
    standby.may_write = lambda: True
    standby.tick()

    assert standby.target.counts[Role.DECODE] == 6


def test_a_standby_that_takes_over_acts_in_the_same_tick(store: WatchedStore) -> None:
    bench = growing(store, leads=False)
    bench.tick()

    bench.may_write = lambda: True
    done = bench.tick()

    assert done.leads
    assert [write.replicas for write in bench.target.writes] == [6]
    assert [line["event"] for line in bench.lines] == ["scale"]


def test_a_warm_standby_s_memory_is_kept_when_it_knows_more(store: WatchedStore) -> None:
    bench = growing(store, leads=False)
    bench.tick()
    bench.tick()
    warm_since_s = bench.now_s - 15.0

    bench.may_write = lambda: True
    bench.tick()

    assert store.load("chat", bench.now_s).started_at_s == warm_since_s


def test_whoever_comes_back_takes_over_what_was_kept_meanwhile(store: WatchedStore) -> None:
    bench = growing(store)
    bench.tick()
    bench.may_write = lambda: False
    other = growing(store)
    other.now_s, other.target.counts = bench.now_s + 300.0, bench.target.counts
    other.tick()
    assert other.target.counts[Role.DECODE] == 10

    bench.now_s = other.now_s
    bench.may_write = lambda: True
    bench.tick()

    assert bench.target.counts[Role.DECODE] == 10


def test_a_change_that_another_made_counts_from_when_a_standby_saw_it(store: WatchedStore) -> None:
    """It wanted the same number, and could not see the pool when the other wrote it."""
    bench = growing(store, leads=False)
    assert bench.tick().decision is not None
    wanted_at_s = bench.now_s
    bench.target.errors = {Role.DECODE: "no answer"}
    bench.tick(40.0)
    bench.target.errors, bench.target.counts[Role.DECODE] = {}, 6
    bench.tick(5.0)

    bench.may_write = lambda: True
    bench.tick()
    assert bench.now_s == wanted_at_s + 60.0
    assert bench.target.counts[Role.DECODE] == 6

    bench.tick(45.0)
    assert bench.target.counts[Role.DECODE] == 10


def test_a_change_that_a_leader_kept_counts_from_when_it_was_made(store: WatchedStore) -> None:
    """Even for a standby that begins while the pool cannot be read."""
    leader = growing(store)
    leader.tick()
    made_at_s = leader.now_s
    bench = growing(store, leads=False)
    bench.target.counts, bench.now_s = leader.target.counts, leader.now_s
    bench.target.errors = {Role.DECODE: "no answer"}
    bench.tick(30.0)
    bench.target.errors = {}
    bench.tick()

    bench.may_write = lambda: True
    bench.tick()

    assert bench.now_s == made_at_s + 60.0
    assert bench.target.counts[Role.DECODE] == 10


def test_the_right_to_write_is_asked_for_before_each_write(store: WatchedStore) -> None:
    bench = Bench(policy(prefill=role_policy(3), decode=role_policy(3)), store=store)
    bench.target.on_write = lambda: setattr(bench, "may_write", lambda: False)

    bench.tick()

    assert len(bench.target.writes) == 1


def test_a_lease_that_is_lost_while_deciding_stops_the_write(store: WatchedStore) -> None:
    bench = growing(store)
    bench.source.on_read = lambda: setattr(bench, "may_write", lambda: False)

    bench.tick()

    assert bench.target.writes == []


def test_a_lease_that_is_lost_on_the_way_to_the_write_is_no_trouble_and_no_change(store: WatchedStore) -> None:
    bench = growing(store)
    bench.target.answers[Role.DECODE] = LED_BY_ANOTHER.outcome

    done = bench.tick()
    bench.target.answers.clear()
    bench.tick()

    assert done.troubles == ()
    assert [write.replicas for write in bench.target.writes] == [6, 6]


def test_an_intent_is_urgent_and_a_quiet_tick_is_not(store: WatchedStore) -> None:
    bench = growing(store)

    bench.tick()
    bench.tick()

    assert store.urgent == [True, False]


def test_nothing_is_written_before_the_memory_can_be_read(store: WatchedStore) -> None:
    bench = growing(store)
    store.reachable = False

    done = bench.tick()
    assert bench.target.writes == []
    assert store.urgent == []
    assert [trouble.dependency for trouble in done.troubles] == [Dependency.STATE]
    store.reachable = True
    bench.tick()

    assert [write.replicas for write in bench.target.writes] == [6]


def test_whoever_finds_the_memory_taken_writes_nothing_and_reads_it_again(store: WatchedStore) -> None:
    bench = growing(store)
    store.taken = True

    done = bench.tick()
    assert bench.target.writes == []
    assert [trouble.dependency for trouble in done.troubles] == [Dependency.STATE]
    store.taken = False
    bench.tick()

    assert store.loads == 2
    assert [write.replicas for write in bench.target.writes] == [6]


def test_what_another_daemon_wrote_while_it_led_is_no_fight(store: WatchedStore) -> None:
    bench = growing(store)
    for _ in range(2):
        bench.may_write = lambda: True
        bench.tick(60.0)
        bench.may_write = lambda: False
        bench.tick(60.0)
        bench.target.counts[Role.DECODE] -= 1
        bench.tick(60.0)
    before = bench.target.counts[Role.DECODE]

    bench.may_write = lambda: True
    bench.tick(60.0)

    assert bench.target.counts[Role.DECODE] > before


def test_what_was_learned_since_the_last_save_is_kept_at_the_end(store: WatchedStore) -> None:
    bench = growing(store)
    bench.tick()
    bench.tick()

    bench.runner.close()

    assert store.urgent == [True, False, True]


def test_a_standby_keeps_nothing_at_the_end(store: WatchedStore) -> None:
    bench = growing(store, leads=False)
    bench.tick()

    bench.runner.close()

    assert store.urgent == []


def test_a_memory_that_cannot_be_kept_at_the_end_does_not_stop_the_end(store: WatchedStore) -> None:
    bench = growing(store)
    bench.tick()
    store.taken = True

    bench.runner.close()

    assert bench.target.closed
    assert bench.lines[-1]["event"] == "state not kept"
