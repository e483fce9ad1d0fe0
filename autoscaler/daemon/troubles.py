"""Say what is wrong once, remind now and then, and say when it is over.

A daemon that ticks each few seconds would bury the one line that matters under a thousand copies of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from autoscaler.daemon.logs import Log
from autoscaler.daemon.tick import Dependency, Trouble

_REMIND_AFTER_S = 600.0  # what lasts is said again


@dataclass(slots=True)
class _Lasting:
    since_s: float
    said_s: float
    ticks: int = 1


class TroubleLog:
    """Logs the troubles of one service without repeating itself.

    Args:
        log: Where to say it, bound to the service.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._lasting: dict[tuple[Dependency, str], _Lasting] = {}

    def update(self, troubles: Iterable[Trouble], now_s: float) -> None:
        """Take note of everything that is wrong in this tick; what is missing has recovered."""
        present = {trouble.key: trouble for trouble in troubles}
        for key in [key for key in self._lasting if key not in present]:
            lasting = self._lasting.pop(key)
            dependency, subject = key
            lasted_s = round(now_s - lasting.since_s)
            self._log.info("recovered", dependency=dependency.value, subject=subject, lasted_s=lasted_s)
        for key, trouble in present.items():
            if key not in self._lasting:
                self._lasting[key] = _Lasting(now_s, now_s)
                self._say(trouble, exc_info=trouble.error)
            else:
                self._again(self._lasting[key], trouble, now_s)

    def _again(self, lasting: _Lasting, trouble: Trouble, now_s: float) -> None:
        lasting.ticks += 1
        if now_s - lasting.said_s < _REMIND_AFTER_S:
            return
        lasting.said_s = now_s
        self._say(trouble, ticks=lasting.ticks, for_s=round(now_s - lasting.since_s))

    def _say(self, trouble: Trouble, **more: object) -> None:
        fields = {"dependency": trouble.dependency.value, "subject": trouble.subject, "message": trouble.message}
        self._log.warning("trouble", **fields, **{name: value for name, value in more.items() if value is not None})
