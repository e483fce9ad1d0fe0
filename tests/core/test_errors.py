"""What is kept of the errors of a forecaster, and what it says of its next prediction."""

from __future__ import annotations

import pytest

from autoscaler.core.errors import BINS, FLOOR, at_share, learn, prior, quantile

NOTHING = (0.0,) * BINS
# Share of a normal distribution that lies below one standard deviation above its middle.
ONE_DEVIATION = 0.8413


@pytest.mark.parametrize(("horizon_s", "error"), [(315.0, 0.15), (1260.0, 0.3)])
def test_before_anything_is_scored_errors_grow_with_the_root_of_the_horizon(horizon_s: float, error: float) -> None:
    assert quantile(prior(horizon_s), ONE_DEVIATION) == pytest.approx(error, abs=0.01)
    assert quantile(prior(horizon_s), 0.5) == pytest.approx(0.0, abs=1e-4)


def test_what_was_known_fades_to_half_in_1440_errors() -> None:
    known = prior(315.0)

    for _ in range(1440):
        known = learn(known, 4.0, 4.0, 0.0)

    assert sum(known) == pytest.approx(sum(prior(315.0)) / 2, rel=0.001)


def test_a_load_that_never_was_like_what_was_predicted_asks_for_no_more_than_two_and_a_half_times_of_it() -> None:
    jumps = learn(NOTHING, 1.0, 50.0, 1.0)

    assert (at_share(jumps, 4.0, 0.9) + FLOOR) / (4.0 + FLOOR) == pytest.approx(2.46, abs=0.01)


def test_errors_beyond_either_end_count_at_that_end() -> None:
    assert learn(NOTHING, 100.0, 0.0, 1.0)[0] == 1.0
    assert learn(NOTHING, 0.0, 100.0, 1.0)[-1] == 1.0
