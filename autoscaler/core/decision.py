"""A decision is data: every rendering (table, log line, Event, metric, webhook, replay) is made from this record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from autoscaler.core.attribution import Attribution
from autoscaler.core.policy import Mode, Role
from autoscaler.core.signals import Signals


class StageName(StrEnum):
    """The steps between a proposal and the final number, in the order in which they run."""

    PROPOSAL = "proposal"
    SIGNALS = "signals"
    TOLERANCE = "tolerance"
    WINDOW = "window"
    RATE = "rate"
    SWITCH = "switch"
    BOUNDS = "bounds"
    CAPACITY = "capacity"
    OPERATOR = "operator"
    RATIO = "ratio"
    BUDGET = "budget"


class Reason(StrEnum):
    """Why a stage changed or kept a number. Closed: metrics export it one-hot and the documents list it."""

    # proposals: which measurement spoke
    PREFILL_DEMAND = "prefill_demand"
    PREFILL_FORECAST = "prefill_forecast"
    DECODE_DEMAND = "decode_demand"
    DECODE_FORECAST = "decode_forecast"
    AGGREGATED_DEMAND = "aggregated_demand"
    AGGREGATED_FORECAST = "aggregated_forecast"
    PREFILL_BACKLOG = "prefill_backlog"
    PREFILL_THROUGHPUT = "prefill_throughput"
    TTFT_OVER_TARGET = "ttft_over_target"
    KV_UTILIZATION = "kv_utilization"
    DECODE_WAITING = "decode_waiting"
    TPOT_OVER_TARGET = "tpot_over_target"
    FIRST_REPLICA = "first_replica"
    KV_FULL = "kv_full"
    SHRINK_RESERVE = "shrink_reserve"
    IDLE = "idle"
    STEADY = "steady"
    # signals
    SIGNALS_HEALTHY = "signals_healthy"
    SIGNALS_UNUSABLE = "signals_unusable"
    SHRINK_NEEDS_ALL_SIGNALS = "shrink_needs_all_signals"
    TRAFFIC_COLLAPSED = "traffic_collapsed"
    OTHER_POOL_SHORT = "other_pool_short"
    ROLLOUT_IN_PROGRESS = "rollout_in_progress"
    FALLBACK = "fallback"
    REPLICAS_UNKNOWN = "replicas_unknown"
    # guards
    WITHIN_TOLERANCE = "within_tolerance"
    OUTSIDE_TOLERANCE = "outside_tolerance"
    STABILIZED = "stabilized"
    WINDOW_PASSED = "window_passed"
    RATE_LIMITED = "rate_limited"
    RATE_ALLOWED = "rate_allowed"
    AT_MIN = "at_min"
    AT_MAX = "at_max"
    WITHIN_BOUNDS = "within_bounds"
    RATIO_HOLDS = "ratio_holds"
    RATIO_REPAIRED = "ratio_repaired"
    BUDGET_HOLDS = "budget_holds"
    BUDGET_LIMITED = "budget_limited"
    DELIVERABLE = "deliverable"
    UNSCHEDULABLE = "unschedulable"
    REPLICAS_FAILING = "replicas_failing"
    BACKING_OFF = "backing_off"
    NO_HOLD = "no_hold"
    PAUSED = "paused"
    GROW_ONLY = "grow_only"
    PINNED = "pinned"
    SWITCHING = "switching"
    NOT_SWITCHING = "not_switching"
    DISAGGREGATION_OFF = "disaggregation_off"


@dataclass(frozen=True, slots=True)
class Stage:
    """One step: the number that went in, the number that came out, and why.

    Attributes:
        stage: Which step.
        before: Replicas going in; for the proposal, the current number.
        after: Replicas coming out.
        reason: Why, from the closed list.
        detail: The same in words with the numbers put in.
        numbers: The numbers behind the reason, so that `after` can be recomputed.
    """

    stage: StageName
    before: int
    after: int
    reason: Reason
    detail: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a proposal rests on, beside the signals.

    Attributes:
        startup_time_s: From order to service, measured where pods have been seen starting, else configured.
        model_source: Where the engine's timing comes from, or why none is trusted.
        confidence_ratio: How sure that timing is.
        demand: Offered work now, in replicas; None where it cannot be told.
        supply_tokens_per_s: Tokens per second that one busy replica does inside the objectives.
        forecast: Demand expected one lead time ahead, in replicas.
        forecast_upper: Demand that should not be exceeded then.
        forecaster: Which forecaster spoke.
        horizon_s: The lead time.
        margin: Multiplier on demand that the error budget asks for.
    """

    startup_time_s: float
    model_source: str
    confidence_ratio: float
    demand: float | None = None
    supply_tokens_per_s: float | None = None
    forecast: float | None = None
    forecast_upper: float | None = None
    forecaster: str | None = None
    horizon_s: float | None = None
    margin: float | None = None


