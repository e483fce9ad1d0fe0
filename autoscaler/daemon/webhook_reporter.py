"""Tells ticks to people through a webhook: what was scaled or should be, and problems that last.

What comes within a minute goes out as one message. A problem is told once it has lasted, and once it is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from autoscaler.core.policy import Role
from autoscaler.daemon.logs import blanked, blanked_in
from autoscaler.daemon.notices import Topic, notices_of
from autoscaler.daemon.settings_file import Webhook
from autoscaler.daemon.tick import Dependency, Tick, Trouble
from autoscaler.daemon.webhook import WebhookError, body_for, post
from autoscaler.report.record import record
from autoscaler.targets.kubernetes.refs import JsonObject

GAP_S = 60.0
"""Between two messages about one service, and before the next try after one that failed."""
LASTING_S = 300.0
"""A problem that passes within this is not worth a message."""
FORGET_S = 600.0
"""A recommendation that comes back within this is the same one."""
_MOST_WAITING = 10
_DONE = frozenset({Topic.SCALED, Topic.SWITCHED})
_WHEN_NEW = frozenset(
    {Topic.RECOMMENDED, Topic.ACTION_NEEDED, Topic.SCALE_CHECKED, Topic.SWITCHING, Topic.SWITCH_FAILED}
)


class Telling(StrEnum):
    """What became of something that was to be told."""

    SENT = "sent"
    FAILED = "failed"
    DROPPED = "dropped"


@dataclass(slots=True)
class _Problem:
    since_s: float
    told: bool = False


@dataclass(slots=True)
class _Service:
    """What is remembered of a service.

    Attributes:
        waiting: What is still to be told, oldest first.
        told_s: When it was last told about.
        advised: Per role, and of the switch, what was advised or is under way, and when it last was.
        problems: What is wrong.
    """

    waiting: list[str] = field(default_factory=list)
    told_s: float = float("-inf")
    advised: dict[Role | None, tuple[str, float]] = field(default_factory=dict)
    problems: dict[tuple[Dependency, str], _Problem] = field(default_factory=dict)


class WebhookReporter:
    """Posts to one webhook. Blocks while it does: put a `BackgroundReporter` around it.

    Args:
        webhook: Where to.
        send: Posts a body.

    Attributes:
        counts: What became of what was to be told: messages sent and failed, and single lines dropped.
    """

    def __init__(self, webhook: Webhook, send: Callable[[Webhook, JsonObject], None] = post) -> None:
        self._webhook = webhook
        self._send = send
        self._services: dict[str, _Service] = {}
        self._resume_s = float("-inf")
        self._trouble: Trouble | None = None
        self.counts = dict.fromkeys(Telling, 0)

    def report(self, tick: Tick) -> list[Trouble]:
        """Tell what is new; see `Reporter.report`."""
        if not tick.leads:
            self._services.pop(tick.service, None)
            return []
        service = self._services.setdefault(tick.service, _Service())
        service.waiting += [blanked(text) for text in (*_news(service, tick), *_problems(service, tick))]
        self.counts[Telling.DROPPED] += max(len(service.waiting) - _MOST_WAITING, 0)
        del service.waiting[:-_MOST_WAITING]
        if service.waiting and tick.at_s >= max(service.told_s + GAP_S, self._resume_s):
            self._tell(service, tick)
        return [self._trouble] if self._trouble is not None else []

    def _tell(self, service: _Service, tick: Tick) -> None:
        decision = blanked_in(record(tick.decision)) if tick.decision is not None else {}
        try:
            self._send(self._webhook, body_for(self._webhook.kind, tick.service, service.waiting, decision))
        except WebhookError as error:
            self.counts[Telling.FAILED] += 1
            self._resume_s = tick.at_s + GAP_S
            self._trouble = Trouble(Dependency.WEBHOOK, self._webhook.name, str(error))
            return
        self.counts[Telling.SENT] += 1
        self._trouble = None
        service.told_s = tick.at_s
        service.waiting.clear()


def _news(service: _Service, tick: Tick) -> Iterator[str]:
    """What was done; advice, and steps of the switch, that are not those of last time."""
    for notice in notices_of(tick):
        if notice.topic in _DONE:
            yield notice.message
        elif notice.topic in _WHEN_NEW:
            known, at_s = service.advised.get(notice.role, ("", float("-inf")))
            service.advised[notice.role] = notice.cause, tick.at_s
            if known != notice.cause or tick.at_s - at_s > FORGET_S:
                yield notice.message


def _problems(service: _Service, tick: Tick) -> Iterable[str]:
    """Problems that have just lasted long enough, and those that were told and are over."""
    present = {trouble.key: trouble for trouble in tick.troubles}
    for key in [key for key in service.problems if key not in present]:
        problem = service.problems.pop(key)
        if problem.told:
            yield f"over after {_minutes(tick.at_s - problem.since_s)}: {key[0].value} of {key[1]}"
    for key, trouble in present.items():
        problem = service.problems.setdefault(key, _Problem(tick.at_s))
        if not problem.told and tick.at_s - problem.since_s >= LASTING_S:
            problem.told = True
            yield f"for {_minutes(tick.at_s - problem.since_s)}: {key[0].value} of {key[1]}: {trouble.message}"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min"
