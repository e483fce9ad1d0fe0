"""Several daemons, several services: how the work spreads, and that there are never two writers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random
from threading import Barrier, BrokenBarrierError, Event

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.daemon.elector import Terms
from autoscaler.daemon.side_by_side import MOST
from tests.daemon.world import Daemon, World

SERVICES = tuple(f"service-{number}" for number in range(6))
LEASE_S = Terms().lease_s
PATIENCE_S = 10.0


@pytest.fixture
def world() -> World:
    return World()


def run(world: World, seconds: float, *daemons: Daemon) -> None:
    """Two seconds are a turn, a little apart from daemon to daemon."""
    for _ in range(round(seconds / 2.0)):
        for daemon in daemons:
            world.at_s += 2.0 / len(daemons)
            daemon.turn()
            assert (
                max(
                    Counter(service for one in daemons for service in SERVICES if one.leads(service)).values(),
                    default=0,
                )
                <= 1
            )


def shares(*daemons: Daemon) -> list[int]:
    return [sum(daemon.leads(service) for service in SERVICES) for daemon in daemons]


def test_those_that_start_together_share_the_work(world: World) -> None:
    a, b, c = (Daemon(world, name, *SERVICES) for name in "abc")

    run(world, 90.0, a, b, c)

    assert shares(a, b, c) == [2, 2, 2]


def test_one_that_comes_later_is_given_its_share(world: World) -> None:
    a, b = (Daemon(world, name, *SERVICES) for name in "ab")
    run(world, 30.0, a)
    assert shares(a) == [6]

    run(world, 60.0, a, b)

    assert shares(a, b) == [3, 3]


def test_who_has_one_more_than_another_keeps_it(world: World) -> None:
    a, b = (Daemon(world, name, *SERVICES[:3]) for name in "ab")
    run(world, 30.0, a)
    run(world, 60.0, a, b)
    before = [a.leads(service) for service in SERVICES]

    run(world, 120.0, a, b)

    assert shares(a, b) == [2, 1]
    assert [a.leads(service) for service in SERVICES] == before


def test_one_that_dies_takes_down_its_share_alone_and_only_for_a_lease(world: World) -> None:
    a, b, c = (Daemon(world, name, *SERVICES) for name in "abc")
    run(world, 90.0, a, b, c)

    run(world, LEASE_S - 5.0, a, b)
    assert shares(a, b) == [2, 2]
    run(world, 8.0, a, b)

    assert sorted(shares(a, b)) in ([2, 4], [3, 3])
    run(world, 60.0, a, b)
    assert shares(a, b) == [3, 3]


def test_one_that_leaves_in_order_leaves_no_gap(world: World) -> None:
    a, b = (Daemon(world, name, *SERVICES) for name in "ab")
    run(world, 90.0, a, b)

    a.election.close(release=True)
    run(world, 2.0, b)

    assert shares(b) == [6]


def test_a_service_that_is_gone_is_given_up_once_no_write_can_be_under_way(world: World) -> None:
    a, b = Daemon(world, "a", "chat"), Daemon(world, "b", "chat")
    run(world, 30.0, a, b)

    a.election.stand_for([])
    run(world, 4.0, a, b)
    assert (a.leads(), b.leads()) == (False, False)
    run(world, 6.0, a, b)

    assert b.leads()


def test_a_service_that_comes_back_while_it_is_given_up_has_one_writer(world: World) -> None:
    a, b = Daemon(world, "a", "service-0"), Daemon(world, "b", "service-0")
    run(world, 30.0, a, b)

    a.election.stand_for([])
    run(world, 2.0, a, b)
    a.election.stand_for(["service-0"])
    run(world, 30.0, a, b)

    assert shares(a, b) in ([1, 0], [0, 1])


def test_a_lease_kept_for_one_that_died_is_taken_by_another_in_the_end(world: World) -> None:
    a, b = (Daemon(world, name, *SERVICES[:2]) for name in "ab")
    run(world, 30.0, a)
    b.turn()  # asks for one
    c = Daemon(world, "c", *SERVICES[:2])

    run(world, 40.0, a, c)

    assert shares(a, c) == [1, 1]


def test_ours_are_renewed_before_others_are_tried(world: World) -> None:
    a = Daemon(world, "a", "b-mine", most=1)
    run(world, 30.0, a)
    a.election.stand_for(["a-new", "b-mine"])
    world.at_s += 5.0
    a.api.requests.clear()

    a.turn()

    assert a.api.requests == ["list", "update", "create"]


def leader(world: World, *, terms: Terms | None = None, most: int = MOST) -> Daemon:
    """A daemon alone, which leads all services and has to renew all leases at its next turn."""
    made = Daemon(world, "a", *SERVICES, terms=terms, most=most)
    run(world, 30.0, made)
    world.at_s += 5.0
    made.api.requests.clear()
    return made


def test_however_slow_a_request_all_leases_are_renewed_in_the_time_of_one(world: World) -> None:
    a, all_under_way = leader(world), Barrier(len(SERVICES))

    def wait_for_the_others() -> None:
        if a.api.requests != ["list"]:
            try:
                all_under_way.wait(PATIENCE_S)
            except BrokenBarrierError:
                a.api.fail()

    a.api.before = wait_for_the_others
    a.turn()
    world.at_s += Terms().fence_s - 1.0

    assert shares(a) == [len(SERVICES)]


def test_a_turn_ends_early_where_the_api_server_is_down_and_the_next_one_goes_on_where_it_ended(world: World) -> None:
    a = leader(world, most=2)
    a.api.before = lambda: a.api.fail() if a.api.requests[-1] != "list" else None

    a.turn()
    assert a.api.requests == ["list", "update", "update"]
    a.turn()
    a.turn()

    troubled = {line["subject"] for line in a.lines if line["event"] == "trouble"}
    assert troubled == set(SERVICES)


def test_the_end_waits_no_longer_than_it_may_for_an_api_server_that_hangs(world: World) -> None:
    a, over = leader(world, terms=Terms(close_s=0.05)), Event()
    waited_in_vain: list[str] = []

    def hang() -> None:
        if not over.wait(PATIENCE_S):
            waited_in_vain.append(a.api.requests[-1])

    a.api.before = hang
    a.election.start()
    a.election.close(release=True)
    over.set()

    assert waited_in_vain == []
    assert shares(a) == [0]
    assert a.lines[-1]["event"] == "leases not handed back"
    assert a.lines[-1]["services"] == list(SERVICES)


def test_the_end_asks_an_api_server_that_is_down_for_little_however_many_leases_there_are(world: World) -> None:
    a = leader(world, most=2)
    a.api.before = a.api.fail

    a.election.close(release=True)

    assert a.api.requests == ["list", "update", "update"]


def test_without_the_right_to_list_it_says_so_and_leads_nothing(world: World) -> None:
    a = Daemon(world, "a", *SERVICES)
    a.api.before = a.api.fail

    run(world, 30.0, a)

    assert shares(a) == [0]
    assert a.events() == ["trouble"]


def test_the_thread_looks_until_it_is_closed(world: World) -> None:
    a, created = Daemon(world, "a", "chat"), Event()
    a.api.after = lambda: created.set() if a.api.requests[-1] == "create" else None

    a.election.start()
    in_time = created.wait(PATIENCE_S)
    a.election.close(release=False)

    assert in_time
    assert a.api.requests[:2] == ["list", "create"]


@dataclass
class Fleet:
    """Three daemons on one API server, all of them unlucky. Time passes in each request, and others act meanwhile."""

    seed: int
    world: World = field(default_factory=World)
    daemons: list[Daemon] = field(default_factory=list)
    busy: set[int] = field(default_factory=set)
    incarnation: int = 0
    writing: list[tuple[str, float]] = field(default_factory=list)
    grants: int = 0

    def __post_init__(self) -> None:
        self.random = Random(self.seed)  # noqa: S311 (luck is no secret)
        self.daemons = [self.fresh(number) for number in range(3)]

    def fresh(self, number: int) -> Daemon:
        """A process that has just begun, with a clock that is wrong in its own way."""
        self.incarnation += 1
        offset_s, rate = self.random.uniform(-1e5, 1e5), 1.0 + self.random.uniform(-1e-3, 1e-3)
        made = Daemon(self.world, f"{number}_{self.incarnation}", "chat", offset_s=offset_s, rate=rate)
        made.api.before = made.api.after = lambda: self.bad_luck(made)
        return made

    def bad_luck(self, daemon: Daemon) -> None:
        """Within a request, before or after it is carried out."""
        self.world.at_s += self.random.choices([0.01, 1.0, 3.0, 12.0], [40, 4, 2, 1])[0]
        if self.random.random() < 0.2:
            self.act(self.random.randrange(3))
        if self.random.random() < 0.08:
            daemon.api.fail()

    def act(self, number: int) -> None:
        """One thing that a daemon does, or that happens to it."""
        if number in self.busy:
            return
        self.busy.add(number)
        deed = self.random.choices(
            (self.turn, self.write, self.pause, self.crash, self.leave, self.meddle), (20, 20, 6, 1, 1, 0.2)
        )
        deed[0](number)
        self.busy.discard(number)

    def turn(self, number: int) -> None:
        self.daemons[number].turn()

    def write(self, number: int) -> None:
        """Between the check and the arrival at the server up to five seconds pass."""
        daemon, now_s = self.daemons[number], self.world.at_s
        if daemon.leads():
            self.grants += 1
            others = [arrives_s for who, arrives_s in self.writing if who != daemon.name]
            assert all(arrives_s <= now_s for arrives_s in others)
            self.writing.append((daemon.name, now_s + self.random.uniform(0.0, 4.9)))

    def pause(self, _number: int) -> None:
        self.world.at_s += self.random.choices([0.1, 1.0, 4.0, 9.0, 16.0, 40.0], [4, 4, 4, 2, 2, 1])[0]

    def crash(self, number: int) -> None:
        """What it has sent still arrives."""
        self.daemons[number] = self.fresh(number)

    def leave(self, number: int) -> None:
        """An orderly end waits for its writes."""
        daemon = self.daemons[number]
        mine = [arrives_s for who, arrives_s in self.writing if who == daemon.name]
        self.world.at_s = max([self.world.at_s, *mine])
        daemon.election.close(release=True)
        self.crash(number)

    def meddle(self, _number: int) -> None:
        """Somebody deletes the lease."""
        for name in self.world.leases():
            self.world.delete(name)


@settings(max_examples=100)
@given(seed=st.integers(0, 2**32))
def test_whatever_happens_there_are_never_two_writers(seed: int) -> None:
    fleet = Fleet(seed)

    for _ in range(300):
        fleet.act(fleet.random.randrange(3))


def test_the_unlucky_fleet_does_write() -> None:
    """Else the property above would hold for a daemon that never writes."""
    fleets = [Fleet(seed) for seed in range(20)]

    for fleet in fleets:
        for _ in range(300):
            fleet.act(fleet.random.randrange(3))

    assert sum(fleet.grants for fleet in fleets) > 100
    assert len({who for fleet in fleets for who, _ in fleet.writing}) > 20


def test_who_cannot_get_at_the_leases_is_troubled_until_it_can(world: World) -> None:
    daemon = Daemon(world, "a", *SERVICES)
    run(world, 10.0, daemon)
    assert not daemon.election.is_troubled(SERVICES[0])

    daemon.api.before = daemon.api.fail
    run(world, 2.0, daemon)
    assert daemon.election.is_troubled(SERVICES[0])

    daemon.api.before = lambda: None
    run(world, 2.0, daemon)
    assert not daemon.election.is_troubled(SERVICES[0])