@dataclass(frozen=True, slots=True)
class RoleDecision:
    """The number for one pool and how it came about.

    Attributes:
        current: Replicas asked for when the decision was made.
        ready: Replicas that served then.
        desired: Replicas to have; the last stage's `after`.
        uncapped: What the role policy proposed before any guard.
        reason: The binding reason: of the last stage that changed the number, else of the proposal.
        stages: Every step in order; each starts where the one before ended.
        evidence: Demand, supply and outlook behind the proposal.
    """

    current: int
    ready: int
    desired: int
    uncapped: int
    reason: Reason
    stages: tuple[Stage, ...]
    evidence: Evidence | None = None

    @property
    def changed(self) -> bool:
        """Whether the pool should change."""
        return self.desired != self.current


class SwitchStep(StrEnum):
    """Where a change of the switch stands. Each is safe to restart in."""

    ON = "on"
    OFF = "off"
    GROWING_PREFILL = "growing_prefill"
    OPENING = "opening"
    OBSERVING = "observing"
    GROWING_DECODE = "growing_decode"
    CLOSING = "closing"
    DRAINING_PREFILL = "draining_prefill"
    MOVING_THRESHOLD = "moving_threshold"

    @property
    def decode_does_prefill(self) -> bool:
        """Whether decode is sized for both phases: it serves new prompts alone, or may have to at any moment."""
        return self not in {SwitchStep.ON, SwitchStep.GROWING_DECODE, SwitchStep.MOVING_THRESHOLD}


@dataclass(frozen=True, slots=True)
class SwitchDecision:
    """Where the disaggregation switch should be.

    Attributes:
        disaggregate: Position to set now; None leaves it.
        step: Where the change stands.
        detail: Why, with the numbers.
        apart_gpus: GPUs that the disaggregated arrangement needs; None where unknown.
        together_gpus: GPUs that the aggregated one needs, or the best threshold; None where unknown.
        threshold_tokens: Prompts at least this long are to be prefilled apart; None where no threshold is chosen.
    """

    disaggregate: bool | None
    step: SwitchStep
    detail: str
    apart_gpus: float | None = None
    together_gpus: float | None = None
    threshold_tokens: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The final replica counts of one service, with everything that led to them.

    Attributes:
        service: Name of the service.
        at_s: Unix time of the snapshot that was decided on.
        mode: How far the decision may go.
        roles: One entry per pool that could be decided.
        signals: The signals that were decided on.
        attribution: Where TTFT goes and what holds requests up.
        switch: Where the disaggregation switch should be; None where the policy leaves it alone.
        undecided: Roles whose replica state is unknown, with the reason; nothing is written for them.
    """

    service: str
    at_s: float
    mode: Mode
    roles: Mapping[Role, RoleDecision]
    signals: Signals
    undecided: Mapping[Role, str] = field(default_factory=dict)
    attribution: Attribution | None = None
    switch: SwitchDecision | None = None

    @property
    def changed(self) -> bool:
        """Whether any pool should change."""
        return any(role.changed for role in self.roles.values())
