"""Chaos: many services, everything around them fails at random, and at each decision what always holds is checked.

A run prints its seed, and `CHAOS_SEED=<seed> pytest tests/daemon/test_chaos.py` plays it again.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random, SystemRandom

import pytest

from autoscaler.core.policy import Mode, RateRule, Role, RolePolicy, RuleKind, ServicePolicy
from autoscaler.core.signals import Signal, Signals, absent, measured
from autoscaler.core.snapshot import PoolState
from autoscaler.daemon.draining import DrainingTarget
from autoscaler.daemon.service import ServiceRunner
from autoscaler.daemon.shared_budget import SharedBudget
from autoscaler.daemon.state_config_map import ConfigMapStateStore
from autoscaler.daemon.tick import Dependency, Tick
from autoscaler.targets.base import Outcome, PoolReading, WriteResult
from tests.daemon.builders import HandClock, capturing, policy, role_policy, steady_signals
from tests.daemon.test_draining_simulated import Unmarked
from tests.daemon.world import NAMESPACE, StoreApi, World

SERVICES, TICKS, CALM_TICKS = 12, 50, 30
INTERVAL_S = 15.0
BUDGET_GPUS = 60.0
RATE_PODS, RATE_S, WINDOW_S = 3, 60.0, 60.0
ROLES = (Role.PREFILL, Role.DECODE)
WILD = (math.nan, math.inf, -math.inf, -1.0, 0.0, 1e-300, 1e300)
SEEDS = [int(os.environ["CHAOS_SEED"])] if "CHAOS_SEED" in os.environ else [1, 2, SystemRandom().randrange(10**6)]


@dataclass
class ChaoticSource:
    """Signals that come, go, go stale, and are nonsense at times."""

    luck: Random
    wild: bool = True
    pressure: float = 1.0
    blind: bool = False

    def read(self, now_s: float) -> Signals:  # noqa: ARG002 - the chaos knows no time
        self.pressure = min(max(self.pressure * self.luck.choice([0.5, 1.0, 1.0, 1.0, 2.0]), 0.1), 50.0)
        self.blind = self.wild and self.luck.random() < 0.2
        found = steady_signals()
        return {scope: {name: self._of(name, one) for name, one in own.items()} for scope, own in found.items()}

    def close(self) -> None:
        pass

    def _of(self, name: str, usual: Signal) -> Signal:
        if self.blind or (self.wild and self.luck.random() < 0.05):
            return absent(usual.unit, "chaos")
        if self.wild and self.luck.random() < 0.05:
            return measured(self.luck.choice(WILD), usual.unit, 1.0)
        if self.wild and self.luck.random() < 0.05:
            return measured(usual.value or 0.0, usual.unit, 3600.0, stale_after_s=60.0)
        value = usual.value or 0.0
        return measured(value if name.startswith("kv") else value * self.pressure, usual.unit, 1.0)


@dataclass
class ChaoticTarget:
    """Pools that somebody else resizes, that cannot be read, whose writes get lost, whose replicas are slow."""

    luck: Random
    gpus: Callable[[], float]
    wild: bool = True
    counts: dict[Role, int] = field(default_factory=lambda: dict.fromkeys(ROLES, 2))
    leaving: dict[Role, int] = field(default_factory=lambda: dict.fromkeys(ROLES, 0))
    written: list[tuple[Role, int, int]] = field(default_factory=list)

    def read(self) -> PoolReading:
        for role in ROLES:
            self.leaving[role] = max(self.leaving[role] - self.luck.randrange(3), 0)
        hidden = {role: "chaos" for role in ROLES if self.wild and self.luck.random() < 0.1}
        pools = {
            role: PoolState(
                count,
                max(count - self.luck.randrange(2), 0),
                unschedulable=self.luck.choice([0, 0, 0, 1]) if self.wild else 0,
                failing=self.luck.choice([0, 0, 0, 1]) if self.wild else 0,
                terminating=self.leaving[role],
                updating=self.wild and self.luck.random() < 0.1,
            )
            for role, count in self.counts.items()
            if role not in hidden
        }
        return PoolReading(pools, hidden, {role: str(state.current) for role, state in pools.items()})

    def write(self, role: Role, replicas: int, *, basis: str, dry_run: bool) -> WriteResult:
        assert not dry_run
        if self.wild and self.luck.random() < 0.2:
            outcome = self.luck.choice([Outcome.CONFLICT, Outcome.FORBIDDEN, Outcome.REJECTED, Outcome.UNAVAILABLE])
            if outcome is not Outcome.UNAVAILABLE or self.luck.random() < 0.5:
                return WriteResult(outcome, "chaos")
            self._set(role, replicas)
            return WriteResult(outcome, "chaos, and yet it was applied")
        if basis != str(self.counts[role]):
            return WriteResult(Outcome.CONFLICT, "somebody else was there")
        self._set(role, replicas)
        return WriteResult(Outcome.APPLIED, "")

    def close(self) -> None:
        pass

    def _set(self, role: Role, replicas: int) -> None:
        self.written.append((role, self.counts[role], replicas))
        self.leaving[role] += max(self.counts[role] - replicas, 0)
        self.counts[role] = replicas

    def held_gpus(self) -> float:
        return float(sum(self.counts.values()) + sum(self.leaving.values()))


class Storm:
    """Services with one budget and one place for their memory, and bad luck."""

    def __init__(self, seed: int) -> None:
        self.luck = Random(seed)  # noqa: S311 - luck is no secret
        self.clock = HandClock()
        self.world = World()
        self.api = StoreApi(self.world)
        self.wild = True
        self.writes = 0
        self.budget = SharedBudget("all", BUDGET_GPUS)
        self.sources: dict[str, ChaoticSource] = {}
        self.targets: dict[str, ChaoticTarget] = {}
        self.runners: dict[str, ServiceRunner] = {}
        self.policies = {f"s{number}": self._policy(f"s{number}") for number in range(SERVICES)}
        self.budget.follow(self.policies)
        for name in self.policies:
            self.sources[name] = ChaoticSource(Random(f"{seed} {name}"))  # noqa: S311 - as above
            self.targets[name] = ChaoticTarget(Random(f"{seed} {name}!"), self.held_gpus)  # noqa: S311 - as above
            self.start(name)

    def _policy(self, name: str) -> ServicePolicy:
        def pool() -> RolePolicy:
            low = self.luck.randrange(1, 3)
            return role_policy(
                low, low + self.luck.randrange(12), RateRule(RuleKind.PODS, RATE_PODS, RATE_S), window_s=WINDOW_S
            )

        mode = Mode.RECOMMEND if name == "s0" else Mode.ENFORCE
        return policy(mode, service=name, prefill=pool(), decode=pool(), interval_s=INTERVAL_S)

    def start(self, name: str) -> None:
        """A process begins, with what its store kept."""
        nobody = Unmarked()
        log = capturing()[0]
        target = DrainingTarget(self.targets[name], nobody, nobody, kv_lease_s=20.0, clock=self.clock, log=log)
        store = ConfigMapStateStore(self.api, NAMESPACE, "pd")
        grant = self.budget.grant
        self.runners[name] = ServiceRunner(self.policies[name], self.sources[name], target, store, log, grant=grant)

    def held_gpus(self) -> float:
        return sum(target.held_gpus() for target in self.targets.values())

    def tick(self, name: str) -> Tick:
        """One tick, with whatever goes wrong around it."""
        self.api.before = self._mishap if self.wild else lambda: None
        if self.wild and self.luck.random() < 0.05:
            self.start(name)
        if self.wild and self.luck.random() < 0.02:
            role = self.luck.choice(ROLES)
            self.targets[name].counts[role] = max(self.targets[name].counts[role] - 1, 1)  # a person
        self.writes += len(self.targets[name].written)
        self.targets[name].written.clear()
        return self.runners[name].tick(self.clock.at_s)

    def calm(self) -> None:
        """Nothing goes wrong any more."""
        self.wild = False
        for source in self.sources.values():
            source.wild = False
        for target in self.targets.values():
            target.wild = False

    def _mishap(self) -> None:
        if self.luck.random() < 0.1:
            self.api.fail()


def check(storm: Storm, name: str, done: Tick) -> None:
    """What holds at each decision, whatever happens."""
    assert not any(trouble.dependency is Dependency.INTERNAL for trouble in done.troubles), done.troubles
    limits, target = storm.policies[name].roles, storm.targets[name]
    if done.decision is None:
        return
    for role, decided in done.decision.roles.items():
        low, high = limits[role].min_replicas, limits[role].max_replicas
        assert min(low, decided.current) <= decided.desired <= max(high, decided.current)
        assert decided.stages[-1].after == decided.desired
        if storm.sources[name].blind and low <= decided.current <= high:
            assert decided.desired >= decided.current or decided.reason.value == "budget_limited"
    for role, before, after in target.written:
        assert done.leads
        assert done.decision.mode is Mode.ENFORCE
        assert after == done.decision.roles[role].desired
        assert after - before <= max(RATE_PODS, low_of(limits[role]) - before)


def low_of(limits: RolePolicy) -> int:
    return limits.min_replicas


@pytest.mark.parametrize("seed", SEEDS)
def test_in_the_worst_of_luck_nothing_that_always_holds_is_broken_and_calm_needs_no_restart(
    seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f" [chaos seed {seed}]", end="")  # noqa: T201 - to play it again
    storm = Storm(seed)
    most_held = storm.held_gpus()

    for number in range(TICKS + CALM_TICKS):
        if number == TICKS:
            storm.calm()
        jump_s = storm.luck.choice([0.0] * 9 + [200.0]) if storm.wild else 0.0
        storm.clock.at_s += INTERVAL_S + jump_s
        storm.world.at_s = storm.clock.at_s
        last = {}
        for name in storm.policies:
            last[name] = storm.tick(name)
            check(storm, name, last[name])
            assert storm.held_gpus() <= max(BUDGET_GPUS, most_held)

    assert storm.writes > SERVICES  # else it was no storm
    troubles = [trouble for done in last.values() for trouble in done.troubles]
    assert [one for one in troubles if not one.message.startswith("frozen: ")] == []  # which lasts half an hour
