"""How long to leave a failing server alone."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """A delay that doubles with every failure in a row and ends with the first success.

    Attributes:
        first_s: Delay after the first failure.
        most_s: Longest delay, and so the longest that a recovery goes unnoticed.
        failures: Failures in a row.
    """

    first_s: float = 5.0
    most_s: float = 60.0
    failures: int = 0
    _next_s: float = -math.inf

    def failed(self, at_s: float) -> None:
        """Note a failure at an instant of a monotonic clock."""
        delay_s = min(self.first_s * 2.0 ** min(self.failures, 30), self.most_s)
        self.failures += 1
        self._next_s = at_s + delay_s

    def succeeded(self) -> None:
        """Note a success."""
        self.failures = 0
        self._next_s = -math.inf

    def wait_s(self, at_s: float) -> float:
        """Seconds until the next attempt is due; 0 when it is."""
        return max(self._next_s - at_s, 0.0)
