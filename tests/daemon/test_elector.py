"""One lease: taken, kept, lost, handed over; on clocks that only the test moves."""

from __future__ import annotations

import re

import pytest

from autoscaler.daemon.elector import Terms
from autoscaler.kube.lease import WANTED_BY
from tests.daemon.world import Daemon, World

TERMS = Terms()
NAME = "pd.chat"


@pytest.fixture
def world() -> World:
    return World()


def daemon(world: World, name: str = "a", offset_s: float = 0.0) -> Daemon:
    return Daemon(world, name, "chat", offset_s=offset_s)


def leader(world: World, name: str = "a") -> Daemon:
    """A daemon that has led for a while."""
    made = daemon(world, name)
    made.turn()
    pass_time(world, 2 * TERMS.lease_s, made)
    assert made.leads()
    return made


def pass_time(world: World, seconds: float, *turning: Daemon) -> None:
    """Let time pass while these daemons take their turns every second."""
    for _ in range(round(seconds)):
        world.at_s += 1.0
        for one in turning:
            one.turn()


def lease(world: World) -> dict[str, object]:
    found: dict[str, object] = world.leases()[NAME]["spec"]
    return found


def test_a_daemon_alone_leads(world: World) -> None:
    a = daemon(world)

    a.turn()
    pass_time(world, TERMS.lease_s + 1, a)

    assert a.leads()
    assert (lease(world)["holderIdentity"], lease(world)["leaseDurationSeconds"]) == ("a", 15)


def test_a_lease_that_did_not_exist_is_no_proof_that_nobody_writes(world: World) -> None:
    a = daemon(world)

    a.turn()
    pass_time(world, TERMS.lease_s - 1, a)

    assert not a.leads()


def test_times_are_written_with_six_decimals_even_on_a_full_second(world: World) -> None:
    world.at_s = 1_700_000_000.0
    a = daemon(world)
    a.turn()

    for field in ("acquireTime", "renewTime"):
        assert re.fullmatch(r"2023-11-14T22:13:20\.000000Z", str(lease(world)[field]))


def test_the_second_daemon_stands_by(world: World) -> None:
    a, b = leader(world), daemon(world, "b")

    pass_time(world, 60.0, a, b)

    assert a.leads()
    assert not b.leads()


@pytest.mark.parametrize("offset_s", [-7200.0, 0.0, 7200.0], ids=["slow", "equal", "fast"])
def test_a_standby_takes_over_within_a_lease_of_what_it_saw_last_whatever_its_clock_says(
    world: World, offset_s: float
) -> None:
    a, b = leader(world), daemon(world, "b", offset_s)
    pass_time(world, 10.0, a, b)

    pass_time(world, TERMS.lease_s - TERMS.renew_s, b)
    assert not b.leads()
    pass_time(world, TERMS.renew_s + 1, b)

    assert b.leads()
    assert lease(world)["leaseTransitions"] == 2


def test_a_leader_that_cannot_renew_stops_before_anybody_may_take_over(world: World) -> None:
    a = leader(world)
    a.api.before = a.api.fail

    pass_time(world, TERMS.lease_s - TERMS.write_s, a)

    assert not a.leads()
    assert lease(world)["holderIdentity"] == "a"


def test_a_leader_that_hangs_stops_without_doing_anything(world: World) -> None:
    a = leader(world)

    world.at_s += TERMS.lease_s - TERMS.write_s + 0.001

    assert not a.leads()


def test_a_leader_whose_trouble_is_over_in_time_goes_on(world: World) -> None:
    a = leader(world)
    a.api.before = a.api.fail
    pass_time(world, 2 * TERMS.lease_s, a)
    assert not a.leads()

    a.api.before = lambda: None
    a.turn()

    assert a.leads()


def test_a_term_ends_where_another_may_have_written_and_not_with_trouble_alone(world: World) -> None:
    a = leader(world)
    assert a.term() == 1
    a.api.before = a.api.fail
    pass_time(world, 2 * TERMS.lease_s, a)
    a.api.before = lambda: None
    a.turn()
    assert (a.leads(), a.term()) == (True, 1)

    b = daemon(world, "b")
    a.api.before = a.api.fail
    pass_time(world, 2 * TERMS.lease_s, a, b)
    assert b.leads()
    a.api.before, b.api.before = lambda: None, b.api.fail
    pass_time(world, 2 * TERMS.lease_s, a, b)

    assert (a.leads(), a.term()) == (True, 2)


def test_a_lease_taken_by_a_write_whose_answer_is_lost_begins_a_term(world: World) -> None:
    a, b = leader(world), daemon(world, "b")
    b.turn()
    a.election.close(release=True)
    b.api.after = b.api.fail
    b.turn()
    assert (b.leads(), b.term()) == (False, 0)

    b.api.after = lambda: None
    pass_time(world, TERMS.renew_s, b)

    assert (b.leads(), b.term()) == (True, 1)


