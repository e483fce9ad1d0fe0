"""A service on a fake clock: readings are set, time passes, decisions are looked at and, if obeyed, applied."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, Self

from autoscaler.core.decide import decide
from autoscaler.core.decision import Decision, Reason, StageName
from autoscaler.core.policy import Role, ServicePolicy
from autoscaler.core.snapshot import PoolState, Snapshot
from autoscaler.core.state import State, from_json, to_json
from tests.support.core import (
    START_S,
    STEADY,
    Reading,
    service_policy,
    signals,
)


class Service(Protocol):
    """What produces readings when a story does not dictate them."""

    def advance(self, elapsed_s: float, prefill_ready: int, decode_ready: int) -> None:
        """Let time pass with that many replicas serving."""

    def readings(self) -> Mapping[str, float]:
        """What its signals say now."""


class Scripted:
    """Signals that stay what they are, whatever the pools do."""

    def __init__(self, readings: Mapping[str, float] = STEADY) -> None:
        self._readings = readings

    def advance(self, elapsed_s: float, prefill_ready: int, decode_ready: int) -> None:
        pass

    def readings(self) -> Mapping[str, float]:
        return self._readings


@dataclass
class Pods:
    """The replicas of one pool: when each becomes ready, whether the next ones find a node, how many drain or roll."""

    ready_at_s: list[float]
    startup_s: float
    schedulable: bool = True
    updating: bool = False
    terminating: int = 0

    def resize(self, replicas: int, now: float) -> None:
        """Start or stop replicas; those that do not serve yet stop first."""
        starts_s = now + self.startup_s if self.schedulable else math.inf
        self.ready_at_s = sorted(self.ready_at_s)[:replicas]
        self.ready_at_s += [starts_s] * (replicas - len(self.ready_at_s))

    def state(self, now: float, before: float) -> PoolState:
        """As the cluster reports it; `before` is the time of the last report."""
        return PoolState(
            current=len(self.ready_at_s),
            ready=sum(at_s <= now for at_s in self.ready_at_s),
            unschedulable=sum(math.isinf(at_s) for at_s in self.ready_at_s),
            terminating=self.terminating,
            updating=self.updating,
            startup_times_s=tuple(self.startup_s for at_s in self.ready_at_s if before < at_s <= now),
        )


@dataclass
class Story:
    """A service on a fake clock: readings are set, time passes, decisions are looked at and, if obeyed, applied.

    Time is told in seconds since the story began. A tick falls on every multiple of the policy's interval; a reading
    that is set holds from the next tick on.
    """

    policy: ServicePolicy
    pods: dict[Role, Pods]
    service: Service
    obeyed: bool = True
    time_s: float = 0.0
    state: State = field(default_factory=State)
    decisions: list[Decision] = field(default_factory=list)
    changes: dict[str, Reading] = field(default_factory=dict)
    _decided: bool = False

    def at(self, time_s: float) -> Self:
        """Tick until that time; the tick of that time itself comes with the first look at its decision."""
        assert time_s >= self.time_s, f"the story is at {self.time_s} s already"
        while self.time_s < time_s:
            self._decide()
            elapsed_s = min(self.policy.interval_s, time_s - self.time_s)
            self.service.advance(elapsed_s, self._ready(Role.PREFILL), self._ready(Role.DECODE))
            self.time_s += elapsed_s
            self._decided = False
        return self

    def wait(self, seconds: float) -> Self:
        return self.at(self.time_s + seconds)

    def says(self, changes: Mapping[str, Reading]) -> Self:
        """Dictate readings until told otherwise."""
        self._not_too_late()
        self.changes.update(changes)
        return self

    def as_before(self) -> Self:
        """Take back every dictated reading."""
        self._not_too_late()
        self.changes.clear()
        return self

    def prefill_queue(self, requests: float) -> Self:
        return self.says({"prefill.queue_depth": requests})

    def decode_waiting(self, requests: float) -> Self:
        return self.says({"decode.waiting": requests})

    def served_by(self, service: Service) -> Self:
        self._not_too_late()
        self.service = service
        return self

    def rollout(self, role: Role, *, under_way: bool) -> Self:
        self.pods[role].updating = under_way
        return self

    def cluster_full(self, role: Role, *, full: bool = True) -> Self:
        """Whether new replicas of a role find no node."""
        self.pods[role].schedulable = not full
        return self

    def resized_by_hand(self, role: Role, replicas: int) -> Self:
        self._not_too_late()
        self.pods[role].resize(replicas, self.now)
        return self

    def restart(self, *, remembers: bool) -> Self:
        """As a new process: with what was written down, or with nothing."""
        self.state = from_json(to_json(self.state), self.now) if remembers else State()
        return self

    def expect(self, *, because: Reason | None = None, **replicas: int) -> Self:
        """Check what is decided now: the replicas of roles, and the binding reason of the first one named."""
        decided = self.decision
        wanted = {Role(name): count for name, count in replicas.items()}
        assert {role: decided.roles[role].desired for role in wanted} == wanted, self.explain()
        if because is not None:
            role = next(iter(wanted), Role.PREFILL)
            assert decided.roles[role].reason is because, self.explain()
        return self

    @property
    def now(self) -> float:
        return START_S + self.time_s

    @property
    def decision(self) -> Decision:
        """What is decided now."""
        self._decide()
        return self.decisions[-1]

    def desired(self, role: Role) -> int:
        return self.decision.roles[role].desired

    def current(self, role: Role) -> int:
        return len(self.pods[role].ready_at_s)

    def reasons(self, role: Role) -> set[Reason]:
        """Reasons of every stage of the present decision."""
        return {stage.reason for stage in self.decision.roles[role].stages}

    def counts(self, role: Role, since_s: float = 0.0) -> list[int]:
        """What was desired at every tick from that time on."""
        return [decided.roles[role].desired for decided in self.decisions if decided.at_s >= START_S + since_s]

    def explain(self) -> str:
        """The present decision, stage by stage, for a failing test."""
        lines = [f"at {self.time_s:.0f} s"]
        for role, decided in self.decision.roles.items():
            lines.append(f"{role}: {decided.current} ({decided.ready} ready) -> {decided.desired} {decided.reason}")
            lines += [
                f"  {step.stage}: {step.before} -> {step.after} {step.reason} {step.detail}" for step in decided.stages
            ]
        return "\n".join(lines)

    def _not_too_late(self) -> None:
        assert not self._decided, f"the tick at {self.time_s} s is over: wait first"

    def _ready(self, role: Role) -> int:
        return self.pods[role].state(self.now, self.now).ready if role in self.pods else 0

    def _decide(self) -> None:
        if self._decided:
            return
        before = self.decisions[-1].at_s if self.decisions else self.now
        self.service.advance(0.0, self._ready(Role.PREFILL), self._ready(Role.DECODE))
        seen = Snapshot(
            self.policy.service,
            self.now,
            {role: pool.state(self.now, before) for role, pool in self.pods.items()},
            signals(self.changes, {**STEADY, **self.service.readings()}),
            {},
        )
        decision, self.state = decide(self.policy, seen, self.state, self.now)
        self.decisions.append(decision)
        self._decided = True
        if self.obeyed:
            for role, decided in decision.roles.items():
                self.pods[role].resize(decided.desired, self.now)


def story(
    prefill: int = 2,
    decode: int = 2,
    *,
    policy: ServicePolicy | None = None,
    service: Service | None = None,
    startup_s: float = 60.0,
    obeyed: bool = True,
) -> Story:
    """Begin a story with replicas that all serve."""
    replicas = {Role.PREFILL: prefill, Role.DECODE: decode}
    return Story(
        policy or service_policy(),
        {role: Pods([START_S - 1.0] * count, startup_s) for role, count in replicas.items()},
        service or Scripted(),
        obeyed,
    )


def stage(decision: Decision, role: Role, name: StageName) -> Reason:
    """Why one stage of one role changed or kept its number."""
    return next(step.reason for step in decision.roles[role].stages if step.stage is name)
