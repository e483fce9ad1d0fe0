"""A service with a scripted source and target, and the real core in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog
from structlog.testing import LogCapture

from autoscaler.core.policy import (
    Behavior,
    LatencyObjective,
    Mode,
    Objectives,
    RateRule,
    Role,
    RolePolicy,
    ServicePolicy,
)
from autoscaler.core.signals import Scope, Signal, Signals, absent, measured
from autoscaler.core.snapshot import PoolState
from autoscaler.daemon.logs import Log
from autoscaler.daemon.service import Grant, ServiceRunner
from autoscaler.daemon.state_store import MemoryStateStore, StateStore
from autoscaler.daemon.switching import StackSwitch
from autoscaler.daemon.tick import Tick
from autoscaler.targets.base import Outcome, PoolReading, WriteResult
from tests.support.core import START_S, direction, pods

__all__ = ["START_S"]


def role_policy(low: int = 1, high: int = 10, *rules: RateRule, window_s: float = 60.0) -> RolePolicy:
    """Bounds make the decision: a pool outside of them moves into them whatever its signals say."""
    behavior = Behavior(direction(0.0, *(rules or (pods(4, 60.0),))), direction(window_s))
    return RolePolicy(low, high, gpus_per_replica=1.0, startup_time_s=60.0, behavior=behavior)


def policy(
    mode: Mode = Mode.ENFORCE,
    *,
    prefill: RolePolicy | None = None,
    decode: RolePolicy | None = None,
    service: str = "chat",
    interval_s: float = 15.0,
) -> ServicePolicy:
    objectives = Objectives(LatencyObjective(0.95, 0.5), LatencyObjective(0.95, 0.05), 0.95)
    roles = {Role.PREFILL: prefill or role_policy(), Role.DECODE: decode or role_policy()}
    return ServicePolicy(service, mode, objectives, roles, interval_s=interval_s)


def steady_signals() -> dict[Scope, dict[str, Signal]]:
    """Both pools as busy as they should be: 2 prefill replicas and 2 decode replicas stay."""
    return {
        Scope.PREFILL: {
            "queue_depth": measured(1.0, "requests", 1.0),
            "in_flight": measured(1.4, "requests", 1.0),
            "offered_tokens_per_s": measured(1000.0, "tokens/s", 1.0),
        },
        Scope.DECODE: {
            "kv_utilization_mean": measured(0.8, "ratio", 1.0),
            "running": measured(20.0, "requests", 1.0),
            "waiting": measured(0.0, "requests", 1.0),
        },
    }


def crowded_decode_signals() -> Signals:
    """Decode should be far larger than 2; rates say how fast it may get there."""
    signals = steady_signals()
    signals[Scope.DECODE]["waiting"] = measured(200.0, "requests", 1.0)
    return signals


def blind_signals() -> Signals:
    return {
        Scope.PREFILL: {"queue_depth": absent("requests", "Prometheus at http://prom:9090 refused the connection")},
        Scope.DECODE: {"kv_utilization_mean": absent("ratio", "Prometheus at http://prom:9090 refused the connection")},
    }


@dataclass
class ScriptedSource:
    signals: Signals = field(default_factory=steady_signals)
    closed: bool = False
    on_read: Callable[[], None] = lambda: None

    def read(self, now_s: float) -> Signals:  # noqa: ARG002 - the script knows no time
        self.on_read()
        return self.signals

    def close(self) -> None:
        self.closed = True


@dataclass
class Write:
    role: Role
    replicas: int
    basis: str
    dry_run: bool


@dataclass
class ScriptedTarget:
    """Holds the counts; a write applies unless `answers` says otherwise for the role."""

    counts: dict[Role, int] = field(default_factory=lambda: {Role.PREFILL: 2, Role.DECODE: 2})
    errors: dict[Role, str] = field(default_factory=dict)
    answers: dict[Role, Outcome] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)
    by_hand: frozenset[Role] = frozenset()
    closed: bool = False
    on_write: Callable[[], None] = lambda: None

    def read(self) -> PoolReading:
        readable = {role: count for role, count in self.counts.items() if role not in self.errors}
        pools = {role: PoolState(count, count) for role, count in readable.items()}
        basis = {role: f"v{count}" for role, count in readable.items()}
        return PoolReading(pools, dict(self.errors), basis, by_hand=self.by_hand)

    def write(self, role: Role, replicas: int, *, basis: str, dry_run: bool) -> WriteResult:
        self.on_write()
        self.writes.append(Write(role, replicas, basis, dry_run))
        outcome = self.answers.get(role, Outcome.DRY_RUN if dry_run else Outcome.APPLIED)
        if outcome is Outcome.APPLIED:
            self.counts[role] = replicas
        return WriteResult(outcome, f"deployments/chat-{role.value}: {outcome.value}")

    def close(self) -> None:
        self.closed = True


class HandClock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.at_s = START_S

    def now_s(self) -> float:
        return self.at_s

    def wall_s(self, at_s: float) -> float:
        return at_s


def capturing() -> tuple[Log, list[Mapping[str, object]]]:
    capture = LogCapture()
    log: Log = structlog.wrap_logger(None, processors=[capture], wrapper_class=structlog.make_filtering_bound_logger(0))
    return log, capture.entries  # type: ignore[return-value]


@dataclass
class Bench:
    """A runner with everything around it in reach, and a clock that only the test moves."""

    policy: ServicePolicy = field(default_factory=policy)
    source: ScriptedSource = field(default_factory=ScriptedSource)
    target: ScriptedTarget = field(default_factory=ScriptedTarget)
    store: StateStore = field(default_factory=MemoryStateStore)
    now_s: float = START_S
    may_write: Callable[[], bool] = lambda: True
    at: Callable[[ServicePolicy, float], ServicePolicy] = lambda policy, _now_s: policy
    grant: Grant = lambda _policy, _snapshot, _alone: None
    switch: StackSwitch | None = None

    def __post_init__(self) -> None:
        self.log, self.lines = capturing()
        self.restart()

    def tick(self, after_s: float = 15.0) -> Tick:
        self.now_s += after_s
        return self.runner.tick(self.now_s)

    def restart(self) -> None:
        """As after a kill: only what the store kept is left."""
        self.runner = ServiceRunner(
            self.policy,
            self.source,
            self.target,
            self.store,
            self.log,
            may_write=self._may_write_now,
            at=self.at,
            grant=self.grant,
            switch=self.switch,
        )

    def _may_write_now(self) -> bool:
        return self.may_write()
