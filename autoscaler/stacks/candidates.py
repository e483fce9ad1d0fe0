"""The form of a signal in a stack file: what it is there, and the ways to obtain it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from autoscaler.stacks.base import Strict, Text

LabelName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
Dispatch = Literal["sequential", "concurrent"]


class Kind(StrEnum):
    """How the vectors that the expressions give become a number."""

    VALUE = "value"
    """The one element's value."""
    LABEL_PRODUCT = "label_product"
    """The product of numbers that an info metric carries as labels, times its value, which is 1 or a share."""
    ATTAINMENT = "attainment"
    """The share of a histogram, or of the sum of two, inside an objective."""
    QUANTILE = "quantile"
    """A histogram's quantile at the percentile of an objective, for buckets that PromQL knows no quantile of."""


class Unit(StrEnum):
    """Unit of the metric where it is not the canonical one."""

    MILLISECONDS = "ms"
    MICROSECONDS = "us"
    PERCENT = "percent"

    @property
    def factor(self) -> float:
        """What one of it is in the canonical unit: seconds or a ratio."""
        return {Unit.MILLISECONDS: 1e-3, Unit.MICROSECONDS: 1e-6, Unit.PERCENT: 1e-2}[self]


class BucketForm(StrEnum):
    """How a latency distribution is exported."""

    CUMULATIVE = "cumulative"
    """A histogram: rates `by (le)`, each with all below it."""
    RANGES = "ranges"
    """A counter per range: rates `by (bucket)` with labels such as 100-200ms and 5000ms+."""


_OF_DISTRIBUTION = frozenset({Kind.ATTAINMENT, Kind.QUANTILE})


class CandidateModel(Strict):
    """One way to obtain a signal.

    Attributes:
        expr: The expression; or, for a distribution, `legs`: rates by bucket of one histogram, or of two whose
            latencies add up.
        inherit: Stands for all candidates of the engine's stack file, instead of an expression.
        plus: Added to each inherited one: what waits in a gateway before an engine sees it. Nothing there is 0.
        dispatch: Only where the service's proxy dispatches so; absent means both.
        objective: Which latency target a distribution is taken at.
        buckets: How a distribution is exported.
        labels: Labels whose product is the value of each series, times its own, for `label_product`.
        unit: Of the metric, if it is not the canonical one.
        versions: Versions of the stack that have these metrics.
        note: How far to trust the value.
    """

    kind: Kind = Kind.VALUE
    expr: str | None = None
    legs: Annotated[tuple[str, ...], Field(min_length=1, max_length=2)] | None = None
    inherit: Literal[True] | None = None
    plus: str | None = None
    dispatch: Dispatch | None = None
    objective: Literal["ttft", "tpot"] | None = None
    buckets: BucketForm = BucketForm.CUMULATIVE
    labels: tuple[LabelName, ...] = ()
    unit: Unit | None = None
    versions: str = ""
    note: str = ""

    @model_validator(mode="after")
    def _fields_fit_the_kind(self) -> Self:
        if self.inherit:
            if not self.model_fields_set <= {"inherit", "plus", "note"}:
                raise ValueError("inherit takes plus and note, and nothing else")
            return self
        if self.plus is not None:
            raise ValueError("plus is for inherit")
        wants_legs = self.kind in _OF_DISTRIBUTION
        if (self.legs is not None) != wants_legs or (self.expr is None) != wants_legs:
            raise ValueError(f"kind {self.kind} takes {'legs' if wants_legs else 'expr'} and nothing else to evaluate")
        if (self.objective is not None) != wants_legs:
            raise ValueError("objective is for kind attainment and quantile, and needed there: write ttft or tpot")
        if self.kind is Kind.QUANTILE and len(self.legs or ()) > 1:
            raise ValueError("kind quantile takes one leg")
        if not wants_legs and self.buckets is not BucketForm.CUMULATIVE:
            raise ValueError("buckets is for kind attainment and quantile")
        if bool(self.labels) != (self.kind is Kind.LABEL_PRODUCT):
            raise ValueError("labels is for kind label_product, and needed there")
        return self

    @property
    def templates(self) -> tuple[str, ...]:
        """The expressions, placeholders not yet expanded."""
        return self.legs if self.legs is not None else (self.expr or "",)


Candidates = Annotated[tuple[CandidateModel, ...], Field(min_length=1)]


class SignalModel(Strict):
    """What a signal is on this stack, and the ways to obtain it, best first; or why there is none.

    Attributes:
        explanation: What it counts here. Empty where the engine's own words hold.
        candidates: The ways to obtain it.
        absent: Why the stack cannot tell it.
    """

    explanation: str = ""
    candidates: Candidates | None = None
    absent: Text | None = None

    @model_validator(mode="after")
    def _has_a_value_or_a_reason(self) -> Self:
        if (self.candidates is None) == (self.absent is None):
            raise ValueError("takes candidates, or absent with the reason")
        return self
