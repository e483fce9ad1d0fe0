"""Ticks on a grid: they never overlap, pile up or drift, and a slow service delays no other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from math import floor
from zlib import crc32

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

_PHASES = 1000


class GridTrigger(BaseTrigger):  # type: ignore[misc]  # the library carries no types
    """Fires at `(n + phase_ratio) * interval_s` of Unix time, whenever the last tick began or ended."""

    __slots__ = ("_interval_s", "_phase_s")

    def __init__(self, interval_s: float, phase_ratio: float) -> None:
        self._interval_s = interval_s
        self._phase_s = phase_ratio * interval_s

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:  # noqa: ARG002 - theirs
        """The first grid instant after `now`; those that were missed are gone."""
        steps = floor((now.timestamp() - self._phase_s) / self._interval_s) + 1
        return datetime.fromtimestamp(steps * self._interval_s + self._phase_s, UTC)


def phase_ratio(service: str) -> float:
    """Where in the interval a service ticks: spread over services, the same after a restart."""
    return crc32(service.encode()) % _PHASES / _PHASES


class Schedule:
    """Calls a function per service at its interval, each on a thread of its own."""

    def __init__(self) -> None:
        # However late a tick is, it reads fresh signals, so it is still worth running: no misfire limit.
        defaults = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        self._scheduler = BackgroundScheduler(timezone=UTC, job_defaults=defaults)
        self._executors: dict[str, ThreadPoolExecutor] = {}
        self._intervals_s: dict[str, float] = {}

    def start(self) -> None:
        """Begin to tick."""
        self._scheduler.start()

    def set(self, service: str, interval_s: float, tick: Callable[[], None]) -> None:
        """Call `tick` at once (or at the start), then each `interval_s`; of a known service change the interval."""
        trigger = GridTrigger(interval_s, phase_ratio(service))
        if service not in self._executors:
            self._executors[service] = ThreadPoolExecutor(max_workers=1)
            self._scheduler.add_executor(self._executors[service], service)
            at_once = datetime.now(UTC)
            self._scheduler.add_job(tick, trigger, id=service, executor=service, next_run_time=at_once)
        elif self._intervals_s[service] != interval_s:
            self._scheduler.reschedule_job(service, trigger=trigger)
        self._intervals_s[service] = interval_s

    def remove(self, service: str) -> None:
        """Call no more; a tick under way ends by itself."""
        self._scheduler.remove_job(service)
        self._scheduler.remove_executor(service, shutdown=False)
        self._executors.pop(service).shutdown(wait=False)
        del self._intervals_s[service]

    def realign(self) -> None:
        """Find the next grid instants again after the wall clock was set, by which the scheduler goes."""
        for service, interval_s in self._intervals_s.items():
            self._scheduler.reschedule_job(service, trigger=GridTrigger(interval_s, phase_ratio(service)))

    def stop(self) -> None:
        """Start no more ticks; those under way end by themselves."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
