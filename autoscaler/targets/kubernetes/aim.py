"""A target spec applied to one role of one service: every name, path and selector filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from autoscaler.core.policy import Role
from autoscaler.targets.kubernetes.paths import Path
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef
from autoscaler.targets.kubernetes.specs.model import Condition, ObjectModel, Shape, TargetSpec
from autoscaler.targets.kubernetes.specs.problems import SpecError
from autoscaler.targets.kubernetes.specs.values import Scalar

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Service:
    """Where a service is, in the words of a target spec.

    Attributes:
        namespace: Its namespace.
        name: What its objects are named after; for most targets the object's own name.
        entry: What the object calls the role, where it holds several; empty for the role's own name.
        pods: Label selector of the role's pods in place of the spec's; empty for the spec's.
        max_replicas: More than the spec's limit, because the user says that more is meant.
    """

    namespace: str
    name: str
    entry: str = ""
    pods: str = ""
    max_replicas: int | None = None

    def values(self, role: Role) -> dict[str, str]:
        """What the placeholders stand for."""
        entry = self.entry or role.value
        names = {"namespace": self.namespace, "name": self.name, "role": role.value}
        return {**names, "entry": entry, "entry_lower": entry.lower()}


@dataclass(frozen=True, slots=True)
class Check:
    """A condition on one field, its path filled in."""

    path: Path
    values: tuple[Scalar, ...]
    reason: str
    unless: Check | None = None

    def holds(self, document: JsonObject) -> bool:
        """Whether the field is one of the values, where true is not 1, or what makes up for it holds."""
        if self.unless is not None and self.unless.holds(document):
            return True
        found = self.path.find(document)
        return any(type(found) is type(value) and found == value for value in self.values)


@dataclass(frozen=True, slots=True)
class Limits:
    """How few and how many replicas, and why."""

    low: int = 0
    high: int | None = None
    reason: str = "no count is negative"

    def refusal(self, replicas: int) -> str:
        """Why a count is outside; empty where it is not."""
        if replicas < self.low:
            return f"{replicas} replicas are fewer than {self.low}: {self.reason}"
        if self.high is not None and replicas > self.high:
            remedy = "raise the target's own maximum if more is meant"
            return f"{replicas} replicas are more than {self.high}: {self.reason}; {remedy}"
        return ""


@dataclass(frozen=True, slots=True)
class Excluded:
    """An object that must not exist, under the versions to look under, and why."""

    refs: tuple[ObjectRef, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Aim:
    """Where one role's count is held and what tells of its replicas.

    The fields are those of `TargetSpec`, filled in for the role.

    Attributes:
        refs: The object that holds the count, under each version to try.
        status_refs: The object whose status tells; empty where that is the object itself.
    """

    role: Role
    shape: Shape
    refs: tuple[ObjectRef, ...]
    count: tuple[Path, ...] = (Path.parse("spec.replicas"),)
    absent: int | None = None
    absent_reason: str = "set the count once"
    status_refs: tuple[ObjectRef, ...] = ()
    status: tuple[Path, ...] = (Path.parse("status"),)
    ready: tuple[str, ...] = ("readyReplicas",)
    counts_updated: bool = False
    pods: str = ""
    leaders_only: bool = False
    pods_per_replica: tuple[Path, ...] = ()
    hold_if: tuple[Check, ...] = ()
    require: tuple[Check, ...] = ()
    excluded: tuple[Excluded, ...] = ()
    limits: Limits = Limits()
    min_path: Path | None = None

    @property
    def ref(self) -> ObjectRef:
        """The object under the version to prefer."""
        return self.refs[0]


def aim(spec: TargetSpec, service: Service, role: Role) -> Aim:
    """Apply a spec to a role.

    Raises:
        SpecError: The spec has nothing for this role, or needs a person.
    """
    if spec.object is None:
        raise SpecError(f"target {spec.name} has no object: it only gives instructions")
    values = service.values(role)

    def own(by_role: Mapping[Role, _T]) -> _T:
        if role not in by_role:
            raise SpecError(f"target {spec.name} has no {role} role; it has {', '.join(by_role)}")
        return by_role[role]

    def filled(paths: tuple[Path, ...]) -> tuple[Path, ...]:
        return tuple(path.fill(values) for path in paths)

    def refs(model: ObjectModel) -> tuple[ObjectRef, ...]:
        name = own(model.name).fill(values)
        return ObjectRef.versions(model.group, model.versions, model.kind, model.plural, service.namespace, name)

    def check(one: Condition) -> Check:
        return Check(own(one.path).fill(values), one.values, one.reason, check(one.unless) if one.unless else None)

    def checks(conditions: tuple[Condition, ...]) -> tuple[Check, ...]:
        return tuple(map(check, conditions))

    return Aim(
        role=role,
        shape=spec.shape,
        refs=refs(spec.object),
        count=filled(own(spec.count)),
        absent=spec.absent,
        absent_reason=spec.absent_reason,
        status_refs=refs(spec.status_of) if spec.status_of else (),
        status=filled(own(spec.status)),
        ready=spec.ready,
        counts_updated=spec.counts_updated,
        pods=service.pods or (own(spec.pods).fill(values) if spec.pods else ""),
        leaders_only=spec.leaders_only,
        pods_per_replica=filled(spec.pods_per_replica),
        hold_if=checks(spec.hold_if),
        require=checks(spec.require),
        excluded=tuple(Excluded(refs(one), one.reason) for one in spec.refuse_if_exists),
        limits=limits_of(spec, service, role),
        min_path=spec.min_path.fill(values) if spec.min_path else None,
    )


def limits_of(spec: TargetSpec, service: Service, role: Role) -> Limits:
    """How few and how many replicas of a role; the user's word on the most replaces the spec's."""
    limits = spec.limits.get(role)
    if limits is None:
        return Limits()
    high = limits.max if limits.max is None or service.max_replicas is None else service.max_replicas
    return Limits(limits.min, high, limits.reason)
