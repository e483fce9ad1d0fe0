"""What every source offers: signals of one service at one instant."""

from __future__ import annotations

from typing import Protocol

from autoscaler.core.signals import Signals


class Source(Protocol):
    """Reads all signals of one service."""

    def read(self, now_s: float) -> Signals:
        """Read every canonical signal that the stack knows.

        Never raises for a sick dependency: what could not be read is absent, with the reason.

        Args:
            now_s: Unix time of the observation.
        """
        ...

    def close(self) -> None:
        """Let go of connections and threads."""
        ...
