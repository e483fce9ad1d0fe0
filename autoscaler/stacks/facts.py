"""What a stack file says beside its signals: what is scaled, what switches, what draining and limits are like."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from autoscaler.core.policy import Role
from autoscaler.stacks.base import Strict, Text


class SwitchModel(Strict):
    """The disaggregation switch.

    Attributes:
        specs: Switch specs that move it, usual one first; `none` where nothing does.
        explanation: What to know before moving it.
    """

    specs: Annotated[tuple[Text, ...], Field(min_length=1)]
    explanation: Text


class DrainModel(Strict):
    """What a replica needs to end without loss.

    Attributes:
        kv_lease_s: How long prefill may have to keep KV that decode has not fetched; None where nothing expires.
        grace_s: Termination grace period that the stack's own manifests set; None where it is Kubernetes' 30 s.
        routing_label: Label of a pod by which the router finds it: without it, it gets no new request and goes on with
            those it has. None where nothing from outside takes a pod out of routing.
        explanation: What happens to requests in flight.
    """

    kv_lease_s: Annotated[float, Field(gt=0)] | None = None
    grace_s: Annotated[float, Field(gt=0)] | None = None
    routing_label: Text | None = None
    explanation: Text


class LimitRule(StrEnum):
    """What a limit is about."""

    MIN_REPLICAS = "min-replicas"
    MAX_REPLICAS = "max-replicas"
    SAME_GPUS = "same-gpus-per-replica"


class LimitModel(Strict):
    """A bound that the stack sets.

    Attributes:
        rule: What it is about.
        role: The pool; None where it is about both.
        value: The bound in replicas; None where the rule takes none.
        firm: Whether the stack breaks beyond it, as opposed to what its makers have tested.
        why: Why it is there.
    """

    rule: LimitRule
    role: Role | None = None
    value: Annotated[int, Field(ge=0)] | None = None
    firm: bool = True
    why: Text

    @model_validator(mode="after")
    def _fields_fit_the_rule(self) -> Self:
        needs_both = self.rule is not LimitRule.SAME_GPUS
        if (self.role is not None) != needs_both or (self.value is not None) != needs_both:
            raise ValueError(f"{self.rule} takes {'role and value' if needs_both else 'neither role nor value'}")
        return self


class FactsModel(Strict):
    """All of it.

    Attributes:
        targets: Target specs that hold the replica counts, usual one first.
        switch: The disaggregation switch.
        drain: What ending a replica takes.
        limits: Bounds that the stack sets, beside those of the target specs.
        unverified: What was taken from documents or derived, and not seen in source code or on a live system.
    """

    targets: Annotated[tuple[Text, ...], Field(min_length=1)]
    switch: SwitchModel
    drain: DrainModel
    limits: tuple[LimitModel, ...] = ()
    unverified: tuple[Text, ...] = ()
