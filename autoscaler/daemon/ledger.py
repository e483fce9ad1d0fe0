"""The latest tick of each service and the running counts: what metrics and health checks are read from."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from threading import Lock

from autoscaler.core.policy import ServicePolicy
from autoscaler.daemon.tick import Tick

BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of one service.

    Attributes:
        interval_s: Seconds between its ticks.
        since_s: When the service was taken on.
        latest: Its latest tick that finished; None before the first.
        finished_s: When that was.
        decisions: Decisions made, by role and binding reason.
        errors: Troubled ticks, by dependency.
        durations: Ticks per bucket of `BUCKETS_S`, and those beyond in the last place.
        duration_sum_s: Seconds spent in ticks.
    """

    interval_s: float
    since_s: float
    latest: Tick | None = None
    finished_s: float | None = None
    decisions: Counter[tuple[str, str]] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    durations: tuple[int, ...] = (0,) * (len(BUCKETS_S) + 1)
    duration_sum_s: float = 0.0


class Ledger:
    """Accounts by service; safe to read while ticks are booked."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._lock = Lock()

    def open(self, policy: ServicePolicy, now_s: float) -> None:
        """Take a service on; counts of one that is known already go on."""
        with self._lock:
            known = self._accounts.get(policy.service, Account(policy.interval_s, now_s))
            self._accounts[policy.service] = replace(known, interval_s=policy.interval_s)

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

    def accounts(self) -> Mapping[str, Account]:
        """All accounts at this instant; they do not change any more."""
        with self._lock:
            return dict(self._accounts)


def _booked(account: Account, tick: Tick, started_s: float, finished_s: float) -> Account:
    duration_s = finished_s - started_s
    durations = list(account.durations)
    durations[bisect_left(BUCKETS_S, duration_s)] += 1
    made = tick.decision.roles.items() if tick.decision is not None else ()
    return replace(
        account,
        latest=tick,
        finished_s=finished_s,
        decisions=account.decisions + Counter((role.value, decided.reason.value) for role, decided in made),
        errors=account.errors + Counter(trouble.dependency.value for trouble in tick.troubles),
        durations=tuple(durations),
        duration_sum_s=account.duration_sum_s + duration_s,
    )
