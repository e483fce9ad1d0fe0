"""A role whose replica count an object of the cluster holds, in whatever shape its spec describes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from autoscaler.core.snapshot import PoolState
from autoscaler.targets.base import Outcome, WriteResult
from autoscaler.targets.kubernetes.aim import Aim
from autoscaler.targets.kubernetes.counts import Count, Version, count_holder
from autoscaler.targets.kubernetes.errors import (
    SHAPE_ERRORS,
    ConflictError,
    FencedError,
    ForbiddenError,
    KubeError,
    NotFoundError,
    RejectedError,
    UnauthorizedError,
    UnavailableError,
)
from autoscaler.targets.kubernetes.managers import last_writer
from autoscaler.targets.kubernetes.paths import MissingFieldError
from autoscaler.targets.kubernetes.pods import PodCounts, StartupTimes, count_pods, count_ready, gpus_of
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef, lookup
from autoscaler.targets.kubernetes.rollout import lags, progress_of, unmade
from autoscaler.targets.kubernetes.served import ServedObject
from autoscaler.targets.role import RoleReading, UnreadableError

if TYPE_CHECKING:
    from autoscaler.targets.kubernetes.client import KubeClient  # importing it costs half a second

OUTCOMES: Mapping[type[KubeError], Outcome] = {
    UnauthorizedError: Outcome.FORBIDDEN,
    ForbiddenError: Outcome.FORBIDDEN,
    NotFoundError: Outcome.MISSING,
    ConflictError: Outcome.CONFLICT,
    RejectedError: Outcome.REJECTED,
    FencedError: Outcome.DEFERRED,
    UnavailableError: Outcome.UNAVAILABLE,
}
"""What a failed write amounts to."""

_log = structlog.get_logger()


class ObjectRole:
    """Reads and writes one role's count in one object. Implements `targets.role.RoleTarget`.

    What forbids a write is looked at with each read and remembered for the writes that follow it.

    Without the right to list pods, the counts that only pods tell are 0; a warning says so once.

    Args:
        client: Connection to the cluster; may be shared.
        aim: The object, and where things are in it.
    """

    def __init__(self, client: KubeClient, aim: Aim) -> None:
        self._client = client
        self._aim = aim
        self._object = ServedObject(client, aim.refs)
        self._status_object = ServedObject(client, aim.status_refs) if aim.status_refs else None
        self._count = count_holder(client, aim)
        self._startup_times = StartupTimes()
        self._blockers: tuple[str, ...] = ()
        self._floor = 0
        self._said: str | None = None

    def read(self) -> RoleReading:
        """Read the role; see `RoleTarget.read`."""
        try:
            reading = self._read()
        except SHAPE_ERRORS as error:
            raise UnreadableError(f"{self._object.ref} or its pods have an unknown form: {error!r}") from error
        for count in (reading.state.current, reading.state.ready):
            if type(count) is not int or count < 0:
                raise UnreadableError(f"{self._object.ref} counts {count!r} replicas, which is no count")
        return reading

    def _read(self) -> RoleReading:
        try:
            document = self._object.get()
            count = self._count.read(self._object.ref, document)
            told = self._status_object.get() if self._status_object is not None else document
            self._blockers = self._find_blockers(document)
        except KubeError as error:
            raise UnreadableError(str(error)) from error
        except MissingFieldError as error:
            raise UnreadableError(f"{self._object.ref} {error}") from error
        self._floor = self._own_floor(document)
        return self._reading(document, told, count)

    def write(self, replicas: int, *, basis: str, dry_run: bool) -> WriteResult:
        """Set the count; see `RoleTarget.write`."""
        refusal = self._refusal(replicas)
        if refusal:
            return WriteResult(Outcome.REFUSED, refusal)
        ref, read = self._object.ref, Version.parse(basis)
        change = self._count.change(read, replicas)
        try:
            self._client.patch(ref, change, subresource=self._count.subresource, dry_run=dry_run)
        except RejectedError as error:
            return self._rejected(read, error)
        except UnavailableError as error:
            return WriteResult(Outcome.UNAVAILABLE, f"{error}; the next read shows whether it was applied")
        except KubeError as error:
            return WriteResult(OUTCOMES[type(error)], str(error))
        before = "unset" if read.replicas is None else read.replicas
        if dry_run:
            return WriteResult(
                Outcome.DRY_RUN, f"{self._subject}: the server would take {replicas} replicas for {before}"
            )
        return WriteResult(Outcome.APPLIED, f"{self._subject}: {before} to {replicas} replicas")

    def _reading(self, document: JsonObject, told: JsonObject, count: Count) -> RoleReading:
        size = self._pods_per_replica(document, told)
        pods = self._read_pods(self._aim.pods or count.selector or _selector_in(told))
        per_replica = 1 if self._aim.leaders_only else size
        status = next((found for path in self._aim.status if isinstance(found := path.find(told), dict)), None)
        ready = self._ready(told, status, pods, per_replica)
        counts = status or {}
        if self._aim.counts_updated:
            counts = {"updatedReplicas": 0, **counts}
        progress = progress_of(told, counts, ready=ready, asked_for=count.current)
        held = any(check.holds(doc) for check in self._aim.hold_if for doc in (document, told))
        in_trouble = count_pods(pods, per_replica) if pods is not None else PodCounts()
        gpus = gpus_of(pods) if pods is not None else None
        state = PoolState(
            current=count.current,
            ready=progress.ready,
            unschedulable=in_trouble.unschedulable + unmade(told, count.current),
            failing=in_trouble.failing,
            terminating=in_trouble.terminating,
            updating=progress.updating or held or lags(document),
            startup_times_s=self._startup_times.observe(pods) if pods is not None else (),
        )
        return RoleReading(
            state,
            basis=count.version.token(),
            writer=last_writer(document, self._aim.count[0]),
            blockers=self._blockers,
            gpus_per_replica=None if gpus is None else float(gpus * size),
        )

    def _pods_per_replica(self, document: JsonObject, told: JsonObject) -> int:
        sizes = (
            next((int(size) for where in (document, told) if (size := path.find(where))), 0)
            for path in self._aim.pods_per_replica
        )
        return sum(sizes) or 1

    def _ready(
        self, told: JsonObject, status: JsonObject | None, pods: list[JsonObject] | None, per_replica: int
    ) -> int:
        """Replicas that serve: by the status; by the pods where it says nothing of them.

        A status leaves out zeros, and there are kinds that keep no count of what is ready.
        """
        of_status = status if self._aim.ready and status is not None else {}
        known = [int(of_status[name] or 0) for name in self._aim.ready if name in of_status]
        if known:
            return next(filter(None, known), 0)
        if pods is not None:
            return count_ready(pods, per_replica)
        if self._aim.ready and (status is not None or "status" not in told):
            return 0
        raise UnreadableError(
            f"{self._object.ref} does not tell how many {self._aim.role} replicas are ready: "
            "give a label selector of their pods, and the right to list pods"
        )

    def _read_pods(self, selector: str) -> list[JsonObject] | None:
        """The pods of the role; None where they cannot be read, which takes nothing from its replica count."""
        if not selector:
            self._say_once(f"nothing names the pods of {self._object.ref}: it has no selector")
            return None
        try:
            pods = self._client.list_items(ObjectRef.pods(self._object.ref.namespace), label_selector=selector)
        except KubeError as error:
            self._say_once(str(error))
            return None
        self._said = None
        return pods

    def _find_blockers(self, document: JsonObject) -> tuple[str, ...]:
        ref = self._object.ref
        unmet = [
            f"{ref}: {check.path} is {_shown(check.path.find(document))}: {check.reason}"
            for check in self._aim.require
            if not check.holds(document)
        ]
        for excluded in self._aim.excluded:
            other = ServedObject(self._client, excluded.refs)
            try:
                other.get()
            except (NotFoundError, UnreadableError):
                continue
            except KubeError as error:
                unmet.append(f"{ref}: cannot tell whether {other.ref} exists: {error}")
            else:
                unmet.append(f"{ref}: {other.ref} exists: {excluded.reason}")
        return tuple(unmet)

    def _refusal(self, replicas: int) -> str:
        """Why nothing may be sent; empty where it may."""
        if self._blockers:
            return "; ".join(self._blockers)
        limits = self._aim.limits
        if self._floor > limits.low:
            limits = replace(limits, low=self._floor, reason=f"{self._aim.min_path} of the object says so")
        refusal = limits.refusal(replicas)
        return f"{self._subject}: {refusal}" if refusal else ""

    def _rejected(self, read: Version, error: RejectedError) -> WriteResult:
        """Tell a failed test from a refusal: the server words them alike, so look at the object again."""
        ref = self._object.ref
        try:
            now = self._count.read(ref, self._object.get()).version
        except KubeError as second:
            return WriteResult(OUTCOMES[type(second)], f"{error}; and then {second}")
        except (MissingFieldError, UnreadableError) as second:
            return WriteResult(
                Outcome.CONFLICT, f"{ref} {second}, which it had when read: decide again on what it is now"
            )
        if now.same_count(read):
            return WriteResult(Outcome.REJECTED, str(error))
        if now.uid != read.uid:
            change = "is another object of that name"
        elif now.replicas != read.replicas:
            change = f"has {now.replicas} replicas, it had {read.replicas} when read"
        else:
            change = "holds its count in another place of its list than when read"
        return WriteResult(Outcome.CONFLICT, f"{self._subject} {change}: decide again on what it is now")

    def _own_floor(self, document: JsonObject) -> int:
        path = self._aim.min_path
        return int(path.find(document) or 0) if path is not None else 0

    def _say_once(self, trouble: str) -> None:
        if self._said != trouble:
            self._said = trouble
            _log.warning(
                "pods unknown: unschedulable, failing and draining replicas count as none, startup times are not seen",
                role=str(self._aim.role),
                reason=trouble,
            )

    @property
    def _subject(self) -> str:
        """What a message is about: the object, and the field where it holds several."""
        return f"{self._object.ref}, {self._aim.count[0]}" if not self._count.subresource else str(self._object.ref)


def _selector_in(document: JsonObject) -> str:
    """The label selector that a workload carries; empty where it has none that labels alone express."""
    selector = lookup(document, "spec.selector") or {}
    if not isinstance(selector, dict) or selector.get("matchExpressions"):
        return ""
    return ",".join(f"{name}={value}" for name, value in sorted(selector.get("matchLabels", {}).items()))


def _shown(value: object) -> str:
    return "unset" if value is None else "set" if isinstance(value, dict) else str(value)
