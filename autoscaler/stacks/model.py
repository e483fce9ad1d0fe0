"""The form of a stack file: labels, windows, and per signal the expressions to try in order."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from autoscaler.core.policy import Role
from autoscaler.core.signals import CATALOGUE, Scope
from autoscaler.stacks.errors import did_you_mean

LabelName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
Window = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*[smh]$")]
Text = Annotated[str, StringConstraints(min_length=1)]
Dispatch = Literal["sequential", "concurrent"]


class Kind(StrEnum):
    """How the vectors that the expressions give become a number."""

    VALUE = "value"
    """The one element's value."""
    LABEL_PRODUCT = "label_product"
    """The product of numbers that an info metric carries as labels."""
    ATTAINMENT = "attainment"
    """The share of a histogram, or of the sum of two, inside an objective."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CandidateModel(_Strict):
    """One way to obtain a signal.

    Attributes:
        expr: The expression; or, for attainment, `legs`: rates `sum by (le)` of one histogram, or of two whose
            latencies add up.
        dispatch: Only where the service's proxy dispatches so; absent means both.
        objective: Which latency target attainment is taken at.
        labels: Labels whose product is the value, for `label_product`.
        versions: Versions of the stack that have these metrics.
        note: How far to trust the value.
    """

    kind: Kind = Kind.VALUE
    expr: str | None = None
    legs: Annotated[tuple[str, ...], Field(min_length=1, max_length=2)] | None = None
    dispatch: Dispatch | None = None
    objective: Literal["ttft", "tpot"] | None = None
    labels: tuple[LabelName, ...] = ()
    versions: str = ""
    note: str = ""

    @model_validator(mode="after")
    def _fields_fit_the_kind(self) -> Self:
        wants_legs = self.kind is Kind.ATTAINMENT
        if (self.legs is not None) != wants_legs or (self.expr is None) != wants_legs:
            raise ValueError(f"kind {self.kind} takes {'legs' if wants_legs else 'expr'} and nothing else to evaluate")
        if (self.objective is not None) != wants_legs:
            raise ValueError("objective is for kind attainment, and needed there: write ttft or tpot")
        if bool(self.labels) != (self.kind is Kind.LABEL_PRODUCT):
            raise ValueError("labels is for kind label_product, and needed there")
        return self

    @property
    def templates(self) -> tuple[str, ...]:
        """The expressions, placeholders not yet expanded."""
        return self.legs if self.legs is not None else (self.expr or "",)


Candidates = Annotated[tuple[CandidateModel, ...], Field(min_length=1)]


class SignalModel(_Strict):
    """What a signal is on this stack, and the ways to obtain it, best first."""

    explanation: Text
    candidates: Candidates


class RoleLabelModel(_Strict):
    """The label that tells the roles apart, and its value per role."""

    name: LabelName
    values: Mapping[Role, str]


class LabelsModel(_Strict):
    """Label names of the stack's series."""

    pod: LabelName
    model: LabelName
    role: RoleLabelModel


class WindowsModel(_Strict):
    """Ranges: `control` for signals that drive replicas, `shape` for what a workload looks like."""

    control: Window
    shape: Window


class ReplicasModel(_Strict):
    """Replica counts of a pool without the Kubernetes API; `$pool…` placeholders stand for the role."""

    asked_for: Candidates
    ready: Candidates


class StackModel(_Strict):
    """One stack file; `dispatch` is that of the stack's usual proxy."""

    name: Text
    title: Text
    versions: Text
    labels: LabelsModel
    dispatch: Dispatch
    windows: WindowsModel
    signals: Mapping[Scope, Mapping[str, SignalModel]]
    replicas: ReplicasModel

    @model_validator(mode="after")
    def _signals_are_canonical(self) -> Self:
        for scope, signals in self.signals.items():
            require_canonical(scope, signals)
        return self


def require_canonical(scope: Scope, names: Mapping[str, object]) -> None:
    """Refuse names that the catalogue of signals does not have.

    Raises:
        ValueError: With the name, the nearest one and all that are allowed.
    """
    for name in names:
        if name not in CATALOGUE[scope]:
            raise ValueError(f"signals.{scope}.{name} is no signal; {did_you_mean(name, CATALOGUE[scope])}")
