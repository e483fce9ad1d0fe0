"""Writes what becomes of a policy object into its status: at once when it matters, now and then when it does not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from autoscaler.config import Problem
from autoscaler.daemon.conditions import Condition, accepted, refused
from autoscaler.daemon.policy_status import essence, refused_status, status_of
from autoscaler.daemon.tick import Dependency, Tick, Trouble
from autoscaler.daemon.watched_policies import PolicyObject
from autoscaler.targets.kubernetes.errors import KubeError, NotFoundError
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef

REFRESH_S = 300.0
RETRY_AFTER_S = 60.0


class StatusApi(Protocol):
    """What writing a status asks of the API server."""

    def merge(self, ref: ObjectRef, change: JsonObject, *, subresource: str = "") -> JsonObject:
        """Merge a change into an object (RFC 7386)."""
        ...


class PolicyObjects(Protocol):
    """Knows the objects that policies come from, and what is wrong with them."""

    @property
    def problems(self) -> Mapping[str, list[Problem]]:
        """Errors by namespace/name of the object."""
        ...

    def object(self, key: str) -> PolicyObject | None:
        """An object by namespace/name."""
        ...

    def object_of(self, service: str) -> PolicyObject | None:
        """The object that the policy of a service comes from."""
        ...


@dataclass(slots=True)
class _Written:
    """What we wrote last.

    Attributes:
        uid: Of the object.
        seen: What its status said when we wrote.
        status: What it says since.
        at_s: When we wrote, in Unix time.
    """

    uid: str
    seen: JsonObject
    status: JsonObject
    at_s: float


class StatusReporter:
    """Keeps the status of policy objects.

    Args:
        api: Where they are.
        objects: The objects.
    """

    def __init__(self, api: StatusApi, objects: PolicyObjects) -> None:
        self._api = api
        self._objects = objects
        self._written: dict[ObjectRef, _Written] = {}
        self._failed: dict[ObjectRef, tuple[float, Trouble]] = {}
        self._not_running: dict[str, Condition] = {}
        self._told: dict[str, tuple[str, int, Condition]] = {}

    def report(self, tick: Tick) -> list[Trouble]:
        """Write the status after a tick, if we lead; see `Reporter.report`."""
        policy = self._objects.object_of(tick.service)
        if policy is None:
            return []
        if not tick.leads:
            self._written.pop(policy.ref, None)  # whoever leads writes on, so ours is of the past
            return []
        before = self._last(policy)
        ready = self._not_running.get(_key(policy.ref)) or accepted()
        status = status_of(tick, ready, policy.generation, before)
        written = self._written.get(policy.ref)
        fresh = written is not None and written.uid == policy.uid and tick.at_s - written.at_s < REFRESH_S
        if fresh and essence({**before, **status}) == essence(before):
            return []
        return self._write(policy, status, before, tick.at_s)

    def follow(self, failures: Mapping[str, str], running: Collection[str], now_s: float) -> list[Trouble]:
        """Write into objects that do not run as they are why not, once: the rest of a status is of whoever leads.

        Args:
            failures: Why the last good policy of a service could not be put to work.
            running: The services that run, be it by an earlier policy.
            now_s: Unix time.
        """
        troubles: list[Trouble] = []
        in_force = {_key(policy.ref) for policy in map(self._objects.object_of, running) if policy is not None}
        conditions = {
            key: refused("Refused", _words(found), in_force=key in in_force)
            for key, found in self._objects.problems.items()
        }
        for service, why in failures.items():
            policy = self._objects.object_of(service)
            if policy is not None:
                key = _key(policy.ref)
                conditions.setdefault(key, refused("CannotRun", [why], in_force=key in in_force))
        self._not_running = conditions
        self._told = {key: told for key, told in self._told.items() if key in conditions}
        for key, condition in conditions.items():
            policy = self._objects.object(key)
            if policy is not None:
                troubles += self._tell(key, policy, condition, now_s)
        return troubles

    def _tell(self, key: str, policy: PolicyObject, condition: Condition, now_s: float) -> list[Trouble]:
        news = policy.uid, policy.generation, condition
        if self._told.get(key) == news:
            return []
        before = self._present(policy)
        status = refused_status(condition, policy.generation, now_s, before)
        is_said = {**before, **status} == before  # by another daemon, or by this one before it was restarted
        troubles = self._write(policy, status, before, now_s) if not is_said else []
        if not troubles:
            self._told[key] = news
        return troubles

    def _last(self, policy: PolicyObject) -> JsonObject:
        """What we wrote last, unless the object is another one of that name."""
        written = self._written.get(policy.ref)
        return written.status if written is not None and written.uid == policy.uid else policy.status

    def _present(self, policy: PolicyObject) -> JsonObject:
        """The status as it was read, by whomever it was written; ours while nothing was read since we wrote it."""
        written = self._written.get(policy.ref)
        return self._last(policy) if written is not None and written.seen == policy.status else policy.status

    def _write(self, policy: PolicyObject, status: JsonObject, before: JsonObject, now_s: float) -> list[Trouble]:
        failed_s, trouble = self._failed.get(policy.ref, (float("-inf"), None))
        if trouble is not None and now_s - failed_s < RETRY_AFTER_S:
            return [trouble]
        try:
            self._api.merge(policy.ref, {"status": status}, subresource="status")
        except NotFoundError:
            return []  # deleted meanwhile: the next look shows it
        except KubeError as error:
            trouble = Trouble(Dependency.STATUS, _key(policy.ref), str(error))
            self._failed[policy.ref] = now_s, trouble
            return [trouble]
        self._failed.pop(policy.ref, None)
        self._written[policy.ref] = _Written(policy.uid, policy.status, {**before, **status}, now_s)
        return []


def _words(problems: Iterable[Problem]) -> list[str]:
    return [str(Problem(one.path, one.message, one.value, one.allowed, one.nearest)) for one in problems]


def _key(ref: ObjectRef) -> str:
    return f"{ref.namespace}/{ref.name}"
