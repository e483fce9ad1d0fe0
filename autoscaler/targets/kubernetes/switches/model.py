"""The form of a switch spec: where a stack's disaggregation switch is, and what its values mean.

The keys say enable and disable, because YAML takes a bare `on` for true.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from autoscaler.core.policy import Role
from autoscaler.stacks.base import Strict, Text
from autoscaler.targets.kubernetes.specs.model import ObjectModel
from autoscaler.targets.kubernetes.specs.values import PathValue, TemplateValue


class SwitchShape(StrEnum):
    """What kind of thing the switch is."""

    NONE = "none"
    """There is none."""
    FIELD = "field"
    """A field of an object."""
    CONFIG_MAP = "config_map"
    """A value in a configuration text inside a ConfigMap."""
    PREFILL_ZERO = "prefill_zero"
    """The number of prefill replicas: at 0, decode prefills."""
    INSTRUCTION = "instruction"
    """Something that a person changes."""


class TokensModel(Strict):
    """A threshold in tokens.

    Attributes:
        always: What the stack writes for all prompts.
        never: What it writes for none.
        usual: The threshold that on means, unless the user says otherwise.
    """

    always: Annotated[int, Field(ge=0)]
    never: Annotated[int, Field(ge=0)]
    usual: Annotated[float, Field(ge=0)] = 0.0


class NamesModel(Strict):
    """Names of modes.

    Attributes:
        enabled: Names that mean on, the one to write first; empty where the user gives it.
        disabled: Names that mean off, likewise.
        enable_refused: Why on cannot be written; empty where it can.
    """

    enabled: tuple[Text, ...] = ()
    disabled: tuple[Text, ...] = ()
    enable_refused: str = ""


class SwitchSpec(Strict):
    """One kind of switch, as data.

    Attributes:
        name: What a policy calls it.
        title: What it is, in a few words.
        object: The object that has the field.
        path: The field, or the value in the text.
        absent: The value that an absent field stands for.
        used_by: A value of the text that must name the list entry which `path` goes through.
        restart: Whether the router reads the text at its start alone.
        tokens: What values mean, if they are thresholds.
        names: What values mean, if they are names.
        instructions: What a person has to do to enable and to disable.
        remains: The role that serves both phases while it is off.
        reason: Why there is no switch, for shape none.
        unverified: What nobody has seen on a running system yet.
    """

    name: Text
    title: Text
    shape: SwitchShape
    object: ObjectModel | None = None
    path: PathValue | None = None
    absent: int | str | None = None
    used_by: PathValue | None = None
    restart: bool = False
    tokens: TokensModel | None = None
    names: NamesModel | None = None
    instructions: Mapping[Literal["enable", "disable"], TemplateValue] = {}
    remains: Role = Role.DECODE
    reason: str = ""
    unverified: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _parts_fit_the_shape(self) -> Self:
        valued = self.shape in {SwitchShape.FIELD, SwitchShape.CONFIG_MAP}
        self._require(wanted=self.shape is SwitchShape.FIELD, given=self.object is not None, what="object")
        self._require(wanted=valued, given=self.path is not None, what="path")
        self._require(wanted=self.shape is SwitchShape.INSTRUCTION, given=bool(self.instructions), what="instructions")
        self._require(wanted=self.shape is SwitchShape.NONE, given=bool(self.reason), what="reason")
        if valued is not ((self.tokens is None) is not (self.names is None)):
            what = "needs either tokens or names" if valued else "has neither tokens nor names"
            raise ValueError(f"shape {self.shape} {what}")
        if self.used_by is not None and (self.path is None or not self.path.through_list):
            raise ValueError("used_by is for a path that goes through an entry of a list")
        return self

    def _require(self, *, wanted: bool, given: bool, what: str) -> None:
        if wanted is not given:
            raise ValueError(f"shape {self.shape} {'needs' if wanted else 'has no'} {what}")
