"""The scaling policy as a strict model: read, checked, explained."""

from __future__ import annotations

from autoscaler.config.load import LoadedPolicy, load_paths
from autoscaler.config.model import ScalingPolicy
from autoscaler.config.problems import PolicyError, Problem, Severity

__all__ = ["LoadedPolicy", "PolicyError", "Problem", "ScalingPolicy", "Severity", "load_paths"]
