"""The latest tick of each service and the running counts: what metrics and health checks are read from."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock

from autoscaler.core.decision import Decision
from autoscaler.core.policy import Role, ServicePolicy
from autoscaler.daemon.hindsight import Hindsight
from autoscaler.daemon.tick import TIMED, Dependency, Tick

TICK_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
DEPENDENCY_BUCKETS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
STARTUP_BUCKETS_S = (15.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 1200.0, 2400.0)


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often a quantity was how large.

    Attributes:
        bounds: Upper bounds of the buckets.
        counts: Observations per bucket, and those beyond in the last place.
        total: Sum of all observations.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float = 0.0

    @classmethod
    def empty(cls, bounds: tuple[float, ...]) -> Histogram:
        """One without observations."""
        return cls(bounds, (0,) * (len(bounds) + 1))

    def with_all(self, values: Iterable[float]) -> Histogram:
        """The histogram with more observations."""
        counts, total = list(self.counts), self.total
        for value in values:
            counts[bisect_left(self.bounds, value)] += 1
            total += value
        return replace(self, counts=tuple(counts), total=total)


def _waits() -> Mapping[Dependency, Histogram]:
    return {dependency: Histogram.empty(DEPENDENCY_BUCKETS_S) for dependency in TIMED}


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of one service.

    Attributes:
        policy: What its user wants.
        namespace: Namespace of the policy.
        since_s: When the service was taken on.
        latest: Its latest tick that finished; None before the first.
        finished_s: When that was.
        decisions: Decisions made, by role and binding reason.
        errors: Troubled ticks, by dependency.
        writes: Writes, by role and outcome.
        ticks: Time that ticks took, in seconds.
        waits: Time that ticks spent on each dependency, in seconds.
        startups: Startup times of replicas seen, in seconds.
        hindsight: Forecasts and what came.
        peak_gpus: Most GPUs desired at once.
    """

    policy: ServicePolicy
    namespace: str
    since_s: float
    latest: Tick | None = None
    finished_s: float | None = None
    decisions: Counter[tuple[str, str]] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    writes: Counter[tuple[str, str]] = field(default_factory=Counter)
    ticks: Histogram = field(default_factory=lambda: Histogram.empty(TICK_BUCKETS_S))
    waits: Mapping[Dependency, Histogram] = field(default_factory=_waits)
    startups: Mapping[Role, Histogram] = field(default_factory=dict)
    hindsight: Mapping[Role, Hindsight] = field(default_factory=dict)
    peak_gpus: float | None = None

    @property
    def interval_s(self) -> float:
        """Seconds between its ticks."""
        return self.policy.interval_s


class Ledger:
    """Accounts by service; safe to read while ticks are booked."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._lock = Lock()

    def open(self, policy: ServicePolicy, now_s: float, namespace: str = "") -> None:
        """Take a service on; counts of one that is known already go on."""
        with self._lock:
            known = self._accounts.get(policy.service, Account(policy, namespace, now_s))
            self._accounts[policy.service] = replace(known, policy=policy, namespace=namespace)

    def forget(self, service: str) -> None:
        """Drop a service and all its series."""
        with self._lock:
            self._accounts.pop(service, None)

    def book(self, tick: Tick, started_s: float, finished_s: float) -> None:
        """Enter a finished tick; one of a service that is gone by now is dropped."""
        with self._lock:
            account = self._accounts.get(tick.service)
            if account is not None:
                self._accounts[tick.service] = _booked(account, tick, started_s, finished_s)

    def count(self, service: str, dependencies: Iterable[Dependency]) -> None:
        """Count what was wrong at a tick of a service without being part of it; of one that is gone by now, nothing."""
        with self._lock:
            account = self._accounts.get(service)
            if account is not None:
                errors = account.errors + Counter(dependency.value for dependency in dependencies)
                self._accounts[service] = replace(account, errors=errors)

    def namespace_of(self, service: str) -> str:
        """Namespace of the policy of a service; empty where it has none, or is not known."""
        with self._lock:
            account = self._accounts.get(service)
        return account.namespace if account is not None else ""

    def accounts(self) -> Mapping[str, Account]:
        """All accounts at this instant; they do not change any more."""
        with self._lock:
            return dict(self._accounts)


def _booked(account: Account, tick: Tick, started_s: float, finished_s: float) -> Account:
    account = replace(
        account,
        latest=tick,
        finished_s=finished_s,
        errors=account.errors + Counter(trouble.dependency.value for trouble in tick.troubles),
        writes=account.writes + Counter((role.value, done.outcome.value) for role, done in tick.writes.items()),
        ticks=account.ticks.with_all([finished_s - started_s]),
        waits={
            dependency: waits.with_all(phase.took_s for phase in tick.phases if phase.dependency is dependency)
            for dependency, waits in account.waits.items()
        },
        startups={
            role: account.startups.get(role, Histogram.empty(STARTUP_BUCKETS_S)).with_all(seen)
            for role, seen in _startups_s(account, tick).items()
        },
    )
    return account if tick.decision is None else _decided(account, tick.decision)


def _startups_s(account: Account, tick: Tick) -> Mapping[Role, tuple[float, ...]]:
    return {
        role: tick.pools[role].startup_times_s if role in tick.pools else ()
        for role in {*account.startups, *tick.pools}
    }


def _decided(account: Account, decision: Decision) -> Account:
    made = decision.roles.items()
    policies = account.policy.roles
    gpus = sum(decided.desired * policies[role].gpus_per_replica for role, decided in made if role in policies)
    return replace(
        account,
        decisions=account.decisions + Counter((role.value, decided.reason.value) for role, decided in made),
        hindsight=dict(account.hindsight)
        | {
            role: account.hindsight.get(role, Hindsight()).after(decided.evidence, decision.at_s, account.interval_s)
            for role, decided in made
            if decided.evidence is not None
        },
        peak_gpus=max(gpus, account.peak_gpus or 0.0) if not decision.undecided else account.peak_gpus,
    )
