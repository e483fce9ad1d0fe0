"""The scaling policy as a strict model: read, checked, explained."""

from __future__ import annotations

from autoscaler.config.load import LoadedPolicy, load_paths
from autoscaler.config.model import ScalingPolicy
from autoscaler.config.problems import PolicyError, Problem, Severity
from autoscaler.config.store import PolicyStore, ReloadReport

__all__ = [
    "LoadedPolicy",
    "PolicyError",
    "PolicyStore",
    "Problem",
    "ReloadReport",
    "ScalingPolicy",
    "Severity",
    "load_paths",
]
