"""The loop: keeps one slot per scaling policy ticking, follows changes of the policies, and leaves in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event

from autoscaler.core.policy import ServicePolicy
from autoscaler.daemon.clock import SteadyClock
from autoscaler.daemon.ledger import Ledger
from autoscaler.daemon.logs import Log
from autoscaler.daemon.schedule import Schedule
from autoscaler.daemon.service import ServiceRunner
from autoscaler.daemon.slot import Slot
from autoscaler.daemon.surroundings import AssemblyError
from autoscaler.daemon.tick import Dependency, Tick, Trouble
from autoscaler.daemon.troubles import TroubleLog

_WATCH_S = 1.0
# A correction by NTP is below this; what is above was done by someone, or by a virtual machine that moved.
_CLOCK_SET_S = 2.0


@dataclass(frozen=True, slots=True)
class Workload:
    """A service to run.

    Attributes:
        policy: What the user wants.
        document: What the policy was made from, with connections; the runner is exchanged when it differs.
        build: Makes the runner; raises AssemblyError where something that it needs is not given.
        namespace: Where the policy is at home.
    """

    policy: ServicePolicy
    document: object
    build: Callable[[], ServiceRunner]
    namespace: str = ""


class Loop:
    """Runs services until told to stop.

    Args:
        clock: Where the time comes from.
        ledger: Where ticks are booked.
        log: Where to say what changes.
        report: Told each tick once it is booked; must not raise.
    """

    def __init__(
        self, clock: SteadyClock, ledger: Ledger, log: Log, report: Callable[[Tick], None] = lambda _tick: None
    ) -> None:
        self._clock = clock
        self._ledger = ledger
        self._log = log
        self._report = report
        self._schedule = Schedule()
        self._slots: dict[str, Slot] = {}
        self._ending: dict[str, Slot] = {}  # of services that were removed while they ticked
        self._documents: dict[str, object] = {}
        self._wall_ahead_s = clock.wall_ahead_s()

    @property
    def services(self) -> frozenset[str]:
        """The services that were put to work, be it by an earlier policy than the last that was applied."""
        return frozenset(self._slots)

    def apply(self, workloads: Mapping[str, Workload]) -> dict[str, str]:
        """Make the services those given: once started, new ones tick at once, changed ones take their next tick.

        Returns:
            Why a service could not be put to work; one that runs goes on as it was.
        """
        failures: dict[str, str] = {}
        self._ending = {service: slot for service, slot in self._ending.items() if not slot.close(0.0)}
        for service in [service for service in self._slots if service not in workloads]:
            self._remove(service)
        for service, workload in workloads.items():
            if self._documents.get(service) == workload.document:
                continue
            try:
                self._put(service, workload)
            except AssemblyError as error:
                failures[service] = str(error)
            except Exception as error:  # noqa: BLE001 - a defect met by one service must not end the others
                failures[service] = f"{service}: cannot be run: {error!r}; this is a defect, please report it"
        return failures

    def start(self) -> None:
        """Begin to tick what was applied, and what will be."""
        self._schedule.start()

    def run(self, stop: Event, reload: Callable[[], object], reload_s: float) -> None:
        """Watch until `stop` is set: reload the policies each `reload_s`, notice when the wall clock is set."""
        due_s, defects = self._clock.now_s() + reload_s, TroubleLog(self._log)
        while not stop.wait(min(_WATCH_S, max(due_s - self._clock.now_s(), 0.0))):
            self._follow_wall_clock()
            if self._clock.now_s() >= due_s:
                defects.update(_tried(reload), self._clock.now_s())
                due_s = self._clock.now_s() + reload_s

    def close(self, patience_s: float) -> list[str]:
        """Stop ticking and let go of everything.

        Args:
            patience_s: How long ticks under way may take to end, all together.

        Returns:
            Services whose tick did not end in time.
        """
        self._schedule.stop()
        until_s = self._clock.now_s() + patience_s
        slots = {**self._ending, **self._slots}
        return [service for service, slot in slots.items() if not slot.close(max(until_s - self._clock.now_s(), 0.0))]

    def _put(self, service: str, workload: Workload) -> None:
        if service in self._ending:  # two runners of one service would write, and keep its memory, at the same time
            raise AssemblyError(
                f"{service}: its policy was removed during a tick that has not ended yet; it is run again once that has"
            )
        runner, log = workload.build(), self._log.bind(service=service)
        self._ledger.open(workload.policy, self._clock.now_s(), workload.namespace)
        slot = self._slots.get(service)
        if slot is None:
            slot = self._slots[service] = Slot(runner, self._clock, self._ledger, log, self._report)
            event = "service added"
        else:
            slot.hand_over(runner)
            event = "service changed"
        self._documents[service] = workload.document
        self._schedule.set(service, workload.policy.interval_s, slot.tick)
        log.info(event, mode=workload.policy.mode.value, interval_s=workload.policy.interval_s)

    def _remove(self, service: str) -> None:
        self._schedule.remove(service)
        slot = self._slots.pop(service)
        if not slot.close(0.0):
            self._ending[service] = slot
        del self._documents[service]
        self._ledger.forget(service)
        message = "it has no policy any more: its pools stay as they are; once it has one it goes on from its memory"
        self._log.info("service removed", service=service, message=message)

    def _follow_wall_clock(self) -> None:
        ahead_s = self._clock.wall_ahead_s()
        if abs(ahead_s - self._wall_ahead_s) < _CLOCK_SET_S:
            return
        self._log.warning(
            "wall clock was set",
            by_s=round(ahead_s - self._wall_ahead_s, 1),
            message="queries, schedules and ends of holds follow it, windows and rates go on unmoved, records keep the "
            "old time until a restart; if it is wrong now, set it right: signals go unused while it is behind that of "
            "Prometheus",
        )
        self._wall_ahead_s = ahead_s
        self._schedule.realign()


def _tried(reload: Callable[[], object]) -> list[Trouble]:
    """Reload; what nobody foresaw leaves the policies as they are."""
    try:
        reload()
    except Exception as error:  # noqa: BLE001 - a defect met by one policy must not end what runs by the others
        message = (
            f"the policies cannot be followed: {error!r}; those in force stay; this is a defect, please report it with "
            "the traceback"
        )
        return [Trouble(Dependency.INTERNAL, "policies", message, error)]
    return []
