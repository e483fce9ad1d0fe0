"""Whom a finished tick is told to, beside the log: each at its own risk, none at the loop's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from autoscaler.daemon.logs import Log, deciding
from autoscaler.daemon.tick import Dependency, Tick, Trouble
from autoscaler.daemon.troubles import TroubleLog


class Reporter(Protocol):
    """Tells a tick to somebody."""

    def report(self, tick: Tick) -> list[Trouble]:
        """Tell what is new; what went wrong with telling it comes back."""
        ...


class Reporters:
    """Tells each tick to all of them, and logs what goes wrong with that once.

    Args:
        reporters: Whom to tell.
        log: Where to say what goes wrong.
        count: Where to count it, by service.
    """

    def __init__(
        self,
        reporters: Sequence[Reporter],
        log: Log,
        count: Callable[[str, Iterable[Dependency]], None] = lambda _service, _dependencies: None,
    ) -> None:
        self._reporters = reporters
        self._log = log
        self._count = count
        self._troubles: dict[str, TroubleLog] = {}

    def __call__(self, tick: Tick) -> None:
        """Tell a tick. Never raises."""
        troubles = [
            trouble for reporter in self._reporters for trouble in told(reporter, tick, type(reporter).__name__)
        ]
        self._count(tick.service, [trouble.dependency for trouble in troubles])
        if tick.service not in self._troubles:
            self._troubles[tick.service] = TroubleLog(self._log.bind(service=tick.service))
        with deciding(tick.decision_id):
            self._troubles[tick.service].update(troubles, tick.at_s)


def told(reporter: Reporter, tick: Tick, name: str) -> list[Trouble]:
    """What a reporter says of a tick; where it fails, a trouble of that name. Never raises."""
    try:
        return reporter.report(tick)
    except Exception as error:  # noqa: BLE001 - a defect in telling must not end what is told about
        message = f"telling failed: {error!r}; this is a defect, please report it with the traceback"
        return [Trouble(Dependency.INTERNAL, name, message, error)]
