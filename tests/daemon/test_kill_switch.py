"""Killed at every instant of a change of the switch: it is never left half way, and no order of steps is skipped."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from autoscaler.core.policy import Disaggregation, Role, SwitchPolicy
from autoscaler.daemon.service import ServiceRunner
from autoscaler.daemon.switching import StackSwitch
from autoscaler.targets.base import WriteResult
from autoscaler.targets.switch import Position, Setting, SwitchReading
from tests.daemon.builders import START_S, capturing, policy, steady_signals
from tests.daemon.fuses import INTERVAL_S, STORES, Fuse, FusedSource, FusedTarget, Memory, Mortal, NewStore
from tests.daemon.test_switching import ScriptedSwitch, without_prefill_load

CONFIRM_S, LEASE_S = 45.0, 30.0
MOST_TICKS, TICKS_AFTER = 30, 2


@dataclass
class FusedSwitch(ScriptedSwitch):
    """A switch of its own, whose reads and writes are I/O calls."""

    fuse: Fuse = field(default_factory=lambda: Fuse(None, after=False))

    def read(self) -> SwitchReading:
        done = self.fuse.guard(lambda: ScriptedSwitch.read(self))
        assert isinstance(done, SwitchReading)
        return done

    def set(self, setting: Setting, *, dry_run: bool) -> WriteResult:
        done = self.fuse.guard(lambda: ScriptedSwitch.set(self, setting, dry_run=dry_run))
        assert isinstance(done, WriteResult)
        return done


@dataclass(frozen=True, slots=True)
class Moment:
    """What there was after a tick."""

    at_s: float
    position: Position
    prefill: int


@dataclass
class Change:
    """A service whose policy turns its switch, and whose autoscaler is killed once.

    Traffic goes through prefill while the switch is on.
    """

    wanted: Disaggregation
    new_store: NewStore
    kill_at: int | None = None
    after: bool = False
    restart_s: float = INTERVAL_S
    moments: list[Moment] = field(default_factory=list)
    calls: int = 0
    killed: bool = False

    def live(self) -> None:
        closes = self.wanted is Disaggregation.OFF
        self.switch = FusedSwitch(Position.ON if closes else Position.OFF)
        self.target = FusedTarget({Role.PREFILL: 2 if closes else 0, Role.DECODE: 2})
        self.source = FusedSource()
        switch = SwitchPolicy(self.wanted, confirm_s=CONFIRM_S, lease_s=LEASE_S)
        self.policy = replace(policy(), switch=switch)
        daemon, now_s = Mortal(self._start, self.kill_at, self.restart_s, after=self.after), START_S
        left = MOST_TICKS
        while left:
            routed = self.switch.position is Position.ON
            self.source.signals = steady_signals() if routed else without_prefill_load()
            pause_s = daemon.tick(now_s)
            self.moments.append(Moment(now_s, self.switch.position, self.target.counts[Role.PREFILL]))
            now_s += pause_s
            left = min(left - 1, TICKS_AFTER) if self._is_over() and left > TICKS_AFTER else left - 1
        self.calls, self.killed = daemon.calls, daemon.killed

    def _is_over(self) -> bool:
        last = self.moments[-1]
        over = (Position.OFF, 0) if self.wanted is Disaggregation.OFF else (Position.ON, last.prefill)
        return (last.position, last.prefill) == over

    def _start(self, fuse: Fuse) -> ServiceRunner:
        self.target.fuse = self.source.fuse = self.switch.fuse = fuse
        store, log = self.new_store(fuse), capturing()[0]
        made = StackSwitch(lambda _target: self.switch)
        return ServiceRunner(self.policy, self.source, self.target, store, log, switch=made)

    def check(self) -> None:
        """One move of the switch, prefill there while it is on, and KV waited out before prefill goes."""
        moved = [
            later.at_s
            for before, later in zip(self.moments, self.moments[1:], strict=False)
            if before.position is not later.position
        ]
        assert len(moved) == 1, self.moments
        assert all(moment.prefill > 0 for moment in self.moments if moment.position is Position.ON)
        last = self.moments[-1]
        if self.wanted is Disaggregation.OFF:
            emptied_s = next(moment.at_s for moment in self.moments if moment.prefill == 0)
            assert emptied_s - moved[0] >= LEASE_S
            assert (last.position, last.prefill) == (Position.OFF, 0)
        else:
            assert last.position is Position.ON


DIRECTIONS = pytest.mark.parametrize("wanted", [Disaggregation.OFF, Disaggregation.ON])


@STORES
@DIRECTIONS
def test_undisturbed_the_switch_moves_once(memory: Memory, wanted: Disaggregation, tmp_path: Path) -> None:
    change = Change(wanted, memory(tmp_path))
    change.live()
    change.check()


@STORES
@DIRECTIONS
@pytest.mark.parametrize("restart_s", [1.0, INTERVAL_S], ids=["back in a second", "back at the next tick"])
@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
def test_a_kill_at_any_call_leaves_no_half_switch(
    memory: Memory, wanted: Disaggregation, tmp_path: Path, *, after: bool, restart_s: float
) -> None:
    undisturbed = Change(wanted, memory(tmp_path))
    undisturbed.live()

    for call in range(1, undisturbed.calls + 1):
        change = Change(wanted, memory(tmp_path), call, after, restart_s)
        change.live()
        change.check()
        assert change.killed
