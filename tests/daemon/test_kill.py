"""Killed at every instant between reading and recording: no step is made twice, no cool-down is lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from autoscaler.core.policy import RateRule, Role, RuleKind
from autoscaler.core.signals import Scope, Signals, measured
from autoscaler.daemon.service import ServiceRunner
from tests.daemon.builders import START_S, capturing, crowded_decode_signals, policy, role_policy, steady_signals
from tests.daemon.fuses import INTERVAL_S, STORES, Fuse, FusedSource, FusedTarget, Memory, Mortal, NewStore

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
        self.policy, self.target, self.source = policy(decode=decode), FusedTarget(), FusedSource()
        daemon, now_s = Mortal(self._start, self.kill_at, self.restart_s, after=self.after), START_S
        while now_s < START_S + TICKS * INTERVAL_S:
            crowded = now_s < START_S + CROWDED_FOR_S
            self.source.signals = crowded_decode_signals() if crowded else quiet_decode_signals()
            pause_s = daemon.tick(now_s)
            self.counts.append((now_s, self.target.counts[Role.DECODE]))
            now_s += pause_s
        self.calls, self.killed = daemon.calls, daemon.killed

    def _start(self, fuse: Fuse) -> ServiceRunner:
        """A process begins with what its store kept, and with nothing else."""
        self.target.fuse = self.source.fuse = fuse
        return ServiceRunner(self.policy, self.source, self.target, self.new_store(fuse), capturing()[0])

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
