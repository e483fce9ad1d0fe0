"""Replica counts through the scale subresource: Deployments, StatefulSets, and every kind that offers one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import structlog

from autoscaler.core.policy import Role
from autoscaler.core.snapshot import PoolState
from autoscaler.targets.base import Outcome, PoolReading, WriteResult
from autoscaler.targets.kubernetes.errors import (
    ConflictError,
    ForbiddenError,
    KubeError,
    NotFoundError,
    RejectedError,
    UnauthorizedError,
    UnavailableError,
)
from autoscaler.targets.kubernetes.pods import PodCounts, StartupTimes, count_pods
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef, lookup
from autoscaler.targets.kubernetes.rollout import progress_of

if TYPE_CHECKING:
    from autoscaler.targets.kubernetes.client import KubeClient  # importing it costs half a second

_OUTCOMES: Mapping[type[KubeError], Outcome] = {
    UnauthorizedError: Outcome.FORBIDDEN,
    ForbiddenError: Outcome.FORBIDDEN,
    NotFoundError: Outcome.MISSING,
    ConflictError: Outcome.CONFLICT,
    RejectedError: Outcome.REJECTED,
    UnavailableError: Outcome.UNAVAILABLE,
}

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ScaledPool:
    """The object that holds a pool's replica count.

    Attributes:
        ref: The object; the highest one that is still authoritative, for an operator reverts what is below it.
        ready_path: Where its status counts ready replicas.
    """

    ref: ObjectRef
    ready_path: str = "status.readyReplicas"


@dataclass(frozen=True, slots=True)
class _Version:
    """What a decision was based on, as a token.

    Attributes:
        replicas: None where the object leaves its count unset.
    """

    uid: str
    resource_version: str
    replicas: int | None

    @classmethod
    def of(cls, document: JsonObject, replicas: int | None) -> Self:
        return cls(document["metadata"]["uid"], document["metadata"]["resourceVersion"], replicas)

    @classmethod
    def parse(cls, token: str) -> Self:
        uid, resource_version, replicas = token.split("/")
        return cls(uid, resource_version, int(replicas) if replicas else None)

    def __str__(self) -> str:
        return f"{self.uid}/{self.resource_version}/{'' if self.replicas is None else self.replicas}"


class ScaleTarget:
    """The pools of one service, each the scale subresource of one object. Implements `targets.base.Target`.

    A write changes `spec.replicas` and nothing else. It holds only while the count is still the one that was read, on
    the object that was read: a JSON patch that tests both. That says what is meant, where the object's resourceVersion
    would also change, and refuse the write, with each status update of a pool in motion. A count of 0 cannot be tested,
    for a Scale leaves it out, and no more can an unset one; there the resourceVersion is the condition, on an object
    that is at rest.

    Without the right to list pods, the counts that only pods tell are 0; a warning says so once.

    Args:
        client: Connection to the cluster; may be shared by services.
        pools: The object of each role.
    """

    def __init__(self, client: KubeClient, pools: Mapping[Role, ScaledPool]) -> None:
        self._client = client
        self._pools = dict(pools)
        self._startup_times = {role: StartupTimes() for role in pools}
        self._said: dict[Role, str] = {}

    def read(self) -> PoolReading:
        """Read every pool; see `Target.read`."""
        pools: dict[Role, PoolState] = {}
        errors: dict[Role, str] = {}
        basis: dict[Role, str] = {}
        for role, pool in self._pools.items():
            try:
                pools[role], version = self._read_pool(role, pool)
            except (KubeError, _UnsetReplicasError) as error:
                errors[role] = str(error)
            else:
                basis[role] = str(version)
        return PoolReading(pools, errors, basis)

    def write(self, role: Role, replicas: int, *, basis: str, dry_run: bool) -> WriteResult:
        """Set one pool's replica count; see `Target.write`."""
        ref, read = self._pools[role].ref, _Version.parse(basis)
        try:
            self._client.patch(ref, _change(read, replicas), subresource="scale", dry_run=dry_run)
        except RejectedError as error:
            return self._refused(ref, read, error)
        except UnavailableError as error:
            return WriteResult(Outcome.UNAVAILABLE, f"{error}; the next read shows whether it was applied")
        except KubeError as error:
            return WriteResult(_OUTCOMES[type(error)], str(error))
        before = "unset" if read.replicas is None else read.replicas
        if dry_run:
            return WriteResult(Outcome.DRY_RUN, f"{ref}: the server would take {replicas} replicas for {before}")
        return WriteResult(Outcome.APPLIED, f"{ref}: {before} to {replicas} replicas")

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    def _read_pool(self, role: Role, pool: ScaledPool) -> tuple[PoolState, _Version]:
        scale = self._read_scale(pool.ref)
        parent = self._client.get(pool.ref)
        if scale is None:
            version, selector = _Version.of(parent, None), ""
        else:
            version, selector = _version_of(scale), scale.get("status", {}).get("selector", "")
        current = lookup(parent, "status.replicas") if version.replicas is None else version.replicas
        if current is None:
            raise _UnsetReplicasError(pool.ref)
        progress = progress_of(parent, ready_path=pool.ready_path, asked_for=current)
        pods = self._read_pods(role, pool.ref, selector)
        counts = count_pods(pods) if pods is not None else PodCounts()
        state = PoolState(
            current=current,
            ready=progress.ready,
            unschedulable=counts.unschedulable,
            failing=counts.failing,
            terminating=counts.terminating,
            updating=progress.updating,
            startup_times_s=self._startup_times[role].observe(pods) if pods is not None else (),
        )
        return state, version

    def _read_scale(self, ref: ObjectRef) -> JsonObject | None:
        """The Scale; None where a custom resource leaves its count unset, which the server answers with a 500."""
        try:
            return self._client.get(ref, "scale")
        except UnavailableError as error:
            if "replicas field" in error.said and "does not exist" in error.said:
                return None
            raise

    def _read_pods(self, role: Role, ref: ObjectRef, selector: str) -> list[JsonObject] | None:
        """The pods of a pool; None where they cannot be read, which takes nothing from its replica count."""
        if not selector:
            self._say_once(role, f"the scale of {ref} names no pods: it has no selector")
            return None
        try:
            pods = self._client.list_items(ObjectRef.pods(ref.namespace), label_selector=selector)
        except KubeError as error:
            self._say_once(role, str(error))
            return None
        self._said.pop(role, None)
        return pods

    def _say_once(self, role: Role, trouble: str) -> None:
        if self._said.get(role) != trouble:
            self._said[role] = trouble
            _log.warning(
                "pods unknown: unschedulable, failing and draining replicas count as none, startup times are not seen",
                role=str(role),
                reason=trouble,
            )

    def _refused(self, ref: ObjectRef, read: _Version, error: RejectedError) -> WriteResult:
        """Tell a failed test from a refusal: the server words them alike, so look at the object again."""
        try:
            scale = self._read_scale(ref)
        except KubeError as second:
            return WriteResult(_OUTCOMES[type(second)], f"{error}; and then {second}")
        now = _version_of(scale) if scale is not None else None
        if now is None or read.replicas is None or (now.uid, now.replicas) == (read.uid, read.replicas):
            return WriteResult(Outcome.REJECTED, str(error))
        change = f"has {now.replicas} replicas" if now.uid == read.uid else "is another object of that name"
        return WriteResult(
            Outcome.CONFLICT, f"{ref} {change}, it had {read.replicas} when read: decide again on what it is now"
        )


class _UnsetReplicasError(Exception):
    """Nobody has said how many replicas there are to be."""

    def __init__(self, ref: ObjectRef) -> None:
        super().__init__(f"{ref} leaves its replica count unset and its status tells none: set the count once")


def _version_of(scale: JsonObject) -> _Version:
    return _Version.of(scale, scale.get("spec", {}).get("replicas", 0))


def _change(read: _Version, replicas: int) -> list[JsonObject] | JsonObject:
    if not read.replicas:
        return {"metadata": {"resourceVersion": read.resource_version}, "spec": {"replicas": replicas}}
    return [
        {"op": "test", "path": "/metadata/uid", "value": read.uid},
        {"op": "test", "path": "/spec/replicas", "value": read.replicas},
        {"op": "replace", "path": "/spec/replicas", "value": replicas},
    ]
