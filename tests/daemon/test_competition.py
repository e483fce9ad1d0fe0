"""Others who set the same counts: looked for, named, given way to."""

from __future__ import annotations

from collections.abc import Mapping

from autoscaler.core.policy import Role
from autoscaler.daemon.competition import Lookout, UncontestedTarget
from autoscaler.daemon.leadership import LED_BY_ANOTHER
from autoscaler.targets.base import Outcome
from autoscaler.targets.kubernetes.competitors import Competition, Conflict
from tests.daemon.builders import START_S, HandClock, ScriptedTarget, capturing

HPA = Conflict("HorizontalPodAutoscaler", "decode", "serving", "the replica count of Deployment decode", "delete it")


class Stand:
    def __init__(self, found: Mapping[Role, Competition] | None = None) -> None:
        self.found = found or {}
        self.searches = 0
        self.inner = ScriptedTarget()
        self.clock = HandClock()
        log, self.lines = capturing()
        self.leads_for_s = float("inf")
        self.search_takes_s = 0.0
        self.target = UncontestedTarget(self.inner, Lookout(self._search, self.clock, log), self._may_write)

    def _may_write(self) -> bool:
        return self.clock.at_s - START_S < self.leads_for_s

    def _search(self) -> Mapping[Role, Competition]:
        self.searches += 1
        self.clock.at_s += self.search_takes_s
        return self.found

    def write(self, role: Role) -> Outcome:
        return self.target.write(role, 3, basis="v2", dry_run=False).outcome


def test_where_nobody_else_writes_we_do() -> None:
    stand = Stand({Role.DECODE: Competition()})

    assert stand.target.read().blockers == {}
    assert stand.write(Role.DECODE) is Outcome.APPLIED


def test_a_count_that_somebody_else_sets_is_left_to_them_and_the_other_is_not() -> None:
    stand = Stand({Role.DECODE: Competition((HPA,)), Role.PREFILL: Competition()})

    reading = stand.target.read()

    assert reading.blockers == {Role.DECODE: (str(HPA),)}
    assert "delete it" in stand.target.write(Role.DECODE, 3, basis="v2", dry_run=False).message
    assert stand.write(Role.DECODE) is Outcome.REFUSED
    assert stand.write(Role.PREFILL) is Outcome.APPLIED
    assert [write.role for write in stand.inner.writes] == [Role.PREFILL]


def test_it_is_looked_for_before_the_first_write_and_every_ten_minutes() -> None:
    stand = Stand()
    for _ in range(81):
        stand.target.read()
        stand.clock.at_s += 15.0

    assert stand.searches == 3


def test_one_that_came_since_is_found_before_the_next_write() -> None:
    stand = Stand()
    stand.target.read()
    stand.clock.at_s += 15.0
    stand.target.read()

    stand.found = {Role.DECODE: Competition((HPA,))}

    assert stand.write(Role.DECODE) is Outcome.REFUSED
    assert stand.target.read().blockers == {Role.DECODE: (str(HPA),)}


def test_the_writes_of_one_tick_share_a_look() -> None:
    stand = Stand()
    stand.target.read()
    stand.write(Role.PREFILL)
    stand.write(Role.DECODE)

    assert stand.searches == 1


def test_a_competitor_that_has_gone_is_no_obstacle_any_more() -> None:
    stand = Stand({Role.DECODE: Competition((HPA,))})
    stand.target.read()
    stand.found = {}
    stand.clock.at_s += 60.0

    assert stand.target.read().blockers == {}
    assert stand.write(Role.DECODE) is Outcome.APPLIED


def test_what_could_not_be_looked_at_is_said_once_looked_at_again_soon_and_stops_nothing() -> None:
    stand = Stand({Role.DECODE: Competition(unchecked=("cannot check for ScaledObject: missing verb list",))})
    for _ in range(9):
        stand.target.read()
        stand.clock.at_s += 15.0

    assert [line["event"] for line in stand.lines] == ["competitors unknown"]
    assert stand.searches == 3
    assert stand.write(Role.DECODE) is Outcome.APPLIED


def test_a_lease_that_runs_out_while_others_are_looked_for_leaves_the_count_alone() -> None:
    stand = Stand()
    stand.leads_for_s, stand.search_takes_s = 10.0, 12.0

    assert stand.target.write(Role.DECODE, 3, basis="v2", dry_run=False) == LED_BY_ANOTHER

    assert stand.inner.writes == []


def test_closing_goes_through() -> None:
    stand = Stand()

    stand.target.close()

    assert stand.inner.closed
