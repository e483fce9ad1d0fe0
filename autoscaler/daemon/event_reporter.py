"""Tells ticks as Events: on the workloads, and on the policy where it is an object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from autoscaler.core.policy import Mode, Role
from autoscaler.daemon.logs import blanked
from autoscaler.daemon.notices import Notice, Topic, notices_of
from autoscaler.daemon.tick import Dependency, Tick, Trouble
from autoscaler.kube.events import EventApi, post, repeat, shortened
from autoscaler.targets.kubernetes.errors import KubeError
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef

REPEAT_AFTER_S = 600.0
RETRY_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class Subject:
    """The object that an Event is about.

    Attributes:
        ref: Which one.
        uid: Of it; empty where it has to be asked for.
        is_policy: Whether it is the policy itself, which is ours to write about in any mode.
    """

    ref: ObjectRef
    uid: str = ""
    is_policy: bool = False


class EventReporterApi(EventApi, Protocol):
    """What the reporter asks of the API server."""

    def get(self, ref: ObjectRef) -> JsonObject:
        """Read one object."""
        ...


@dataclass(slots=True)
class _Posted:
    """An Event.

    Attributes:
        event: Which one.
        uid: Of the object that it is about; empty where that was not found.
        said_s: When it was last said.
        count: How often.
    """

    event: ObjectRef
    uid: str
    said_s: float
    count: int = 1


_Key = tuple[ObjectRef, Role | None, Topic, str]


@dataclass(slots=True)
class _Told:
    """What has been told of one service.

    Attributes:
        posted: Events by object, role, topic and cause, as long as they may be repeated.
        trouble: Why the last one could not be posted.
        resume_s: When to try again.
    """

    posted: dict[_Key, _Posted] = field(default_factory=dict)
    trouble: Trouble | None = None
    resume_s: float = 0.0


class EventReporter:
    """Posts an Event for each notice that is new; one that lasts is counted up every ten minutes.

    In recommend mode nothing is written to the cluster but to the policy object, where there is one.

    Args:
        api: Where Events go.
        subjects: What is told about under a service's role, the switch being told under prefill's.
        instance: Which process says so.
    """

    def __init__(
        self, api: EventReporterApi, subjects: Callable[[str, Role], Sequence[Subject]], instance: str
    ) -> None:
        self._api = api
        self._subjects = subjects
        self._instance = instance
        self._told: dict[str, _Told] = {}

    def report(self, tick: Tick) -> list[Trouble]:
        """Post what is new; see `Reporter.report`."""
        if not tick.leads or tick.decision is None:
            return []
        told = self._told.setdefault(tick.service, _Told())
        if tick.at_s >= told.resume_s:
            told.trouble = self._report(told, tick, tick.decision.mode)
        return [told.trouble] if told.trouble is not None else []

    def _report(self, told: _Told, tick: Tick, mode: Mode) -> Trouble | None:
        recent = {key: item for key, item in told.posted.items() if tick.at_s - item.said_s < 2 * REPEAT_AFTER_S}
        told.posted = recent
        for notice in notices_of(tick):
            for subject in self._subjects(notice.service, notice.role or Role.PREFILL):
                if not (subject.is_policy or mode is Mode.ENFORCE):
                    continue
                try:
                    self._tell(told, notice, subject, tick)
                except KubeError as error:
                    told.resume_s = tick.at_s + RETRY_AFTER_S
                    return Trouble(Dependency.EVENTS, "events", str(error))
        return None

    def _tell(self, told: _Told, notice: Notice, subject: Subject, tick: Tick) -> None:
        key, at_s = (subject.ref, notice.role, notice.topic, notice.cause), tick.at_s
        message = shortened(blanked(notice.message), f" [decision {tick.decision_id}]")
        posted = told.posted.get(key)
        if posted is not None and at_s - posted.said_s < REPEAT_AFTER_S:
            return
        uid, warning = subject.uid or self._uid(subject.ref), notice.is_warning
        lasts = posted is not None and uid in ("", posted.uid)  # an object that was made anew has none of its Events
        if posted is not None and lasts and repeat(self._api, posted.event, message, at_s, posted.count + 1):
            told.posted[key] = _Posted(posted.event, posted.uid, at_s, posted.count + 1)
            return
        event = post(self._api, subject.ref, uid, notice.topic, message, at_s, warning=warning, instance=self._instance)
        told.posted[key] = _Posted(event, uid, at_s)

    def _uid(self, ref: ObjectRef) -> str:
        try:
            return str(self._api.get(ref)["metadata"]["uid"])
        except KubeError:
            return ""  # the Event is still found by the object's name
