"""What the command line says about the world around all policies."""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.targets.kubernetes.budget import RequestBudget


class AssemblyError(ValueError):
    """A policy cannot be put to work here; says what is missing and where to give it."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the command line says about the world around all policies.

    Attributes:
        prometheus_url: Server to ask in place of the one that a policy names.
        kubeconfig: Path of a kubeconfig; None for the usual places.
        context: Context in it; None for the current one.
        requests: How many requests about targets the API server may be sent; None for any number.
    """

    prometheus_url: str | None = None
    kubeconfig: str | None = None
    context: str | None = None
    requests: RequestBudget | None = None
