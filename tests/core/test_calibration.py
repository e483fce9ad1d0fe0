"""Learning the engine's timing: how fast, how far, and what it refuses to learn."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core import calibration
from autoscaler.core.calibration import Fit
from autoscaler.core.engines import find_engine

STEP = find_engine("llama-3.1-70b", "h100", 4)[1].decode
PREFILL = find_engine("llama-3.1-70b", "h100", 4)[1].prefill
FIFTEEN_MINUTES = 60  # ticks of 15 s

Terms = tuple[float, float, float]


def decode_loads(count: int, seed: int = 7) -> Iterator[Terms]:
    """Batches and contexts as a day shows them."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        batch = random.uniform(4, 200)
        yield STEP.terms_ms(batch, batch * random.uniform(400, 2500))


def prefill_loads(count: int, seed: int = 7) -> Iterator[Terms]:
    random = np.random.default_rng(seed)
    for _ in range(count):
        yield PREFILL.terms_ms(random.uniform(200, 8000))


def trained(fit: Fit, loads: Iterator[Terms], factors: Terms, noise_ratio: float = 0.1, seed: int = 11) -> Fit:
    """Let the fit see an engine whose terms are so many times the prior's, under noise."""
    random = np.random.default_rng(seed)
    for terms in loads:
        true_ms = sum(factor * term for factor, term in zip(factors, terms, strict=True))
        fit = calibration.update(fit, terms, true_ms * math.exp(random.normal(0.0, noise_ratio)))
    return fit


def worst_error(fit: Fit, loads: Iterator[Terms], factors: Terms) -> float:
    errors = []
    for terms in loads:
        predicted = sum(factor * term for factor, term in zip(fit.factors, terms, strict=True))
        actual = sum(factor * term for factor, term in zip(factors, terms, strict=True))
        errors.append(abs(predicted / actual - 1.0))
    return max(errors)


@pytest.mark.parametrize("loads", [decode_loads, prefill_loads])
@pytest.mark.parametrize("factor", [0.5, 2.0])
@pytest.mark.parametrize("seed", range(5))
def test_a_prior_that_is_off_by_two_is_corrected_within_a_quarter_of_an_hour(
    loads: Callable[..., Iterator[Terms]], factor: float, seed: int
) -> None:
    truth = (factor, factor, factor)

    fit = trained(calibration.start(from_prior=True), loads(FIFTEEN_MINUTES, seed), truth, seed=seed)

    assert worst_error(fit, loads(200, seed=99), truth) < 0.15


def test_a_prior_that_is_right_stays_right_under_noise() -> None:
    fit = trained(calibration.start(from_prior=True), decode_loads(1000), (1.0, 1.0, 1.0))

    assert worst_error(fit, decode_loads(200, seed=99), (1.0, 1.0, 1.0)) < 0.1


def test_terms_that_err_apart_are_learned_apart() -> None:
    truth = (1.0, 1.0, 3.0)

    fit = trained(calibration.start(from_prior=True), decode_loads(400), truth, noise_ratio=0.05)

    assert worst_error(fit, decode_loads(200, seed=99), truth) < 0.15


def test_one_load_only_cannot_tear_the_terms_apart() -> None:
    terms = STEP.terms_ms(32, 48_000)
    truth = (1.5, 1.5, 1.5)

    fit = trained(calibration.start(from_prior=True), iter([terms] * 500), truth)

    assert worst_error(fit, iter([terms]), truth) < 0.1
    assert worst_error(fit, decode_loads(200), truth) < 0.3


def test_noise_in_the_load_does_not_turn_the_cost_of_a_token_into_a_fixed_cost() -> None:
    """Half a day of prompts that move between 1,400 and 2,600 tokens; the mean is known to 5 %."""
    random = np.random.default_rng(5)
    fit = calibration.start(from_prior=True)
    for tick in range(2880):
        prompt = 2000.0 * (1.0 + 0.3 * math.sin(tick / 240.0))
        seen = PREFILL.terms_ms(prompt * math.exp(random.normal(0.0, 0.05)))
        fit = calibration.update(fit, seen, PREFILL.request_ms(prompt) * math.exp(random.normal(0.0, 0.05)))

    assert worst_error(fit, iter([PREFILL.terms_ms(tokens) for tokens in (500, 2000, 8000)]), (1.0, 1.0, 1.0)) < 0.2


def test_an_engine_that_becomes_slower_is_followed() -> None:
    fit = trained(calibration.start(from_prior=True), decode_loads(2000), (1.0, 1.0, 1.0))

    fit = trained(fit, decode_loads(4 * 60), (1.5, 1.5, 1.5))

    assert worst_error(fit, decode_loads(200, seed=99), (1.5, 1.5, 1.5)) < 0.15


