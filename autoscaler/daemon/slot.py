"""A service's place in the loop: one tick at a time, while its runner may be exchanged by a reload."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from autoscaler.daemon.clock import Clock
from autoscaler.daemon.ledger import Ledger
from autoscaler.daemon.logs import Log
from autoscaler.daemon.service import ServiceRunner
from autoscaler.daemon.tick import Dependency, Tick, Trouble
from autoscaler.daemon.troubles import TroubleLog


class Slot:
    """Runs the ticks of whichever runner holds the service now.

    Args:
        runner: The first one.
        clock: Where the time comes from.
        ledger: Where ticks are booked.
        log: Logger bound to the service.
        report: Told each tick once it is booked; must not raise.
    """

    def __init__(
        self, runner: ServiceRunner, clock: Clock, ledger: Ledger, log: Log, report: Callable[[Tick], None]
    ) -> None:
        self._runner: ServiceRunner | None = runner
        self._successor: ServiceRunner | None = None
        self._clock = clock
        self._ledger = ledger
        self._report = report
        self._slowness = TroubleLog(log)
        self._closed = False
        self._ticking = Lock()
        self._exchanging = Lock()

    def tick(self) -> None:
        """Run one tick and book it; nothing once closed."""
        with self._ticking:
            runner = self._take_over()
            if runner is not None and not self._closed:
                self._run(runner)
        if self._closed:
            self.close(0.0)

    def hand_over(self, successor: ServiceRunner) -> None:
        """Let another runner do the ticks from the next one on."""
        with self._exchanging:
            superseded, self._successor = self._successor, successor
        if superseded is not None:
            superseded.close()

    def close(self, patience_s: float) -> bool:
        """Run no more ticks and let go of the runner; a tick that outlasts `patience_s` does so when it ends.

        Returns:
            Whether no tick is under way any more.
        """
        self._closed = True
        if not self._ticking.acquire(timeout=patience_s):
            return False
        try:
            runner = self._take_over()
            self._runner = None
        finally:
            self._ticking.release()
        if runner is not None:
            runner.close()
        return True

    def _run(self, runner: ServiceRunner) -> None:
        started_s = self._clock.now_s()
        done = runner.tick(started_s)
        finished_s = self._clock.now_s()
        self._ledger.book(done, started_s, finished_s)
        self._slowness.update(_slowness(finished_s - started_s, runner.policy.interval_s), finished_s)
        self._report(done)

    def _take_over(self) -> ServiceRunner | None:
        with self._exchanging:
            successor, self._successor = self._successor, None
        if successor is not None:
            if self._runner is not None:
                self._runner.close()
            self._runner = successor
        return self._runner


def _slowness(duration_s: float, interval_s: float) -> list[Trouble]:
    if duration_s <= interval_s:
        return []
    message = (
        f"a tick took {duration_s:.1f} s of an interval of {interval_s:.0f} s, ticks are skipped; "
        "look for the slow dependency, or make the interval longer"
    )
    return [Trouble(Dependency.INTERNAL, "schedule", message)]
