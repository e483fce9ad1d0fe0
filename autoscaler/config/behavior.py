"""How fast a pool may move: the `behavior` of a HorizontalPodAutoscaler, with defaults for GPU replicas."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from autoscaler.config.base import Strict
from autoscaler.config.values import Duration, Ratio
from autoscaler.core import policy as plain

_Window = Annotated[float, Duration(0, 3_600, "300", whole_seconds=True)]
Tolerance = Annotated[float, Ratio("10%", zero=True, milli=True)]

_POLICIES = "Rate rules; selectPolicy says which of them binds."
_SELECT = (
    "Which rate rule binds: Max the one that allows the largest change, Min the smallest, Disabled forbids this "
    "direction. Default Max, as an HPA."
)
_TOLERANCE = "Relative change of the need that is not worth an action, a share such as 10% or 0.1. "
_TOLERANCE_UP = (
    f"{_TOLERANCE}Default 5%, half of an HPA's: steady traffic wobbles less, and a need that is missed by more costs "
    "a whole startup. Holds no growth while a latency is over its target, nor of prefill that unspent budget lets run "
    "90% full."
)
_TOLERANCE_DOWN = f"{_TOLERANCE}Default 10%, as an HPA: measured load wobbles by that much between two ticks."


class RateRule(Strict):
    """At most so many pods, or per cent of the pool, within a period."""

    type: Annotated[plain.RuleKind, Field(strict=False)] = Field(
        description="Unit of `value`: Pods, or Percent of the pool at the start of the period. Required."
    )
    value: int = Field(ge=1, le=1_000_000, description="Most pods, or per cent, of change in one period. Required.")
    period_s: Annotated[float, Duration(1, 1_800, "60", whole_seconds=True)] = Field(
        alias="periodSeconds", description="Length of the period in whole seconds (or a duration), 1 to 1800. Required."
    )

    def core(self) -> plain.RateRule:
        """The same as plain data."""
        return plain.RateRule(self.type, self.value, self.period_s)


def _rule(kind: plain.RuleKind, value: int, period_s: int) -> RateRule:
    return RateRule(type=kind, value=value, periodSeconds=period_s)


_UP_RULES = (_rule(plain.RuleKind.PERCENT, 100, 15), _rule(plain.RuleKind.PODS, 4, 15))
_DOWN_RULES = (_rule(plain.RuleKind.PERCENT, 25, 60), _rule(plain.RuleKind.PODS, 1, 60))


class _Direction(Strict):
    window_s: _Window | None
    policies: Annotated[tuple[RateRule, ...], Field(strict=False)]
    select: Annotated[plain.SelectPolicy, Field(strict=False)] = Field(
        default=plain.SelectPolicy.MAX, alias="selectPolicy", description=_SELECT
    )
    tolerance: Tolerance

    def core(self) -> plain.DirectionBehavior:
        """The same as plain data."""
        rules = tuple(rule.core() for rule in self.policies)
        return plain.DirectionBehavior(self.window_s, rules, self.select, self.tolerance)


class ScaleUp(_Direction):
    """How fast a pool grows."""

    window_s: _Window | None = Field(
        default=None,
        alias="stabilizationWindowSeconds",
        description=(
            "Whole seconds (or a duration), 0 to 3600: grow to the smallest number proposed within this time. Default: "
            "0 for prefill, as an HPA, since a new replica takes minutes to start and waiting adds to them; 40 for "
            "decode, whose gauges show moments that pass before one has started, and for a pool that has shrunk within "
            "ten minutes. An empty pool never waits."
        ),
    )
    policies: Annotated[tuple[RateRule, ...], Field(strict=False)] = Field(
        default=_UP_RULES,
        min_length=1,
        description=f"{_POLICIES} Default 100 % or 4 pods per 15 s, as an HPA: a burst is met within two ticks.",
    )
    tolerance: Tolerance = Field(default=0.05, description=_TOLERANCE_UP)


class ScaleDown(_Direction):
    """How fast a pool shrinks."""

    window_s: _Window | None = Field(
        default=None,
        alias="stabilizationWindowSeconds",
        description=(
            "Whole seconds (or a duration), 0 to 3600: shrink to the largest number proposed within this time. "
            "Default: the startup time, measured once there are measurements, because an idle replica is worth keeping "
            "for about as long as it takes to get it back; ten minutes at least, so that noise turns no pool round, "
            "and longer where a replica is a large part of the pool (n of them wait 1 + 1/(n-1)² times as long)."
        ),
    )
    policies: Annotated[tuple[RateRule, ...], Field(strict=False)] = Field(
        default=_DOWN_RULES,
        min_length=1,
        description=(
            f"{_POLICIES} Default 25 % or 1 pod per 60 s, slower than an HPA's 100 % per 15 s: a replica that is "
            "missed costs a whole startup, and requests need time to finish before the next one goes."
        ),
    )
    tolerance: Tolerance = Field(default=0.1, description=_TOLERANCE_DOWN)


class Behavior(Strict):
    """Both directions of a pool's movement; `behavior` of an HPA can be pasted here."""

    scale_up: ScaleUp = Field(
        default=ScaleUp(),
        alias="scaleUp",
        description="How fast the pool grows. Default: at once or on a need of 40 s, doubling per 15 s.",
    )
    scale_down: ScaleDown = Field(
        default=ScaleDown(),
        alias="scaleDown",
        description="How fast the pool shrinks. Default: after a startup time or ten minutes, by a quarter per minute.",
    )

    def core(self) -> plain.Behavior:
        """The same as plain data."""
        return plain.Behavior(self.scale_up.core(), self.scale_down.core())
