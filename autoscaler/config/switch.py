"""The disaggregation switch: who decides, how patiently, and where the stack keeps it."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from autoscaler.config.base import Strict
from autoscaler.config.refusal import Conflicts
from autoscaler.config.target import SpecName
from autoscaler.config.values import Duration, Matching, Name, Namespace, Ratio, Text
from autoscaler.core import policy as plain

_ConfigKey = Annotated[
    str, Matching(r"[-._a-zA-Z0-9]+", "a key of a ConfigMap: letters, digits, dashes, dots, underscores", 253)
]


_USUAL = plain.SwitchPolicy()


def _yaml_word(value: object) -> object:
    """YAML reads a bare `on` as true and a bare `off` as false."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


class SwitchTarget(Strict):
    """Where the stack keeps its switch; which of these keys are needed depends on the switch."""

    spec: SpecName | None = Field(
        default=None,
        description=(
            "Which of the stack's switches to move, by name, such as prefill-zero or llm-d-epp: `stacks show` lists "
            "them. Default: the stack's usual one."
        ),
    )
    name: Name | None = Field(
        default=None,
        description="Name of the object or ConfigMap that holds the switch. Default: that of prefill's target.",
    )
    namespace: Namespace | None = Field(
        default=None, description="Namespace of it, and of the router. Default: the namespace of prefill's target."
    )
    key: _ConfigKey | None = Field(
        default=None, description="Key of the ConfigMap's data that holds the router's configuration. Default: none."
    )
    entry: Text | None = Field(
        default=None, description="What a list in it calls the service. Default: spec.model, which most lists use."
    )
    router: Name | None = Field(
        default=None, description="Deployment that reads the configuration at its start only. Default: none."
    )
    allow_router_restart: bool = Field(
        default=False,
        alias="allowRouterRestart",
        description=(
            "Whether that Deployment may be restarted, with a gap in routing unless it has several replicas. Default "
            "false: a switch that needs it is refused, with these words."
        ),
    )
    on_name: Text | None = Field(
        default=None, alias="onName", description="Name of the mode that disaggregates, where it is yours to give."
    )
    off_name: Text | None = Field(
        default=None, alias="offName", description="Name of the mode that does not, where it is yours to give."
    )
    on_tokens: Annotated[float, Field(ge=0, le=10_000_000)] | None = Field(
        default=None,
        alias="onTokens",
        description=(
            "Prompts of at least so many tokens are prefilled apart while the switch is on; 0 is all of them, whatever "
            "number the stack writes for that. Default: the stack's usual threshold, 0 for most."
        ),
    )


TokenCount = Annotated[float, Field(ge=0, le=10_000_000)]


class Switch(Strict):
    """Whether prefill and decode are served apart."""

    disaggregation: Annotated[plain.Disaggregation, Field(strict=False), BeforeValidator(_yaml_word)] = Field(
        default=plain.Disaggregation.AUTO,
        description=(
            'Who decides: auto compares the GPUs that both arrangements need for the objectives; "on" and "off" are '
            "your word; threshold picks the prompt length from which prefill is apart, where the stack has one. "
            "Default auto."
        ),
    )
    dead_zone_ratio: Annotated[float, Ratio("15%", zero=True)] = Field(
        default=_USUAL.dead_zone_ratio,
        alias="deadZone",
        description=(
            "Advantage of the other arrangement that is not worth a change. Default 15%: the comparison is right to "
            "about 12% of measured tables."
        ),
    )
    sustain_s: Annotated[float, Duration(1, 86_400, "30m")] = Field(
        default=_USUAL.sustain_s,
        alias="sustain",
        description="How long the other arrangement has to stay better, until its saving pays. Default 30m.",
    )
    dwell_s: Annotated[float, Duration(1, 604_800, "1h")] = Field(
        default=_USUAL.dwell_s,
        alias="dwell",
        description="Shortest time between two changes. Default 1h: each holds replicas twice for a while.",
    )
    grow_s: Annotated[float, Duration(10, 86_400, "30m")] = Field(
        default=_USUAL.grow_s,
        alias="grow",
        description="How long the replicas that a change needs may take to come, before it is given up. Default 30m.",
    )
    confirm_s: Annotated[float, Duration(5, 3_600, "2m")] = Field(
        default=_USUAL.confirm_s,
        alias="confirm",
        description="How long the stack may take to show that the switch has moved. Default 2m, a router's restart.",
    )
    observe_s: Annotated[float, Duration(1, 86_400, "5m")] = Field(
        default=_USUAL.observe_s,
        alias="observe",
        description="How long an opened switch is watched before decode gives replicas back. Default 5m.",
    )
    lease_s: Annotated[float, Duration(0, 3_600, "60s")] = Field(
        default=_USUAL.lease_s,
        alias="lease",
        description=(
            "How long decode may still fetch KV from prefill after the switch has closed. Default 60s: twice the 30s "
            "that most connectors keep it."
        ),
    )
    prefill_off_replicas: Annotated[int, Field(ge=0, le=10_000)] = Field(
        default=_USUAL.prefill_off_replicas,
        alias="prefillOff",
        description=(
            "Prefill replicas that remain while disaggregation is off, whatever the pool's min. Default 0: they are "
            "the saving. Stacks that do not bear an empty prefill pool need more."
        ),
    )
    thresholds_tokens: Annotated[tuple[TokenCount, ...], Field(strict=False, min_length=1, max_length=32)] = Field(
        default=_USUAL.thresholds_tokens,
        alias="thresholds",
        description=(
            "Prompt lengths in tokens that disaggregation: threshold chooses from; 0 sends all prompts to prefill. "
            "Default: 0, and powers of two from 256 to 16384."
        ),
    )
    target: SwitchTarget = Field(
        default=SwitchTarget(), description="Where the stack keeps its switch. Default: see its parts."
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        conflicts = Conflicts()
        if self.disaggregation is plain.Disaggregation.AUTO and self.dwell_s < self.confirm_s:
            message = "is shorter than confirm: a change that is given up would be tried again at once"
            conflicts.add("dwell", message=message, value=f"{self.dwell_s:g}s", allowed=f"{self.confirm_s:g}s or more")
        if "thresholds_tokens" in self.model_fields_set and self.disaggregation is not plain.Disaggregation.THRESHOLD:
            conflicts.add("thresholds", message="has no effect: disaggregation is not threshold")
        conflicts.close()
        return self

    def core(self) -> plain.SwitchPolicy:
        """The same as plain data."""
        return plain.SwitchPolicy(
            disaggregation=self.disaggregation,
            dead_zone_ratio=self.dead_zone_ratio,
            sustain_s=self.sustain_s,
            dwell_s=self.dwell_s,
            grow_s=self.grow_s,
            confirm_s=self.confirm_s,
            observe_s=self.observe_s,
            lease_s=self.lease_s,
            prefill_off_replicas=self.prefill_off_replicas,
            thresholds_tokens=self.thresholds_tokens,
        )
