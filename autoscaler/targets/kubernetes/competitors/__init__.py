"""Who else sets the counts and the switch that we set: found before a write, and looked for while running."""

from __future__ import annotations

from autoscaler.targets.kubernetes.competitors.find import find_competitors
from autoscaler.targets.kubernetes.competitors.report import Competition, Conflict
from autoscaler.targets.kubernetes.competitors.seen import Memory
from autoscaler.targets.kubernetes.competitors.switches import find_switch_competitors

__all__ = ["Competition", "Conflict", "Memory", "find_competitors", "find_switch_competitors"]
