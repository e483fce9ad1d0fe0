"""Things that go wrong at a given time."""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.core.policy import Role


@dataclass(frozen=True, slots=True)
class ReplicaDeath:
    """The longest-serving replicas of a pool die with everything they hold; new ones start in their place."""

    role: Role
    at_s: float
    replicas: int = 1


@dataclass(frozen=True, slots=True)
class NoRoom:
    """New replicas of a role find no node for a while."""

    role: Role
    at_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class MonitoringOutage:
    """No scrape succeeds for a while; signals grow old."""

    at_s: float
    until_s: float


Fault = ReplicaDeath | NoRoom | MonitoringOutage
