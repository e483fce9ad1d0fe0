"""How long prompts are: a lognormal through the median and the 90th percentile, as prompt lengths of real traffic are.

The mean tells better how long the longest are, so the mean square rests on it too. Moments above a threshold are
closed for the lognormal (the partial expectations of the Black-Scholes formula), which is all that a choice of one
needs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from autoscaler.core.signals import Scope
from autoscaler.core.snapshot import Snapshot

# Standard normal quantile of 0.9, and the share of prompts that is longer.
_Z90, _BEYOND_90 = 1.2815515655446004, 0.1
_LEAST_SPREAD, _MOST_SPREAD = 1e-3, 6.0
# Quantiles of a handful of requests may lie decades apart; real traffic has at most this.
_MOST_SQUARES = 11.0


@dataclass(frozen=True, slots=True)
class PromptLengths:
    """Lengths of prompts in tokens: median, and standard deviation of the logarithm."""

    median_tokens: float
    spread: float

    def share_above(self, tokens: float) -> float:
        """Share of prompts that are at least so long."""
        return self._above(tokens, 0)

    def tokens_above(self, tokens: float) -> float:
        """Mean over all prompts of the length of those that are at least so long, counting the others as zero."""
        return self._moment(1) * self._above(tokens, 1)

    def squares_ratio(self, mean_tokens: float) -> float:
        """Mean squared length over the square of the mean that was measured, which tells how long the longest are.

        The lognormal up to the 90th percentile, and beyond it an exponential tail that brings the mean.
        """
        # In medians, so that no square is too large for a float.
        high = math.exp(_Z90 * self.spread)
        below, squares = (
            math.exp(0.5 * (order * self.spread) ** 2) * 0.5 * math.erfc((order * self.spread - _Z90) / math.sqrt(2.0))
            for order in (1, 2)
        )
        mean = max(mean_tokens / self.median_tokens, below + _BEYOND_90 * high)
        high, beyond = high / mean, (1.0 - below / mean) / _BEYOND_90 - high / mean
        tail = _BEYOND_90 * (high**2 + 2.0 * high * beyond + 2.0 * beyond**2)
        return min(max(squares / mean / mean + tail, 1.0), _MOST_SQUARES)

    def squares_above(self, tokens: float) -> float:
        """As `tokens_above`, of the squared length."""
        return self._moment(2) * self._above(tokens, 2)

    def _moment(self, order: int) -> float:
        return math.exp(order * math.log(self.median_tokens) + 0.5 * (order * self.spread) ** 2)

    def _above(self, tokens: float, order: int) -> float:
        if tokens <= 0:
            return 1.0
        z = (math.log(tokens / self.median_tokens) - order * self.spread**2) / self.spread
        return 0.5 * math.erfc(z / math.sqrt(2.0))


def lengths_now(snapshot: Snapshot) -> PromptLengths | None:
    """The lengths that are seen, or None where the stack cannot tell."""
    middle = snapshot.usable(Scope.SERVICE, "input_tokens_p50")
    high = snapshot.usable(Scope.SERVICE, "input_tokens_p90")
    if not middle or high is None or high < middle:
        return None
    return PromptLengths(middle, min(max(math.log(high / middle) / _Z90, _LEAST_SPREAD), _MOST_SPREAD))
