"""The form of a target spec: which object holds a role's replica count, where, and what to mind."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from autoscaler.core.policy import Role
from autoscaler.stacks.base import Strict, Text
from autoscaler.targets.kubernetes.paths import Path
from autoscaler.targets.kubernetes.specs.values import (
    InstructionByRole,
    PathByRole,
    PathsByRole,
    PathValue,
    Scalar,
    TemplateByRole,
)
from autoscaler.targets.kubernetes.templates import Template

_NAME: Mapping[Role, Template] = dict.fromkeys(Role, Template("{name}"))
_COUNT: Mapping[Role, tuple[Path, ...]] = dict.fromkeys(Role, (Path.parse("spec.replicas"),))
_STATUS: Mapping[Role, tuple[Path, ...]] = dict.fromkeys(Role, (Path.parse("status"),))


class Shape(StrEnum):
    """How a count is written."""

    SCALE = "scale"
    """Through the scale subresource."""
    MERGE = "merge"
    """Scalars at paths of the object, by a merge patch that the object's resourceVersion guards."""
    ENTRY = "entry"
    """A scalar in an entry of a list, by a JSON patch that tests the entry's name and the old count."""
    INSTRUCTION = "instruction"
    """By a person: there is no API for it."""


class ObjectModel(Strict):
    """An object of one kind.

    Attributes:
        group: API group; empty for the core group.
        versions: Versions of it to try, the one to prefer first.
        name: Its name, from that of the service.
    """

    group: str
    versions: Annotated[tuple[Text, ...], Field(min_length=1)]
    kind: Text
    plural: Text
    name: TemplateByRole = _NAME


class Condition(Strict):
    """A test of one field.

    Attributes:
        path: The field, a scalar.
        values: What it may be; null stands for absent.
        reason: What follows where the test decides against a write, and what to do about it.
        unless: Another test, where which passes this one passes, too.
    """

    path: PathByRole
    values: Annotated[tuple[Scalar, ...], Field(min_length=1)]
    reason: str = ""
    unless: Condition | None = None


class Exclusion(ObjectModel):
    """An object that must not exist, because it owns the count where it does."""

    reason: Text


class LimitsModel(Strict):
    """How few and how many replicas the stack bears.

    Attributes:
        min: Never fewer.
        max: Never more, unless the user says that more is meant.
        reason: Where that comes from.
    """

    min: Annotated[int, Field(ge=0)] = 0
    max: Annotated[int, Field(ge=1)] | None = None
    reason: Text


class TargetSpec(Strict):
    """One kind of target, as data.

    Attributes:
        name: What a policy calls it.
        title: What it is, in a few words.
        object: The object that holds the count; None only for an instruction.
        count: Paths of the count, the first to be read and all to be written.
        absent: The count that an absent field stands for; None where it is nobody's and has to be set once.
        absent_reason: What to do about an absent field.
        status_of: The object whose status tells of the replicas; None for the object itself.
        status: Paths of the part of the status that is about the role; the first that is there counts.
        ready: Names of its field that counts replicas that serve, likewise; none counts ready pods.
        counts_updated: Whether it counts replicas of the newest revision, and leaves that count out where it is 0.
        pods: Label selector of the role's pods; None takes the one of the scale subresource, or of `status_of`.
        leaders_only: Whether that selector matches one pod of each replica, and not all of them.
        pods_per_replica: Paths of the numbers of pods that together make one replica; none of them there means one.
        hold_if: Conditions under which counts are in motion for another reason.
        require: Conditions without which nothing is written.
        refuse_if_exists: Objects beside which nothing is written.
        limits: How few and how many replicas.
        min_path: Path of a floor that the object itself carries.
        children: Kinds below the object to look for competitors at.
        instructions: What a person has to do, for shape instruction.
        unverified: What nobody has seen on a running system yet.
    """

    name: Text
    title: Text
    shape: Shape
    object: ObjectModel | None = None
    count: PathsByRole = _COUNT
    absent: Annotated[int, Field(ge=0)] | None = None
    absent_reason: str = "set the count once"
    status_of: ObjectModel | None = None
    status: PathsByRole = _STATUS
    ready: tuple[Text, ...] = ("readyReplicas",)
    counts_updated: bool = False
    pods: TemplateByRole | None = None
    leaders_only: bool = False
    pods_per_replica: tuple[PathValue, ...] = ()
    hold_if: tuple[Condition, ...] = ()
    require: tuple[Condition, ...] = ()
    refuse_if_exists: tuple[Exclusion, ...] = ()
    limits: Mapping[Role, LimitsModel] = {Role.DECODE: LimitsModel(min=1, reason="without decode nothing is served")}
    min_path: PathValue | None = None
    children: tuple[Text, ...] = ()
    instructions: InstructionByRole | None = None
    unverified: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _parts_fit_the_shape(self) -> Self:
        by_hand = self.shape is Shape.INSTRUCTION
        if (self.object is None) is not by_hand:
            raise ValueError(f"shape {self.shape} {'has no' if by_hand else 'needs an'} object")
        if (self.instructions is not None) is not by_hand:
            raise ValueError(f"shape {self.shape} {'needs' if by_hand else 'has no'} instructions")
        wants_list = self.shape is Shape.ENTRY
        for path in (path for paths in self.count.values() for path in paths):
            if path.through_list is not wants_list:
                other = Shape.MERGE if wants_list else Shape.ENTRY
                raise ValueError(f"count {path} does not fit shape {self.shape}, it fits {other}")
        return self
