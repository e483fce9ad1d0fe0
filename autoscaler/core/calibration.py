"""Learning the engine's timing from the live signals, starting from a prior.

Each timing is a sum of three terms (fixed, per unit, per token). We learn one factor per term by recursive Bayesian
least squares on relative errors: the prior says that the factors are near 1 and move together (a faster GPU scales them
all), so a wrong prior is corrected after a few samples, while collinear loads cannot tear the terms apart. Old
evidence fades: the covariance is inflated a little with each sample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

# Standard deviations of the prior factors: common to all three terms, and of each term on its own.
_COMMON_SD, _OWN_SD = 0.7, 0.05
_UNKNOWN_COMMON_SD, _UNKNOWN_OWN_SD = 3.0, 1.0
# Relative noise of one sample: windowed means against momentary gauges.
_NOISE_SD = 0.1
# Random walk of the factors per sample; forgets in the order of a few hundred samples.
_DRIFT_SD = 0.004
# An innovation beyond this many standard deviations is pulled in: a hiccup must not rewrite the model.
_GATE_SD = 3.0
# No engine is a fiftieth of, or fifty times, its prior; slopes below are implausible.
_LEAST_FACTOR, _MOST_FACTOR = 0.02, 50.0
# A model without prior is trusted once its prediction is this sure.
_TRUSTED_SD = 0.15
_TRUSTED_SAMPLES = 12


@dataclass(frozen=True, slots=True)
class Fit:
    """What has been learned of one timing.

    Attributes:
        factors: Multiplier per term of the prior.
        covariance: Their covariance, row by row (nine numbers).
        samples: Samples taken.
        error_ratio: Running mean of the absolute relative prediction error.
        from_prior: Whether the start was a real prior or a guess.
        prior: Its constants, which the factors multiply; empty where they were not recorded.
    """

    factors: tuple[float, float, float]
    covariance: tuple[float, ...]
    samples: int
    error_ratio: float
    from_prior: bool
    prior: tuple[float, ...] = ()

    @property
    def confidence_ratio(self) -> float:
        """How sure the prediction is: 1 is certain, 0 is a guess."""
        return 1.0 / (1.0 + (self.prediction_sd / _TRUSTED_SD) ** 2)

    @property
    def prediction_sd(self) -> float:
        """Relative standard deviation of a prediction in which the three terms weigh the same."""
        return math.sqrt(max(sum(self.covariance), 0.0)) / 3.0

    @property
    def trusted(self) -> bool:
        """Whether decisions may rest on it: a real prior always, a guess once the samples pin it down."""
        return self.from_prior or (self.samples >= _TRUSTED_SAMPLES and self.prediction_sd < _TRUSTED_SD)


def start(*, from_prior: bool, prior: tuple[float, ...] = ()) -> Fit:
    """A fit before its first sample."""
    common, own = (_COMMON_SD, _OWN_SD) if from_prior else (_UNKNOWN_COMMON_SD, _UNKNOWN_OWN_SD)
    matrix = np.full((3, 3), common**2) + np.eye(3) * own**2
    return Fit((1.0, 1.0, 1.0), tuple(matrix.ravel().tolist()), 0, 0.0, from_prior, prior)


def continued(fit: Fit | None, *, from_prior: bool, prior: tuple[float, ...]) -> Fit:
    """What was learned, or a fresh start where that corrects another prior: its factors mean nothing on this one."""
    if fit is None or fit.from_prior != from_prior or fit.prior not in {(), prior}:
        return start(from_prior=from_prior, prior=prior)
    return fit if fit.prior else replace(fit, prior=prior)


def check_fit(fit: Fit | None) -> None:
    """Refuse a restored fit whose pieces do not belong together.

    Raises:
        ValueError: The covariance is not three by three.
    """
    if fit is not None and len(fit.covariance) != 9:  # noqa: PLR2004 three factors
        raise ValueError(f"a fit of three factors has nine covariances, got {len(fit.covariance)}")


def update(fit: Fit, prior_terms: tuple[float, float, float], observed: float) -> Fit:
    """Learn from one observation.

    Args:
        fit: What was known.
        prior_terms: The three terms of the prior at the observed load, in the unit of `observed`.
        observed: The time that was measured.

    Returns:
        The new fit; the old one when the sample is unusable or would make a slope implausible.
    """
    expected = sum(prior_terms)
    if not (expected > 0 and observed > 0 and math.isfinite(observed) and math.isfinite(expected)):
        return fit
    features = np.array(prior_terms) / expected
    factors = np.array(fit.factors)
    covariance = np.array(fit.covariance).reshape(3, 3) + np.full((3, 3), _DRIFT_SD**2)
    predicted = float(features @ factors)
    noise = _NOISE_SD * max(predicted, 0.1)
    variance = float(features @ covariance @ features) + noise**2
    limit = _GATE_SD * math.sqrt(variance)
    innovation = min(max(observed / expected - predicted, -limit), limit)
    gain = covariance @ features / variance
    moved = factors + gain * innovation
    if moved.min() < _LEAST_FACTOR or moved.max() > _MOST_FACTOR:
        return fit
    shrunk = covariance - np.outer(gain, features @ covariance)
    error = abs(observed / expected - predicted) / max(predicted, 1e-9)
    weight = max(1.0 / (fit.samples + 1), 0.02)
    return replace(
        fit,
        factors=(float(moved[0]), float(moved[1]), float(moved[2])),
        covariance=tuple(((shrunk + shrunk.T) / 2).ravel().tolist()),
        samples=fit.samples + 1,
        error_ratio=fit.error_ratio + weight * (error - fit.error_ratio),
    )
