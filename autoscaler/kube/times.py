"""Times as Kubernetes' objects have them."""

from __future__ import annotations

from datetime import UTC, datetime


def time_text(at_s: float) -> str:
    """Unix seconds as a Kubernetes Time, in whole seconds."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_time_text(at_s: float) -> str:
    """Unix seconds as a Kubernetes MicroTime, which is refused without its six decimals."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
