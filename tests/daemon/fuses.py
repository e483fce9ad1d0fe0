"""An autoscaler that is killed at one of its I/O calls and begins anew, with what its store kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch
from uuid import uuid4

import pytest

from autoscaler.core.policy import Role
from autoscaler.core.signals import Signals
from autoscaler.core.state import State
from autoscaler.daemon.service import ServiceRunner
from autoscaler.daemon.state_config_map import ConfigMapStateStore
from autoscaler.daemon.state_store import FileStateStore, StateStore
from autoscaler.targets.base import PoolReading, WriteResult
from tests.daemon.builders import ScriptedSource, ScriptedTarget
from tests.daemon.world import NAMESPACE, StoreApi, World

INTERVAL_S = 15.0


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
        with patch("os.fsync"):  # what a process wrote outlives it; only the end of the machine asks for more
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


class Mortal:
    """Ticks until it is killed, and then as another process.

    Args:
        begin: Starts a process whose I/O calls go through a fuse.
        kill_at: Which of the first one's I/O calls is its last; None for none.
        after: Whether that call is carried out.
        restart_s: How long it takes until the next process ticks.

    Attributes:
        calls: I/O calls made in all.
        killed: Whether it was.
    """

    def __init__(
        self, begin: Callable[[Fuse], ServiceRunner], kill_at: int | None, restart_s: float, *, after: bool
    ) -> None:
        self._begin = begin
        self._restart_s = restart_s
        self._fuse = Fuse(kill_at, after=after)
        self._runner = begin(self._fuse)
        self._calls_before = 0
        self.killed = False

    @property
    def calls(self) -> int:
        return self._calls_before + self._fuse.calls

    def tick(self, now_s: float) -> float:
        """One tick; the time until the next one."""
        try:
            self._runner.tick(now_s)
        except KilledError:
            self._calls_before, self._fuse = self.calls, Fuse(None, after=False)
            self._runner, self.killed = self._begin(self._fuse), True
            return self._restart_s
        return INTERVAL_S