def test_without_a_prior_nothing_is_trusted_at_first_and_the_model_after_varied_load() -> None:
    fit = calibration.start(from_prior=False)
    assert not fit.trusted

    truth = (0.4, 2.0, 0.6)
    fit = trained(fit, decode_loads(240), truth, noise_ratio=0.05)

    assert fit.trusted
    assert worst_error(fit, decode_loads(100, seed=99), truth) < 0.2


def test_without_a_prior_a_handful_of_samples_is_not_enough() -> None:
    fit = trained(calibration.start(from_prior=False), decode_loads(5), (1.0, 1.0, 1.0), noise_ratio=0.0)

    assert not fit.trusted


def test_without_a_prior_nearly_collinear_samples_are_not_trusted() -> None:
    loads = (STEP.terms_ms(8 + 0.01 * index, 12_000 + 15 * index) for index in range(200))

    fit = trained(calibration.start(from_prior=False), loads, (1.0, 1.0, 1.0))

    assert not fit.trusted


def test_a_prior_is_trusted_from_the_start() -> None:
    assert calibration.start(from_prior=True).trusted


def test_confidence_grows_with_evidence() -> None:
    fits = [calibration.start(from_prior=True)]
    for count in (5, 20, 80):
        fits.append(trained(fits[0], decode_loads(count), (1.0, 1.0, 1.0)))

    assert all(0.0 <= fit.confidence_ratio <= 1.0 for fit in fits)
    assert all(before.confidence_ratio < after.confidence_ratio for before, after in pairwise(fits))


def test_a_hiccup_does_not_rewrite_the_model() -> None:
    fit = trained(calibration.start(from_prior=True), decode_loads(200), (1.0, 1.0, 1.0))
    terms = STEP.terms_ms(64, 96_000)

    shaken = calibration.update(fit, terms, 50 * sum(terms))

    assert worst_error(shaken, decode_loads(200, seed=99), fit.factors) < 0.1


def test_the_error_of_predictions_is_tracked() -> None:
    fit = trained(calibration.start(from_prior=True), decode_loads(400), (1.0, 1.0, 1.0), noise_ratio=0.1)

    assert 0.04 < fit.error_ratio < 0.2


@given(st.sampled_from([0.0, -1.0, math.nan, math.inf, -math.inf]))
def test_an_observation_that_is_no_time_teaches_nothing(observed: float) -> None:
    fit = calibration.start(from_prior=True)

    assert calibration.update(fit, (15.0, 2.0, 2.0), observed) == fit
    assert calibration.update(fit, (observed, 0.0, 0.0), 20.0) == fit


@given(
    st.lists(st.tuples(st.floats(1, 512), st.floats(1, 32_000), st.floats(1e-6, 1e6)), min_size=1, max_size=40),
    st.booleans(),
)
def test_whatever_is_seen_no_slope_becomes_implausible(
    samples: list[tuple[float, float, float]], from_prior: bool
) -> None:
    fit = calibration.start(from_prior=from_prior)
    for batch, resident, observed_ms in samples:
        fit = calibration.update(fit, STEP.terms_ms(batch, batch * resident), observed_ms)

    assert all(0.02 <= factor <= 50.0 for factor in fit.factors)
    assert all(math.isfinite(value) for value in (*fit.factors, *fit.covariance, fit.error_ratio))
    assert fit.prediction_sd >= 0.0
    variances = np.linalg.eigvalsh(np.array(fit.covariance).reshape(3, 3))
    assert variances.min() > -1e-9 * variances.max()


def test_what_was_learned_of_one_prior_is_not_put_upon_another() -> None:
    learned = trained(calibration.start(from_prior=True, prior=(1.0, 2.0, 3.0)), decode_loads(60), (2.6, 2.6, 2.6))

    again = calibration.continued(learned, from_prior=True, prior=(1.0, 2.0, 3.0))
    corrected = calibration.continued(learned, from_prior=True, prior=(2.6, 5.2, 7.8))

    assert again == learned
    assert corrected == calibration.start(from_prior=True, prior=(2.6, 5.2, 7.8))


def test_a_memory_that_does_not_say_what_prior_it_corrects_corrects_the_present_one() -> None:
    learned = trained(calibration.start(from_prior=True), decode_loads(60), (2.6, 2.6, 2.6))

    kept = calibration.continued(learned, from_prior=True, prior=(1.0, 2.0, 3.0))

    assert kept.factors == learned.factors
    assert kept.prior == (1.0, 2.0, 3.0)
