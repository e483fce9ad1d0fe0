"""What a stack file says beside its signals: what is scaled, how the switch works, what draining and rights need."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from autoscaler.core.policy import Role
from autoscaler.stacks.base import Strict, Text

Verb = Annotated[str, StringConstraints(pattern=r"^(get|list|watch|create|update|patch|delete)$")]


class SwitchWay(StrEnum):
    """How disaggregation is turned on and off on a stack."""

    NONE = "none"
    """Not at all while the service runs."""
    PREFILL_ZERO = "prefill-zero"
    """Without prefill replicas the router serves prompts on decode."""
    THRESHOLD = "threshold"
    """A prompt length, in a field that takes effect while running."""
    PROFILE = "profile"
    """A binding of the gateway to one of two profiles, in a field that takes effect while running."""
    ROUTER_RESTART = "router-restart"
    """The router's configuration and a restart of it."""


class SwitchModel(Strict):
    """The disaggregation switch.

    Attributes:
        way: How it is moved.
        where: Object and field; empty for none.
        on: The value that disaggregates, in words.
        off: The value that does not.
        explanation: What to know before moving it.
    """

    way: SwitchWay
    where: str = ""
    on: str = ""
    off: str = ""
    explanation: Text

    @model_validator(mode="after")
    def _a_switch_has_two_positions(self) -> Self:
        if (self.way is SwitchWay.NONE) == bool(self.where and self.on and self.off):
            raise ValueError("where, on and off are needed for every way but none, and have no place there")
        return self


class DrainModel(Strict):
    """What a replica needs to end without loss.

    Attributes:
        kv_lease_s: How long prefill may have to keep KV that decode has not fetched; None where nothing expires.
        grace_s: Termination grace period that the stack's own manifests set; None where it is Kubernetes' 30 s.
        explanation: What happens to requests in flight.
    """

    kv_lease_s: Annotated[float, Field(gt=0)] | None = None
    grace_s: Annotated[float, Field(gt=0)] | None = None
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


class RightModel(Strict):
    """Verbs that the daemon's account needs.

    Attributes:
        group: API group; empty for the core group.
        resource: Plural, with a subresource after a slash.
        verbs: Of the API server.
        why: What for.
    """

    group: str = ""
    resource: Text
    verbs: Annotated[tuple[Verb, ...], Field(min_length=1)]
    why: Text


class FactsModel(Strict):
    """All of it.

    Attributes:
        targets: Target specs that hold the replica counts, usual one first.
        switch: The disaggregation switch.
        drain: What ending a replica takes.
        limits: Bounds that the stack sets, beside those of the target specs.
        rights: Verbs needed to move the switch; those for scaling follow from the target specs.
        unverified: What was taken from documents or derived, and not seen in source code or on a live system.
    """

    targets: tuple[Text, ...]
    switch: SwitchModel
    drain: DrainModel
    limits: tuple[LimitModel, ...] = ()
    rights: tuple[RightModel, ...] = ()
    unverified: tuple[Text, ...] = ()
