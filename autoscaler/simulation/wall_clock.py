"""What the clock on the wall shows while a load is played, for policies whose bounds follow it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from autoscaler.config import ScalingPolicy
from autoscaler.core.policy import ServicePolicy

MONDAY_S = datetime(2024, 1, 1, tzinfo=UTC).timestamp()
"""Where a load begins whose own date nobody knows: Monday, 00:00 UTC."""


@dataclass(frozen=True, slots=True)
class OnSchedule:
    """A policy under the bounds that its schedules set in the course of a load.

    Attributes:
        document: The policy with its schedules.
        begins_s: Unix time at which the load begins.
    """

    document: ScalingPolicy
    begins_s: float

    def __call__(self, policy: ServicePolicy, elapsed_s: float) -> ServicePolicy:
        """The policy, so many seconds after the load began."""
        return self.document.at(policy, self.begins_s + elapsed_s)
