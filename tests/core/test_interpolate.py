"""The share of observations up to a target that lies between two bounds of a histogram."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.interpolate import share_up_to

Curve = tuple[list[float], list[float]]


def curve(widths: list[float], weights: list[float]) -> Curve:
    total = sum(weights)
    return [0.0, *itertools.accumulate(widths)], [0.0, *(share / total for share in itertools.accumulate(weights))]


CURVES = st.integers(1, 8).flatmap(
    lambda buckets: st.builds(
        curve,
        st.lists(st.floats(0.001, 100.0), min_size=buckets, max_size=buckets),
        st.lists(st.floats(0.0, 1e6), min_size=buckets, max_size=buckets).filter(lambda weights: sum(weights) > 0),
    )
)


@given(CURVES)
def test_the_curve_goes_through_what_the_bounds_tell(found: Curve) -> None:
    bounds, shares = found

    assert [share_up_to(bound, bounds, shares) for bound in bounds] == pytest.approx(shares)


@given(CURVES, st.floats(0.0, 1000.0), st.floats(0.0, 1000.0))
def test_a_larger_target_takes_in_no_smaller_share(found: Curve, target: float, more: float) -> None:
    assert share_up_to(target, *found) <= share_up_to(target + more, *found) + 1e-12


def test_nothing_lies_below_the_first_bound_and_nothing_is_told_beyond_the_last() -> None:
    bounds, shares = [1.0, 2.0, 4.0], [0.0, 0.5, 0.9]

    assert (share_up_to(0.5, bounds, shares), share_up_to(9.0, bounds, shares)) == (0.0, 0.9)


def test_one_bucket_is_uniform() -> None:
    assert [share_up_to(target, [0.0, 4.0], [0.0, 1.0]) for target in (1.0, 2.0, 3.0)] == pytest.approx(
        [0.25, 0.5, 0.75]
    )


@pytest.mark.parametrize("mean_s", [0.2, 0.3, 0.5, 0.8])
def test_what_a_tail_leaves_beyond_a_target_reads_at_most_a_third_as_wrong_as_in_a_uniform_bucket(
    mean_s: float,
) -> None:
    bounds = [0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5]
    shares = [1.0 - math.exp(-bound / mean_s) for bound in bounds]
    true = 1.0 - math.exp(-2.0 / mean_s)
    uniform = shares[5] + (shares[6] - shares[5]) * 2 / 3

    assert abs(share_up_to(2.0, bounds, shares) - true) <= abs(uniform - true) / 3
