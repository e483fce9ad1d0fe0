"""Prompt lengths as a lognormal: its moments above a threshold, against samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from autoscaler.core.lengths import PromptLengths, lengths_now
from tests.support.core import Missing, snapshot

SEEN = PromptLengths(1500.0, 1.2)
RANDOM = np.random.default_rng(1)
SAMPLE = np.exp(RANDOM.normal(math.log(1500.0), 1.2, 400_000))

Tokens = NDArray[np.float64]


@pytest.mark.parametrize("tokens", [0.0, 256.0, 1500.0, 8192.0])
def test_moments_above_a_threshold_agree_with_a_sample(tokens: float) -> None:
    above = SAMPLE[tokens <= SAMPLE]

    assert SEEN.share_above(tokens) == pytest.approx(above.size / SAMPLE.size, rel=0.02)
    assert SEEN.tokens_above(tokens) == pytest.approx(above.sum() / SAMPLE.size, rel=0.02)
    assert SEEN.squares_above(tokens) == pytest.approx((above**2).sum() / SAMPLE.size, rel=0.1)


def bounded() -> Tokens:
    """Short questions and documents, none longer than the context."""
    return np.where(RANDOM.random(400_000) < 0.8, RANDOM.gamma(2.0, 200.0, 400_000), RANDOM.uniform(1e3, 8e3, 400_000))


def far_apart() -> Tokens:
    """Nine of ten prompts are short, and the tenth may be thirty times as long."""
    return np.where(RANDOM.random(400_000) < 0.9, RANDOM.gamma(1.0, 300.0, 400_000), RANDOM.exponential(8e3, 400_000))


@pytest.mark.parametrize(
    ("tokens", "error"),
    [(SAMPLE, 0.3), (RANDOM.exponential(1000.0, 400_000), 0.1), (bounded(), 0.35), (far_apart(), 0.2)],
    ids=["lognormal", "exponential", "bounded", "far apart"],
)
def test_the_mean_square_follows_from_two_quantiles_and_the_mean(tokens: Tokens, error: float) -> None:
    middle, high, mean = float(np.quantile(tokens, 0.5)), float(np.quantile(tokens, 0.9)), float(tokens.mean())
    found = lengths_now(snapshot({"service.input_tokens_p50": middle, "service.input_tokens_p90": high}))

    assert found is not None
    assert found.squares_ratio(mean) == pytest.approx((tokens**2).mean() / mean**2, rel=error)


def test_quantiles_of_a_handful_do_not_blow_the_mean_square_up() -> None:
    apart = lengths_now(snapshot({"service.input_tokens_p50": 1e-12, "service.input_tokens_p90": 1e12}))

    assert apart is not None
    assert apart.squares_ratio(1e9) == 11.0


@pytest.mark.parametrize("mean_tokens", [5e-324, 1e-6, 1.0, 1e300])
def test_a_mean_that_cannot_be_leaves_the_mean_square_a_number(mean_tokens: float) -> None:
    assert 1.0 <= SEEN.squares_ratio(mean_tokens) <= 11.0


def test_no_prompt_is_endless() -> None:
    assert SEEN.share_above(math.inf) == 0.0


def test_lengths_are_read_from_median_and_ninetieth_percentile() -> None:
    median, high = np.quantile(SAMPLE, [0.5, 0.9])

    found = lengths_now(snapshot({"service.input_tokens_p50": float(median), "service.input_tokens_p90": float(high)}))

    assert found is not None
    assert found.median_tokens == pytest.approx(1500.0, rel=0.02)
    assert found.spread == pytest.approx(1.2, rel=0.02)


@pytest.mark.parametrize(
    ("middle", "high"), [(Missing.ABSENT, 900.0), (900.0, Missing.STALE), (900.0, 800.0), (0.0, 0.0)]
)
def test_lengths_that_cannot_be_are_unknown(middle: float | Missing, high: float | Missing) -> None:
    assert lengths_now(snapshot({"service.input_tokens_p50": middle, "service.input_tokens_p90": high})) is None


def test_prompts_that_are_all_alike_are_above_or_below() -> None:
    alike = lengths_now(snapshot({"service.input_tokens_p50": 1000.0, "service.input_tokens_p90": 1000.0}))

    assert alike is not None
    assert alike.share_above(990.0) == pytest.approx(1.0)
    assert alike.share_above(1010.0) == pytest.approx(0.0)
