"""How long prompts are: a lognormal through the median and the 90th percentile, as prompt lengths of real traffic are.

Moments above a threshold are closed for it (the partial expectations of the Black-Scholes formula), which is all that
a choice of threshold needs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from autoscaler.core.signals import Scope
from autoscaler.core.snapshot import Snapshot

# Standard normal quantile of 0.9.
_Z90 = 1.2815515655446004
_LEAST_SPREAD = 1e-3
# Two quantiles of a handful of requests may lie decades apart; real traffic has at most this.
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

    @property
    def squares_ratio(self) -> float:
        """Mean squared length over the square of the mean length."""
        return math.exp(min(self.spread**2, math.log(_MOST_SQUARES)))

    def squares_above(self, tokens: float) -> float:
        """As `tokens_above`, of the squared length."""
        return self._moment(2) * self._above(tokens, 2)

    def _moment(self, order: int) -> float:
        return math.exp(order * math.log(self.median_tokens) + 0.5 * (order * self.spread) ** 2)

    def _above(self, tokens: float, order: int) -> float:
        if tokens <= 0:
            return 1.0
        if math.isinf(tokens):
            return 0.0
        z = (math.log(tokens / self.median_tokens) - order * self.spread**2) / self.spread
        return 0.5 * math.erfc(z / math.sqrt(2.0))


def lengths_now(snapshot: Snapshot) -> PromptLengths | None:
    """The lengths that are seen, or None where the stack cannot tell."""
    middle = snapshot.usable(Scope.SERVICE, "input_tokens_p50")
    high = snapshot.usable(Scope.SERVICE, "input_tokens_p90")
    if not middle or high is None or high < middle:
        return None
    return PromptLengths(middle, max(math.log(high / middle) / _Z90, _LEAST_SPREAD))
