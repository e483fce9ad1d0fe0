"""What one tick of one service came to: the decision, what became of the writes, and what went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from autoscaler.core.decision import Decision, SwitchStep
from autoscaler.core.policy import Role
from autoscaler.core.snapshot import PoolState
from autoscaler.report.record import decision_id
from autoscaler.targets.base import WriteResult
from autoscaler.targets.switch import SwitchReading


class Dependency(StrEnum):
    """What the daemon depends on; exported as the label of the error counter."""

    SIGNALS = "signals"
    REPLICAS = "replicas"
    WRITE = "write"
    STATE = "state"
    POLICY = "policy"
    LEASE = "lease"
    EVENTS = "events"
    STATUS = "status"
    WEBHOOK = "webhook"
    BUDGET = "budget"
    INTERNAL = "internal"


TIMED = (Dependency.SIGNALS, Dependency.REPLICAS, Dependency.STATE, Dependency.WRITE)
"""Those that a tick waits for."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a tick.

    Attributes:
        name: What was done.
        dependency: What was waited for; None for our own work.
        began_s: Seconds after the tick began.
        took_s: How long it took.
    """

    name: str
    dependency: Dependency | None
    began_s: float
    took_s: float


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is wrong during a tick.

    Attributes:
        dependency: What failed.
        subject: The role or file it concerns, or "service".
        message: What, why, and what to do next.
        error: The exception, where it was one that nobody foresaw.
    """

    dependency: Dependency
    subject: str
    message: str
    error: Exception | None = None

    @property
    def key(self) -> tuple[Dependency, str]:
        """What makes two troubles the same one, whatever numbers their messages carry."""
        return self.dependency, self.subject


@dataclass(frozen=True, slots=True)
class Tick:
    """The record of one tick.

    Attributes:
        service: Name of the service.
        at_s: Unix time of the tick.
        decision: What was decided; None when the tick failed before that.
        writes: Outcome per role that was written.
        troubles: Everything that is wrong.
        leads: Whether this daemon was the one to write for the service.
        blockers: Per role why a write would be refused now.
        pools: Replica states that were decided on.
        phases: Where the time went, in order.
        switch: Where the stack's disaggregation switch stands; None where the policy leaves it alone.
        switched: Outcome of moving it; None where it was not to be moved.
        stood: Where the switch stood before this tick; None where that is not known.
    """

    service: str
    at_s: float
    decision: Decision | None
    writes: Mapping[Role, WriteResult] = field(default_factory=dict)
    troubles: tuple[Trouble, ...] = ()
    leads: bool = True
    blockers: Mapping[Role, tuple[str, ...]] = field(default_factory=dict)
    pools: Mapping[Role, PoolState] = field(default_factory=dict)
    phases: tuple[Phase, ...] = ()
    switch: SwitchReading | None = None
    switched: WriteResult | None = None
    stood: SwitchStep | None = None

    @property
    def decision_id(self) -> str:
        """What its decision is called in log lines, Events, traces and records."""
        return decision_id(self.service, self.at_s)
