"""What a report says of one service: what was used, what was needed, what the policy would have done, how sure that is.

Plain data; the table, markdown, JSON and HTML are renderings of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autoscaler.core.policy import Objectives, Role
from autoscaler.report.charts.series import Floats
from autoscaler.report.record import plain, rfc3339

DAYS_A_MONTH = 30.0


@dataclass(frozen=True, slots=True)
class Price:
    """What a GPU-hour costs; None where the user did not say."""

    per_gpu_hour: float | None = None
    currency: str = "USD"

    def of(self, gpu_hours: float | None) -> float | None:
        """Cost of some GPU-hours."""
        return None if gpu_hours is None or self.per_gpu_hour is None else gpu_hours * self.per_gpu_hour


@dataclass(frozen=True, slots=True)
class Used:
    """What the service held.

    Attributes:
        gpu_hours: Replicas asked for, times GPUs, over the whole time; gaps count as the mean. None where unknown.
        coverage_ratio: Share of the time for which replica counts are known.
        mean_replicas: Per role.
        peak_replicas: Per role.
    """

    gpu_hours: float | None
    coverage_ratio: float
    mean_replicas: Mapping[Role, float] = field(default_factory=dict)
    peak_replicas: Mapping[Role, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Risk:
    """When promises were broken, as users saw it.

    Attributes:
        hours: Time in which fewer requests than promised met an objective, or its percentile was above target.
        known_hours: Time for which that can be told.
        ttft_hours: Of it, by TTFT.
        tpot_hours: Of it, by TPOT.
    """

    hours: float
    known_hours: float
    ttft_hours: float
    tpot_hours: float


@dataclass(frozen=True, slots=True)
class Played:
    """What a policy would have done with the reconstructed load.

    Attributes:
        name: Which policy.
        attainment_ratio: Share of requests inside both objectives.
        gpu_hours: Cost, starts and draining included.
        actions: Changes of replica counts.
        risk_hours: Time in minutes that attained less than promised.
        worst_5min_ratio: Attainment of the worst five minutes.
    """

    name: str
    attainment_ratio: float
    gpu_hours: float
    actions: int
    risk_hours: float
    worst_5min_ratio: float


@dataclass(frozen=True, slots=True)
class Ground:
    """One reason to trust the report, or not to: what, how good it is from 0 to 1, and why in words."""

    what: str
    ratio: float
    words: str


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """What charts are drawn from; arrays have shape (bins,), NaN where unknown.

    Attributes:
        at_s: Unix time at which each bin begins.
        bin_s: Length of a bin.
        used_gpus: GPUs asked for.
        needed_gpus: GPUs of a schedule that knows the load; empty without a replay.
        policy_gpus: GPUs that the recommended policy would have held; empty without a replay.
        requests_per_s: Requests that finished.
        ttft_s: Time to first token at the objective's percentile.
        tpot_s: Time per output token likewise.
        at_risk: 1 where a promise was broken, 0 where not.
    """

    at_s: Floats
    bin_s: float
    used_gpus: Floats
    needed_gpus: Floats
    policy_gpus: Floats
    requests_per_s: Floats
    ttft_s: Floats
    tpot_s: Floats
    at_risk: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Assessment:
    """Everything about one service.

    Attributes:
        service: Its name.
        objectives: What it promises.
        start_s: Unix time at which the time looked at begins.
        end_s: Unix time at which it ends.
        price: What a GPU-hour costs.
        used: What it held.
        risk: When promises were broken.
        grounds: How sure all this is, by reason.
        remarks: What was measured, what was assumed, what is lost.
        curves: For charts.
        needed_gpu_hours: Estimated cost of a schedule that knows the load beforehand; None without a replay.
        peak_gpu_hours: Cost of a constant fleet that is enough for the peak; None without a replay.
        played: What policies would have done, the recommended one first; empty without a replay.
        recommended: The recommended policy as YAML; empty without a replay.
    """

    service: str
    objectives: Objectives
    start_s: float
    end_s: float
    price: Price
    used: Used
    risk: Risk
    grounds: tuple[Ground, ...]
    remarks: tuple[str, ...]
    curves: Curves
    needed_gpu_hours: float | None = None
    peak_gpu_hours: float | None = None
    played: tuple[Played, ...] = ()
    recommended: str = ""

    @property
    def hours(self) -> float:
        """Length of the time looked at."""
        return (self.end_s - self.start_s) / 3600.0

    @property
    def saved_gpu_hours(self) -> float | None:
        """GPU-hours that the recommended policy would have saved; negative where it would have cost more."""
        if not self.played or self.used.gpu_hours is None:
            return None
        return self.used.gpu_hours - self.played[0].gpu_hours

    @property
    def saved_per_month(self) -> float | None:
        """Money saved in thirty days like these."""
        saved = self.price.of(self.saved_gpu_hours)
        return None if saved is None else saved * DAYS_A_MONTH * 24.0 / self.hours

    @property
    def confidence_ratio(self) -> float:
        """How sure the report is: no surer than its weakest ground."""
        return min((ground.ratio for ground in self.grounds), default=0.0)

    @property
    def confidence(self) -> str:
        """The same in a word."""
        return next(
            word for word, least in (("high", 0.8), ("medium", 0.5), ("low", 0.0)) if self.confidence_ratio >= least
        )


def record_of(assessment: Assessment) -> dict[str, Any]:
    """The stable plain form: finite numbers, strings, lists and objects; without the curves."""
    return {
        "service": assessment.service,
        "start": rfc3339(assessment.start_s),
        "end": rfc3339(assessment.end_s),
        "hours": assessment.hours,
        "price": plain(assessment.price),
        "used": {**plain(assessment.used), "cost": assessment.price.of(assessment.used.gpu_hours)},
        "risk": plain(assessment.risk),
        "needed_gpu_hours": assessment.needed_gpu_hours,
        "static_peak_gpu_hours": assessment.peak_gpu_hours,
        "policies": [{**plain(one), "cost": assessment.price.of(one.gpu_hours)} for one in assessment.played],
        "saved_gpu_hours": assessment.saved_gpu_hours,
        "saved_cost": assessment.price.of(assessment.saved_gpu_hours),
        "saved_cost_per_month": assessment.saved_per_month,
        "recommended_policy": assessment.recommended or None,
        "confidence": {
            "level": assessment.confidence,
            "ratio": assessment.confidence_ratio,
            "grounds": [plain(ground) for ground in assessment.grounds],
        },
        "remarks": list(assessment.remarks),
    }
