"""What past errors of a forecaster say of its next prediction: decayed histograms of log(actual / predicted)."""

from __future__ import annotations

import math
from collections.abc import Sequence

BINS = 60
_LOW, _STEP = -1.2, 0.05
# Added to both sides of a ratio, in replicas of work: below a fraction of a replica errors buy nothing.
FLOOR = 0.25
# Before anything is scored: a log-normal error of this width so far ahead, growing with the root of the horizon as that
# of a random walk does, and worth this many samples.
_PRIOR_SD, _PRIOR_HORIZON_S, _PRIOR_WEIGHT = 0.15, 315.0, 50.0
_LEAST_HORIZON_S = 20.0
# Errors until one counts half. Counted, not timed: predictions are kept a 32nd of the horizon apart at least, so errors
# further ahead, of which neighbours tell the same, are remembered for longer. Timed, three of five days with ten
# minutes of startup paid 2 to 11 % more and attained less.
_HALF_LIFE = 1440
# Decimals of a weight: all of a float's would make a memory twice as long.
_DECIMALS = 6
# Log of the most that past errors may add: one step of load is no reason to stand ready for its square.
_MOST_MARGIN = 0.9

Errors = tuple[float, ...]
"""Weight per bin of the log ratio, shape (BINS,); what lies beyond either end counts at that end."""


def prior(horizon_s: float) -> Errors:
    """What is assumed of predictions so far ahead before any has been scored."""
    width = _PRIOR_SD * math.sqrt(max(horizon_s, _LEAST_HORIZON_S) / _PRIOR_HORIZON_S)
    middles = [_LOW + (index + 0.5) * _STEP for index in range(BINS)]
    weights = [math.exp(-0.5 * (middle / width) ** 2) for middle in middles]
    total = sum(weights)
    return tuple(_PRIOR_WEIGHT * weight / total for weight in weights)


def learn(errors: Errors, predicted: float, actual: float, weight: float) -> Errors:
    """Add one error of this weight, and let what was known fade: half of it in 1,440: 15 s apart, six hours."""
    error = math.log((actual + FLOOR) / (predicted + FLOOR))
    index = min(max(int((error - _LOW) / _STEP), 0), BINS - 1)
    keep = 0.5 ** (1 / _HALF_LIFE)
    kept = [round(value * keep, _DECIMALS) for value in errors]
    kept[index] = round(kept[index] + weight, _DECIMALS)
    return tuple(kept)


def at_share(errors: Errors, predicted: float, share: float) -> float:
    """Demand that is not exceeded for this share of the load, where so much is predicted."""
    return max((predicted + FLOOR) * math.exp(min(quantile(errors, share), _MOST_MARGIN)) - FLOOR, 0.0)


def quantile(errors: Sequence[float], share: float) -> float:
    """Log ratio that a share of the weighted errors stays below, interpolated inside its bin."""
    wanted = share * sum(errors)
    seen = 0.0
    for index, weight in enumerate(errors):
        if seen + weight >= wanted:
            inside = (wanted - seen) / weight if weight > 0 else 1.0
            return _LOW + (index + inside) * _STEP
        seen += weight
    return _LOW + BINS * _STEP
