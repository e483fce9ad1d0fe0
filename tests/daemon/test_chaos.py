"""Chaos: two daemons, many services, everything fails at random, and at each decision what always holds is checked.

A run that fails tells its seed, and `CHAOS_SEED=<seed> pytest tests/daemon/test_chaos.py` plays it again.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random, SystemRandom

import pytest

from autoscaler.core.decision import Reason, RoleDecision, StageName
from autoscaler.core.policy import Mode, RateRule, Role, RolePolicy, RuleKind, ServicePolicy
from autoscaler.core.signals import Signal, Signals, absent, measured
from autoscaler.core.snapshot import PoolState
from autoscaler.daemon.draining import DrainingTarget
from autoscaler.daemon.election import Election
from autoscaler.daemon.service import ServiceRunner
from autoscaler.daemon.shared_budget import SharedBudget, SharedBudgets
from autoscaler.daemon.state_config_map import ConfigMapStateStore
from autoscaler.daemon.tick import Dependency, Tick
from autoscaler.targets.base import Outcome, PoolReading, WriteResult
from tests.daemon.builders import HandClock, capturing, policy, role_policy, steady_signals
from tests.daemon.test_draining_simulated import Unmarked
from tests.daemon.world import NAMESPACE, StoreApi, World

SERVICES, TICKS, CALM_TICKS = 12, 60, 30
INTERVAL_S, TURN_S = 15.0, 1.5
BUDGET_GPUS = 60.0
RATE_PODS, RATE_S, WINDOW_S = 3, 60.0, 60.0
LATE_S, NOTICED_S = 3 * INTERVAL_S, 600.0
ROLES = (Role.PREFILL, Role.DECODE)
WAITED_IN_VAIN = (Reason.UNSCHEDULABLE, Reason.REPLICAS_FAILING, Reason.BACKING_OFF)
WILD = (math.nan, math.inf, -math.inf, -1.0, 0.0, 1e-300, 1e300)
KNOWN_SEEDS = (2, 3)
# A new one each time, under a name that processes which share the tests agree on.
A_NEW_SEED = pytest.param(SystemRandom().randrange(10**6), id="new")
SEEDS = [int(os.environ["CHAOS_SEED"])] if "CHAOS_SEED" in os.environ else [*KNOWN_SEEDS, A_NEW_SEED]


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
    writers: Callable[[], int]
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
        assert self.writers() == 1
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


class Node:
    """One of the daemons: its own way to the API server, its election, and a runner of every service."""

    def __init__(self, storm: Storm, name: str) -> None:
        self.api = StoreApi(storm.world)
        self.cut_off = self.paused = False
        self.name = name
        self._storm = storm
        self._log = capturing()[0]
        self.restart()

    def restart(self) -> None:
        """A process begins, with what its store kept; the one before had no time to say goodbye."""
        luck = Random(f"{self._storm.luck.random()}")  # noqa: S311 - luck is no secret
        identity = f"{self.name}_{luck.randrange(10**6)}"
        clock = self._storm.clock
        self.budgets = SharedBudgets([SharedBudget("all", BUDGET_GPUS)])
        self.budgets.follow(self._storm.policies)
        self.election = Election(self.api, NAMESPACE, "pd", identity, clock, self._log, random=luck)
        self.election.stand_for(self.budgets.leases(self._storm.policies))
        self.runners = {name: self._runner(name) for name in self._storm.policies}

    def leads(self, name: str) -> bool:
        """Whether it may write for a service."""
        return self.election.may_write(self.budgets.lease(name))

    def mishap(self) -> None:
        """What may come over a request."""
        if self.cut_off or (self._storm.wild and self._storm.luck.random() < 0.1):
            self.api.fail()

    def _runner(self, name: str) -> ServiceRunner:
        storm, nobody, own = self._storm, Unmarked(), self.election
        target = DrainingTarget(storm.targets[name], nobody, nobody, kv_lease_s=20.0, clock=storm.clock, log=self._log)
        lease = self.budgets.lease(name)
        return ServiceRunner(
            storm.policies[name],
            storm.sources[name],
            target,
            ConfigMapStateStore(self.api, NAMESPACE, "pd"),
            self._log,
            grant=lambda policy, snapshot, alone: self.budgets.grant(policy, snapshot, alone, own.term(lease)),
            may_write=lambda: own.may_write(lease),
        )


class Storm:
    """Services with one budget, two daemons for them, and bad luck."""

    def __init__(self, seed: int) -> None:
        self.luck = Random(seed)  # noqa: S311 - luck is no secret
        self.clock = HandClock()
        self.world = World()
        self.wild = True
        self.policies = {f"s{number}": self._policy(f"s{number}") for number in range(SERVICES)}
        self.sources = {name: ChaoticSource(Random(f"{seed} {name}")) for name in self.policies}  # noqa: S311 - as above
        self.targets = {
            name: ChaoticTarget(Random(f"{seed} {name}!"), partial(self.writers, name))  # noqa: S311 - as above
            for name in self.policies
        }
        self.counts = {(name, role): [(-math.inf, 2)] for name in self.policies for role in ROLES}
        self.forgot_at_s: dict[str, float] = {}
        self.taken_at_s: dict[tuple[str, Role], list[float]] = {key: [] for key in self.counts}
        self.leaders: set[str] = set()
        self.writes = 0
        self.nodes = [Node(self, name) for name in ("one", "other")]
        for node in self.nodes:
            node.api.before = node.mishap

    def _policy(self, name: str) -> ServicePolicy:
        def pool() -> RolePolicy:
            low = self.luck.randrange(1, 3)
            return role_policy(
                low, low + self.luck.randrange(12), RateRule(RuleKind.PODS, RATE_PODS, RATE_S), window_s=WINDOW_S
            )

        mode = Mode.RECOMMEND if name == "s0" else Mode.ENFORCE
        return policy(mode, service=name, prefill=pool(), decode=pool(), interval_s=INTERVAL_S)

    def writers(self, name: str) -> int:
        """How many daemons may write for a service now."""
        return sum(node.leads(name) for node in self.nodes)

    def held_gpus(self) -> float:
        return sum(target.held_gpus() for target in self.targets.values())

    def pass_time(self) -> None:
        """An interval passes, or a leap; daemons stand for their leases in it, unless they are stopped."""
        for _ in range(round(INTERVAL_S / TURN_S)):
            self._let_pass(TURN_S)
            for node in self.nodes:
                if not node.paused:
                    node.election.turn()
        if self.wild and self.luck.random() < 0.1:
            self._let_pass(200.0)

    def strike(self) -> None:
        """What happens to daemons."""
        for node in self.nodes:
            if self.luck.random() < 0.25:
                node.restart()
            node.cut_off = self.luck.random() < (0.7 if node.cut_off else 0.1)
            node.paused = self.luck.random() < (0.7 if node.paused else 0.1)

    def tick(self, node: Node, name: str) -> Tick:
        """One tick, with whatever goes wrong around it."""
        target = self.targets[name]
        if self.wild and self.luck.random() < 0.02:
            role = self.luck.choice(ROLES)
            target.counts[role] = max(target.counts[role] - 1, 1)  # a person
            self.taken_at_s[name, role].append(self.clock.at_s)
        target.written.clear()
        done = node.runners[name].tick(self.clock.at_s)
        self.writes += len(target.written)
        if target.written:
            self.leaders.add(node.name)
        if target.written and any(trouble.dependency is Dependency.STATE for trouble in done.troubles):
            self.forgot_at_s[name] = self.clock.at_s
        return done

    def note_counts(self, name: str) -> None:
        """Remember what there is after a tick."""
        for role in ROLES:
            self.counts[name, role].append((self.clock.at_s, self.targets[name].counts[role]))

    def calm(self) -> None:
        """Nothing goes wrong any more."""
        self.wild = False
        for node in self.nodes:
            node.cut_off = node.paused = False
        for source in self.sources.values():
            source.wild = False
        for target in self.targets.values():
            target.wild = False

    def _let_pass(self, seconds: float) -> None:
        self.clock.at_s += seconds
        self.world.at_s = self.clock.at_s


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
            assert decided.desired >= decided.current or decided.reason is Reason.BUDGET_LIMITED or gave_up(decided)
    for role, before, after in target.written:
        assert done.leads
        assert done.decision.mode is Mode.ENFORCE
        assert after == done.decision.roles[role].desired
        if after > before:
            check_rate(storm, name, role, after)


def gave_up(decided: RoleDecision) -> bool:
    """Whether what went was waited for in vain: that is known of pods, without a signal. Who serves stays."""
    (capacity,) = (stage for stage in decided.stages if stage.stage is StageName.CAPACITY)
    serves = min(decided.current, decided.ready)
    return capacity.reason in WAITED_IN_VAIN and decided.desired == capacity.after >= serves


def check_rate(storm: Storm, name: str, role: Role, after: int) -> None:
    """Whoever leads, and whoever has led: no step is made twice; but for what could not be kept, which is said.

    A pool may be larger by the rate than it was when the rate's period began; a daemon sees that some ticks late. What
    a person takes away it may see much later, where it begins meanwhile and the pool cannot be read.
    """
    now_s = storm.clock.at_s
    if now_s - storm.forgot_at_s.get(name, -math.inf) <= 2 * RATE_S:
        return
    since_s = now_s - RATE_S
    before = [(at_s, count) for at_s, count in storm.counts[name, role] if at_s <= since_s]
    started = max(count for at_s, count in before if at_s >= min(since_s - LATE_S, before[-1][0]))
    taken = sum(storm.clock.at_s - at_s <= NOTICED_S for at_s in storm.taken_at_s[name, role])
    assert after <= max(started + RATE_PODS + taken, storm.policies[name].roles[role].min_replicas), (name, role, after)


@pytest.mark.parametrize("seed", SEEDS)
def test_in_the_worst_of_luck_nothing_that_always_holds_is_broken_and_calm_needs_no_restart(seed: int) -> None:
    print(f"chaos seed {seed}")  # noqa: T201 - told when it fails, to play it again
    storm = Storm(seed)
    most_held = storm.held_gpus()
    last: dict[str, Tick] = {}

    for number in range(TICKS + CALM_TICKS):
        if number < TICKS:
            storm.strike()
        elif number == TICKS:
            storm.calm()
        storm.pass_time()
        for node in storm.nodes:
            for name in storm.policies if not node.paused else ():
                done = storm.tick(node, name)
                check(storm, name, done)
                storm.note_counts(name)
                last |= {name: done} if done.leads else {}
                assert storm.writers(name) <= 1
                assert storm.held_gpus() <= max(BUDGET_GPUS, most_held)

    assert storm.writes > SERVICES  # else it was no storm
    if seed in KNOWN_SEEDS:
        assert storm.leaders == {"one", "other"}  # luck may keep one of them from every write
    assert last.keys() == storm.policies.keys()
    troubles = [trouble for done in last.values() for trouble in done.troubles]
    assert [one for one in troubles if not one.message.startswith("frozen: ")] == []  # which lasts half an hour
