"""Killed at every instant between reading and recording: no step is made twice, no cool-down is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from autoscaler.core.policy import RateRule, Role, RuleKind
from autoscaler.core.signals import Scope, Signals, measured
from autoscaler.core.state import State
from autoscaler.daemon.service import ServiceRunner
from autoscaler.daemon.state_config_map import ConfigMapStateStore
from autoscaler.daemon.state_store import FileStateStore, StateStore
from autoscaler.targets.base import PoolReading, WriteResult
from tests.daemon.builders import (
    START_S,
    ScriptedSource,
    ScriptedTarget,
    capturing,
    crowded_decode_signals,
    policy,
    role_policy,
    steady_signals,
)
from tests.daemon.world import NAMESPACE, StoreApi, World

INTERVAL_S = 15.0
RATE_PODS, RATE_S = 4, 60.0
WINDOW_S = 120.0
CROWDED_FOR_S = 100.0
TICKS = 27


def quiet_decode_signals() -> Signals:
    """Decode could do with one replica."""
    signals = steady_signals()
    signals[Scope.DECODE]["kv_utilization_mean"] = measured(0.05, "ratio", 1.0)
    signals[Scope.DECODE]["running"] = measured(2.0, "requests", 1.0)
    return signals


class KilledError(BaseException):
    """Nobody catches it, and nothing runs after it: as kill -9."""


class Fuse:
    """Ends the process at one of its I/O calls, before or after it is carried out."""

    def __init__(self, at_call: int | None, *, after: bool) -> None:
        self.calls = 0
        self._at_call = at_call
        self._after = after

    def guard(self, call: Callable[[], object]) -> object:
        """Carry out an I/O call, unless this is the end."""
        self.calls += 1
        last = self.calls == self._at_call
        if last and not self._after:
            raise KilledError
        done = call()
        if last:
            raise KilledError
        return done

    def step(self) -> None:
        """An I/O call whose two sides are the same."""
        self.guard(lambda: None)


@dataclass
class FusedSource(ScriptedSource):
    fuse: Fuse = field(default_factory=lambda: Fuse(None, after=False))

    def read(self, now_s: float) -> Signals:
        self.fuse.step()
        return super().read(now_s)


@dataclass
class FusedTarget(ScriptedTarget):
    fuse: Fuse = field(default_factory=lambda: Fuse(None, after=False))

    def read(self) -> PoolReading:
        done = self.fuse.guard(super().read)
        assert isinstance(done, PoolReading)
        return done

    def write(self, role: Role, replicas: int, *, basis: str, dry_run: bool) -> WriteResult:
        done = self.fuse.guard(lambda: ScriptedTarget.write(self, role, replicas, basis=basis, dry_run=dry_run))
        assert isinstance(done, WriteResult)
        return done


class FusedFileStore(FileStateStore):
    """The file store, whose reads and writes are I/O calls too."""

    def __init__(self, folder: Path, fuse: Fuse) -> None:
        super().__init__(folder)
        self._fuse = fuse

    def load(self, service: str, now_s: float) -> State:
        done = self._fuse.guard(lambda: FileStateStore.load(self, service, now_s))
        assert isinstance(done, State)
        return done

    def save(self, service: str, state: State, *, urgent: bool = True) -> None:
        self._fuse.guard(lambda: FileStateStore.save(self, service, state, urgent=urgent))


Memory = Callable[[Path], "NewStore"]
NewStore = Callable[[Fuse], StateStore]
"""Makes the store of a process; what it keeps outlives the process."""


def in_files(folder: Path) -> NewStore:
    own = folder / uuid4().hex
    return lambda fuse: FusedFileStore(own, fuse)


def in_config_maps(_folder: Path) -> NewStore:
    world = World()

    def make(fuse: Fuse) -> StateStore:
        api = StoreApi(world)
        api.before = api.after = fuse.step
        return ConfigMapStateStore(api, NAMESPACE, "pd")

    return make


STORES = pytest.mark.parametrize("memory", [in_files, in_config_maps], ids=["dir", "configmap"])


@dataclass
class Life:
    """A service that is crowded for a while, and whose autoscaler is killed once.

    Attributes:
        counts: Time of each tick, and the decode replicas after it.
        calls: I/O calls made in all.
    """

    new_store: NewStore
    kill_at: int | None = None
    after: bool = False
    restart_s: float = INTERVAL_S
    counts: list[tuple[float, int]] = field(default_factory=list)
    calls: int = 0
    killed: bool = False

    def live(self) -> None:
        decode = role_policy(1, 30, RateRule(RuleKind.PODS, RATE_PODS, RATE_S), window_s=WINDOW_S)
        self.target = FusedTarget()
        self.source = FusedSource()
        self.fuse = Fuse(self.kill_at, after=self.after)
        self.policy = policy(decode=decode)
        runner, now_s = self._start(), START_S
        while now_s < START_S + TICKS * INTERVAL_S:
            crowded = now_s < START_S + CROWDED_FOR_S
            self.source.signals = crowded_decode_signals() if crowded else quiet_decode_signals()
            pause_s = INTERVAL_S
            try:
                runner.tick(now_s)
            except KilledError:
                self.killed, pause_s = True, self.restart_s
                self.calls += self.fuse.calls
                self.fuse = Fuse(None, after=False)
                runner = self._start()
            self.counts.append((now_s, self.target.counts[Role.DECODE]))
            now_s += pause_s
        self.calls += self.fuse.calls

    def _start(self) -> ServiceRunner:
        """A process begins with what its store kept, and with nothing else."""
        self.target.fuse = self.source.fuse = self.fuse
        return ServiceRunner(self.policy, self.source, self.target, self.new_store(self.fuse), capturing()[0])

    def check(self) -> None:
        """Growth within the rate, no shrink within the window."""
        for at_s, count in self.counts:
            earlier = [n for s, n in self.counts if at_s - RATE_S < s <= at_s]
            least = min([*earlier, 2] if at_s < START_S + RATE_S else earlier)
            assert count - least <= RATE_PODS, self
        shrunk = [s for (s, n), (_, before) in zip(self.counts[1:], self.counts, strict=False) if n < before]
        last_crowded_s = max(s for s, _ in self.counts if s < START_S + CROWDED_FOR_S)
        assert all(at_s >= last_crowded_s + WINDOW_S for at_s in shrunk), self


@STORES
def test_undisturbed_it_grows_by_its_rate_and_shrinks_after_its_window(memory: Memory, tmp_path: Path) -> None:
    life = Life(memory(tmp_path))
    life.live()
    life.check()

    numbers = [count for _, count in life.counts]
    assert max(numbers) == 10
    assert numbers[-1] == 1


@STORES
@pytest.mark.parametrize("restart_s", [1.0, INTERVAL_S], ids=["back in a second", "back at the next tick"])
@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
def test_a_kill_at_any_call_makes_no_second_step_and_loses_no_cool_down(
    memory: Memory, tmp_path: Path, *, after: bool, restart_s: float
) -> None:
    undisturbed = Life(memory(tmp_path))
    undisturbed.live()

    for call in range(1, undisturbed.calls + 1):
        life = Life(memory(tmp_path), call, after, restart_s)
        life.live()
        life.check()
        assert life.killed
        assert max(count for _, count in life.counts) in (10, 10 + RATE_PODS)