def test_the_lease_is_measured_from_the_beginning_of_a_renewal_not_from_its_answer(world: World) -> None:
    a = leader(world)
    pass_time(world, TERMS.renew_s)
    began_s = world.at_s

    def slow_answer() -> None:
        world.at_s += 1.0

    a.api.after = slow_answer
    a.turn()
    world.at_s = began_s + 1.0 + TERMS.lease_s - TERMS.write_s

    assert not a.leads()


def test_an_answer_that_is_lost_is_no_renewal_and_the_next_turn_mends_it(world: World) -> None:
    a = leader(world)
    a.api.after = a.api.fail
    pass_time(world, TERMS.lease_s - TERMS.write_s, a)
    assert not a.leads()

    a.api.after = lambda: None
    a.turn()

    assert a.leads()


def test_a_released_lease_is_taken_at_once(world: World) -> None:
    a, b = leader(world), daemon(world, "b")
    b.turn()

    a.election.close(release=True)
    assert not a.leads()
    b.turn()

    assert b.leads()


def test_a_lease_is_not_released_while_a_write_may_be_under_way(world: World) -> None:
    a = leader(world)

    a.election.close(release=False)

    assert not a.leads()
    assert lease(world)["holderIdentity"] == "a"


def test_a_leader_that_comes_back_under_another_identity_waits_its_time(world: World) -> None:
    leader(world, "pod_1")
    again = daemon(world, "pod_2")

    pass_time(world, TERMS.lease_s, again)
    assert not again.leads()
    pass_time(world, 2.0, again)

    assert again.leads()


def test_a_lease_that_somebody_deletes_stops_its_holder_and_keeps_everybody_waiting(world: World) -> None:
    a, b = leader(world), daemon(world, "b")
    pass_time(world, 2.0, a, b)
    world.delete(NAME)

    b.turn()
    a.turn()
    assert not a.leads()
    pass_time(world, TERMS.lease_s - 1, a, b)
    assert (a.leads(), b.leads()) == (False, False)
    pass_time(world, 2.0, a, b)

    assert (a.leads(), b.leads()) == (False, True)


def test_a_lease_that_was_deleted_in_use_and_made_anew_is_nobody_s_while_its_old_holder_s_writes_may_arrive(
    world: World,
) -> None:
    a, b, c = leader(world), daemon(world, "b"), daemon(world, "c")
    assert a.leads()  # a write begins
    world.delete(NAME)
    b.turn()
    c.turn()

    b.election.close(release=True)
    pass_time(world, TERMS.write_s, c)

    assert not c.leads()
    pass_time(world, TERMS.lease_s, c)
    assert c.leads()


@pytest.mark.parametrize(
    "spec", [{}, {"holderIdentity": None, "leaseDurationSeconds": "soon", "leaseTransitions": "many"}]
)
def test_a_lease_that_says_nothing_sensible_is_free(world: World, spec: dict[str, object]) -> None:
    document = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": NAME}, "spec": {}}
    address = world.address("coordination.k8s.io/v1", "leases")
    world.store.create(address, document, manager="kubectl")
    a = daemon(world)
    a.api.found = [{**world.leases()[NAME], "spec": spec}]

    a.turn()

    assert a.leads()


def test_the_trouble_is_said_once_and_again_when_it_is_over(world: World) -> None:
    a = leader(world)
    a.api.before = a.api.fail
    pass_time(world, 20.0, a)
    a.api.before = lambda: None
    pass_time(world, 2.0, a)

    assert [event for event in a.events() if event != "leads"] == ["trouble", "stands by", "recovered"]


def test_asking_for_a_lease_does_not_make_its_dead_holder_look_alive(world: World) -> None:
    leader(world)
    b = daemon(world, "b")
    b.turn()
    pass_time(world, TERMS.lease_s - 1)
    (elector,) = b.election._electors.values()  # noqa: SLF001 - only an imbalance would make it ask

    elector.ask()
    pass_time(world, 2.0, b)

    assert b.leads()
    assert world.leases()[NAME]["metadata"]["annotations"] == {}


def test_somebody_else_s_annotations_and_labels_survive(world: World) -> None:
    a = leader(world)
    address = world.address("coordination.k8s.io/v1", "leases", name=NAME)
    mine = {"labels": {"team": "ml"}, "annotations": {"note": "mine", WANTED_BY: "b"}}
    world.store.update(address, lambda found: {**found, "metadata": {**found["metadata"], **mine}}, manager="kubectl")

    pass_time(world, TERMS.renew_s + 1, a)

    metadata = world.leases()[NAME]["metadata"]
    assert (metadata["labels"], metadata["annotations"]) == ({"team": "ml"}, {"note": "mine"})
