"""A fleet of constant size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.core.policy import Role
from autoscaler.core.snapshot import Snapshot
from autoscaler.simulation.run import Controller, Memory


@dataclass(frozen=True, slots=True)
class StaticSettings:
    """Replicas per role."""

    prefill: int = 1
    decode: int = 1


def static(settings: StaticSettings) -> Controller:
    """The same replicas at all times."""
    replicas = {Role.PREFILL: settings.prefill, Role.DECODE: settings.decode}

    def control(snapshot: Snapshot, memory: Memory, now_s: float) -> Mapping[Role, int]:
        del snapshot, memory, now_s
        return replicas

    return control
