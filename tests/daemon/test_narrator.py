from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from autoscaler.core.decision import Decision, Reason, RoleDecision, Stage, StageName
from autoscaler.core.policy import Mode, Role
from autoscaler.daemon.narrator import Narrator
from autoscaler.targets.base import Outcome, WriteResult
from tests.daemon.builders import START_S, capturing


def decided(current: int, uncapped: int, desired: int, reason: Reason) -> RoleDecision:
    proposal = Stage(StageName.PROPOSAL, current, uncapped, Reason.PREFILL_DEMAND, "work for all of them")
    guard = Stage(StageName.BOUNDS, uncapped, desired, reason, "so it is")
    return RoleDecision(current, current, desired, uncapped, reason, (proposal, guard))


HELD = decided(3, 5, 3, Reason.AT_MAX)
SCALED = decided(3, 5, 4, Reason.RATE_LIMITED)
CALM = decided(3, 3, 3, Reason.PREFILL_DEMAND)


def told(
    *pools: tuple[float, RoleDecision], writes: Mapping[Role, WriteResult] = MappingProxyType({})
) -> list[Mapping[str, object]]:
    """What is said of a prefill pool that is decided so at these seconds, and written so each time."""
    log, lines = capturing()
    narrator = Narrator(log)
    for after_s, pool in pools:
        narrator.tell(Decision("chat", START_S + after_s, Mode.ENFORCE, {Role.PREFILL: pool}, {}), writes)
    return lines


def test_a_scaling_is_said_once() -> None:
    assert [line["event"] for line in told((0.0, SCALED), (15.0, SCALED))] == ["scale"]


def test_a_write_that_had_to_be_made_again_is_said_again() -> None:
    writes = {Role.PREFILL: WriteResult(Outcome.APPLIED, "3 to 4 replicas")}

    lines = told((0.0, SCALED), (15.0, SCALED), writes=writes)

    assert [line["outcome"] for line in lines] == ["applied", "applied"]


def test_a_write_that_fails_again_is_no_news() -> None:
    writes = {Role.PREFILL: WriteResult(Outcome.REJECTED, "a quota is used up")}

    assert len(told((0.0, SCALED), (15.0, SCALED), writes=writes)) == 1


def test_a_pool_that_is_held_is_said_with_the_reason() -> None:
    (line,) = told((0.0, HELD))

    assert line["event"] == "hold"
    assert (line["current"], line["uncapped"], line["reason"]) == (3, 5, "at_max")
    assert "so it is" in str(line["detail"])


def test_the_same_hold_is_said_again_only_after_a_while_with_how_often_it_was() -> None:
    lines = told(*((15.0 * tick, HELD) for tick in range(41)))

    assert [line.get("ticks") for line in lines] == [None, 40]


def test_holds_that_alternate_are_sampled_each() -> None:
    other = replace(HELD, stages=(HELD.stages[0], replace(HELD.stages[1], reason=Reason.BUDGET_LIMITED)))

    lines = told(*((15.0 * tick, (HELD, other)[tick % 2]) for tick in range(20)))

    assert [line["reason"] for line in lines] == ["at_max", "budget_limited"]


def test_a_pool_that_has_what_it_wants_says_nothing() -> None:
    assert told((0.0, CALM)) == []


def test_what_is_within_tolerance_is_no_news() -> None:
    assert told((0.0, decided(3, 4, 3, Reason.WITHIN_TOLERANCE))) == []
