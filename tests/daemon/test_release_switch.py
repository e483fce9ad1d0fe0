"""Giving back a switch that was moved from here: when it waits, what waits for it, and what is forgotten."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from autoscaler.core.policy import Role
from autoscaler.core.state import OriginalSwitch, State
from autoscaler.daemon.release import Released, release
from autoscaler.daemon.state_store import MemoryStateStore
from autoscaler.targets.base import Outcome, PoolReading
from autoscaler.targets.kubernetes.competitors import Competition
from autoscaler.targets.switch import Position, PrefillZeroSwitch, Setting
from tests.daemon.builders import START_S, ScriptedTarget
from tests.daemon.test_switching import ScriptedSwitch

WAS_ON = OriginalSwitch(disaggregated=True)
WAS_OFF = OriginalSwitch(disaggregated=False)


@dataclass
class Starting(ScriptedTarget):
    """Of each pool, so many replicas are ready."""

    ready: dict[Role, int] = field(default_factory=dict)

    def read(self) -> PoolReading:
        found = super().read()
        pools = {role: replace(pool, ready=self.ready.get(role, pool.current)) for role, pool in found.pools.items()}
        return replace(found, pools=pools)


class Yard:
    """A daemon that ended has changed prefill from 4, decode from 2, and the switch."""

    def __init__(self, was: OriginalSwitch, position: Position, prefill: int = 2, decode: int = 6) -> None:
        self.target = Starting({Role.PREFILL: prefill, Role.DECODE: decode})
        self.switch = ScriptedSwitch(position)
        self.store = MemoryStateStore()
        originals = {Role.PREFILL: 4, Role.DECODE: 2}
        self.store.save("chat", State(started_at_s=START_S, originals=originals, original_switch=was))

    def release(self, switch: ScriptedSwitch | PrefillZeroSwitch | None) -> dict[str, Released]:
        nobody = dict.fromkeys((Role.PREFILL, Role.DECODE), Competition())
        return {one.subject: one for one in release("chat", self.target, self.store, nobody, switch, START_S)}

    def remembered(self) -> State:
        return self.store.load("chat", START_S)


def test_growth_comes_first_then_the_switch_and_a_second_release_shrinks() -> None:
    yard = Yard(WAS_ON, Position.OFF)

    first = yard.release(yard.switch)
    assert first["prefill"].done
    assert first["switch"] == Released("switch", done=True, message="back to on: configmaps/epp: done")
    assert (first["decode"].done, "release again" in first["decode"].message) == (False, True)
    assert yard.target.counts == {Role.PREFILL: 4, Role.DECODE: 6}

    second = yard.release(yard.switch)
    assert second["decode"].done
    assert "switch" not in second
    assert yard.target.counts == {Role.PREFILL: 4, Role.DECODE: 2}
    assert (yard.remembered().originals, yard.remembered().original_switch) == ({}, None)


@pytest.mark.parametrize(
    ("was", "position", "role", "needed"),
    [(WAS_ON, Position.OFF, Role.PREFILL, 4), (WAS_OFF, Position.ON, Role.DECODE, 2)],
)
def test_the_switch_waits_for_the_replicas_that_its_position_needs(
    was: OriginalSwitch, position: Position, role: Role, needed: int
) -> None:
    yard = Yard(was, position)
    yard.target.ready[role] = 1

    found = yard.release(yard.switch)

    assert not found["switch"].done
    assert f"{role} has 1 of {needed} replicas ready" in found["switch"].message
    assert yard.switch.asked == []
    assert yard.remembered().original_switch == was


@pytest.mark.parametrize(
    ("original", "asked"),
    [(OriginalSwitch(disaggregated=True, threshold_tokens=16.0), 16.0), (WAS_OFF, Position.OFF), (WAS_ON, Position.ON)],
)
def test_a_threshold_comes_back_as_the_number_that_it_was(original: OriginalSwitch, asked: Setting) -> None:
    yard = Yard(original, Position.OFF if original.disaggregated else Position.ON)

    yard.release(yard.switch)

    assert yard.switch.asked == [(asked, False)]


def test_a_switch_that_is_as_it_was_holds_nothing_up() -> None:
    yard = Yard(WAS_ON, Position.ON)

    found = yard.release(yard.switch)

    assert found["decode"].done
    assert yard.switch.asked == []
    assert yard.remembered().original_switch is None


def test_a_switch_that_the_server_refuses_is_told_and_remembered() -> None:
    yard = Yard(WAS_ON, Position.OFF)
    yard.switch.answer = Outcome.FORBIDDEN

    found = yard.release(yard.switch)

    assert found["switch"].message == "not given back: it was on; configmaps/epp: done"
    assert yard.remembered().original_switch == WAS_ON


def test_a_policy_without_its_switch_is_told_what_to_put_back() -> None:
    yard = Yard(WAS_ON, Position.OFF)

    found = yard.release(None)

    assert "put spec.switch back" in found["switch"].message
    assert not found["decode"].done


def test_where_no_prefill_replica_is_the_switch_the_replicas_are_all_there_is_to_give_back() -> None:
    yard = Yard(WAS_ON, Position.OFF, prefill=0)
    yard.target.ready[Role.PREFILL] = 0

    found = yard.release(PrefillZeroSwitch(yard.target))

    assert all(one.done for one in found.values())
    assert yard.target.counts == {Role.PREFILL: 4, Role.DECODE: 2}
