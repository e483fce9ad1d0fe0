"""What the user wants, as plain data: the part of a scaling policy that deciding needs.

`config` reads and checks the document that a user writes and builds these; connections and credentials stay there.
Names follow HPA `behavior` where the semantics are HPA's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from autoscaler.core.capacity import EngineModel

if TYPE_CHECKING:  # a proposal is made for a policy
    from autoscaler.core.proposal import Proposal, RoleContext


class Role(StrEnum):
    """A phase of serving that has a pool of its own."""

    PREFILL = "prefill"
    DECODE = "decode"
    AGGREGATED = "aggregated"


class Mode(StrEnum):
    """How far a decision may go."""

    RECOMMEND = "recommend"
    SERVER_DRY_RUN = "server-dry-run"
    ENFORCE = "enforce"


class RuleKind(StrEnum):
    """Unit of a rate rule."""

    PODS = "Pods"
    PERCENT = "Percent"


class SelectPolicy(StrEnum):
    """Which of several rate rules binds: the one with the largest change, the smallest, or no change at all."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


@dataclass(frozen=True, slots=True)
class LatencyObjective:
    """A latency target: `percentile_ratio` (0.95 for p95) of requests stay below `target_s`."""

    percentile_ratio: float
    target_s: float


@dataclass(frozen=True, slots=True)
class Objectives:
    """What the service promises. `attainment_ratio` of requests meet both latency targets."""

    ttft: LatencyObjective
    tpot: LatencyObjective
    attainment_ratio: float


@dataclass(frozen=True, slots=True)
class RateRule:
    """At most `value` pods, or per cent of the pool, changed within `period_s`."""

    kind: RuleKind
    value: int
    period_s: float


@dataclass(frozen=True, slots=True)
class DirectionBehavior:
    """How fast a pool may move in one direction (HPA `behavior.scaleUp` or `scaleDown`).

    Attributes:
        window_s: Stabilisation: growth takes the smallest, shrink the largest number proposed within it. None for one
            that follows what is known: of a shrink the startup time, ten minutes at least, since an idle replica is
            worth keeping for about that long; of growth 40 s for decode and for a pool that has just shrunk, else none.
        rules: Rate rules; empty means no rate limit.
        select: Which rule binds.
        tolerance_ratio: Relative change of load that is not worth an action.
    """

    window_s: float | None
    rules: tuple[RateRule, ...]
    select: SelectPolicy = SelectPolicy.MAX
    tolerance_ratio: float = 0.1


@dataclass(frozen=True, slots=True)
class Behavior:
    """Both directions of a pool's movement."""

    up: DirectionBehavior
    down: DirectionBehavior


class HoldKind(StrEnum):
    """What an operator asks of a pool for a while."""

    PAUSE = "pause"
    GROW_ONLY = "grow-only"
    PIN = "pin"


@dataclass(frozen=True, slots=True)
class Hold:
    """An operator's word over the autoscaler's: `until_s` is Unix time, None is until it is taken back."""

    kind: HoldKind
    until_s: float | None = None
    replicas: int = 0


@dataclass(frozen=True, slots=True)
class RatioBand:
    """Limits of prefill replicas per decode replica."""

    min_ratio: float
    max_ratio: float

    def holds(self, prefill: int, decode: int) -> bool:
        """Whether a pair of counts lies inside the band; nothing at all does."""
        if decode == 0:
            return prefill == 0
        return self.min_ratio - 1e-9 <= prefill / decode <= self.max_ratio + 1e-9


@dataclass(frozen=True, slots=True)
class RolePolicy:
    """One pool: its bounds, its cost, its speed.

    Attributes:
        min_replicas: Never fewer; at least 1 for decode.
        max_replicas: Never more.
        gpus_per_replica: Accelerators that one replica holds; the unit of budgets and savings.
        startup_time_s: From a replica's creation to its first served request, until measured ones replace it.
        behavior: Tolerance, windows and rates.
        fallback_replicas: Where to go when signals have been unusable for `ServicePolicy.fallback_after_s`; None holds.
        engine: Timing that one replica is believed to have; None learns it from the live signals alone.
        engine_source: Where that timing comes from, in words.
        capacity_deadline_s: How long replicas may be unschedulable or failing before the number steps back.
        hold: What the operator asks for, if anything.
        proposal: Name of the role policy that proposes; "auto" is ours.
        settings: That role policy's settings, already validated by its model.
        propose: That role policy itself; None is ours. Follows from `proposal` and `settings`.
        schedule: Name of the schedule that the bounds come from; empty for the pool's own.
    """

    min_replicas: int
    max_replicas: int
    gpus_per_replica: float
    startup_time_s: float
    behavior: Behavior
    fallback_replicas: int | None = None
    engine: EngineModel | None = None
    engine_source: str = "prior"
    capacity_deadline_s: float = 900.0
    hold: Hold | None = None
    proposal: str = "auto"
    settings: Mapping[str, object] = field(default_factory=dict)
    propose: Callable[[RoleContext], Proposal] | None = field(default=None, compare=False)
    schedule: str = ""


class Disaggregation(StrEnum):
    """Who decides whether the phases are served apart."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"
    THRESHOLD = "threshold"


@dataclass(frozen=True, slots=True)
class SwitchPolicy:
    """How the disaggregation switch is used.

    Attributes:
        disaggregation: Fixed, or decided by what each arrangement costs.
        dead_zone_ratio: Advantage of the other arrangement that is not worth a change.
        sustain_s: How long the other arrangement must stay better: the time in which its saving pays for the change.
        dwell_s: Shortest time between two changes.
        grow_s: How long the replicas that a change needs may take to come.
        confirm_s: How long the stack may take to show that the switch moved.
        observe_s: How long a newly opened switch is watched before decode gives replicas back.
        lease_s: How long decode may still fetch KV from prefill after the switch closed.
        prefill_off_replicas: Prefill replicas that remain while disaggregation is off.
        thresholds_tokens: Prompt lengths to choose from where `disaggregation` is `threshold`; 0 sends all apart.
    """

    disaggregation: Disaggregation = Disaggregation.AUTO
    dead_zone_ratio: float = 0.15
    sustain_s: float = 1800.0
    dwell_s: float = 3600.0
    grow_s: float = 1800.0
    confirm_s: float = 120.0
    observe_s: float = 300.0
    lease_s: float = 60.0
    prefill_off_replicas: int = 0
    thresholds_tokens: tuple[float, ...] = (0.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0)


@dataclass(frozen=True, slots=True)
class ServicePolicy:
    """Everything that `decide` needs to know of one service.

    Attributes:
        service: Name of the service, unique in the daemon.
        roles: One entry per pool.
        interval_s: Seconds between ticks.
        stale_after_s: A signal whose newest sample is older may not be used.
        fallback_after_s: How long signals may be unusable before `fallback_replicas` applies.
        ratio: Limits of prefill : decode; None leaves them free.
        budget_gpus: Most GPUs that all pools of the service may hold; None is unlimited.
        switch: How disaggregation is switched; None leaves the stack's switch alone.
        priority: Who is served first where services share a budget; higher first.
    """

    service: str
    mode: Mode
    objectives: Objectives
    roles: Mapping[Role, RolePolicy]
    interval_s: float = 15.0
    stale_after_s: float = 60.0
    fallback_after_s: float = 600.0
    ratio: RatioBand | None = None
    budget_gpus: float | None = None
    priority: int = 0
    switch: SwitchPolicy | None = None
