from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.sources.answers import Element
from autoscaler.sources.attainment import BucketError, Buckets, mixed, quantile, share_within, sum_share_within


def buckets(*cumulative: tuple[str, float]) -> Buckets:
    return Buckets.of([Element({"le": bound}, rate) for bound, rate in cumulative])


def random_buckets(draw_bounds: list[float], counts: list[int]) -> Buckets:
    rates = np.cumsum(counts)
    rows = [(repr(bound), float(rate)) for bound, rate in zip(draw_bounds, rates, strict=False)]
    return buckets(*rows, ("+Inf", float(rates[-1])))


BUCKETS = st.builds(
    random_buckets,
    st.lists(st.floats(0.001, 50.0).map(lambda value: round(value, 3)), min_size=3, max_size=6, unique=True).map(
        sorted
    ),
    st.lists(st.integers(0, 50), min_size=7, max_size=7).filter(lambda counts: sum(counts[:3]) > 0),
)
THREE = buckets(("1", 2.0), ("2.5", 8.0), ("+Inf", 10.0))


def test_a_target_on_a_bound_is_exact() -> None:
    share = share_within(THREE, 2.5)

    assert (share.ratio, share.exact) == (0.8, True)


def test_a_share_inside_a_bucket_lies_between_those_at_its_bounds() -> None:
    share = share_within(THREE, 2.0)

    assert share.ratio == pytest.approx(0.584541, abs=1e-6)  # slopes 6/23 and 2/5, worked out by hand
    assert (share.least, share.most) == pytest.approx((0.2, 0.8))
    assert not share.exact


def test_a_target_beyond_the_last_bound_counts_what_is_above_as_missed() -> None:
    share = share_within(THREE, 100.0)

    assert (share.ratio, share.least, share.most) == (0.8, 0.8, 1.0)


def test_two_spellings_of_a_bound_are_one() -> None:
    both = buckets(("1", 1.0), ("1.0", 1.0), ("2.5", 8.0), ("+Inf", 10.0))

    assert share_within(both, 1.0).ratio == 0.2


def test_a_rate_that_falls_from_one_bound_to_the_next_counts_as_equal() -> None:
    uneven = buckets(("1", 5.0), ("2", 4.9), ("3", 10.0), ("+Inf", 10.0))

    assert share_within(uneven, 2.0).ratio == 0.5


def test_a_first_bound_of_zero_is_a_bucket_of_its_own() -> None:
    zero = buckets(("0", 4.0), ("1", 8.0), ("+Inf", 8.0))

    assert share_within(zero, 0.0).ratio == 0.5
    assert sum_share_within(zero, zero, 1.0).ratio == pytest.approx(0.25 + 2 * 0.25 + 0.25 * 23 / 30, abs=1e-4)


def test_two_uniform_latencies_add_up_to_a_triangle() -> None:
    unit = buckets(("1", 1.0), ("+Inf", 1.0))

    assert [sum_share_within(unit, unit, target_s).ratio for target_s in (0.0, 0.5, 1.0, 1.5, 2.0)] == pytest.approx(
        [0.0, 0.125, 0.5, 0.875, 1.0]
    )


def test_a_tail_inside_a_wide_bucket_is_no_third_of_it() -> None:
    random = np.random.default_rng(1)
    latencies_s = random.exponential(0.22, 1_000_000)  # 1.1 % take longer than 1 s, 0.01 % longer than 2 s
    counts = [(str(bound), float((latencies_s <= bound).sum())) for bound in (0.25, 0.5, 0.75, 1.0, 2.5, 5.0)]
    latency, missed = buckets(*counts, ("+Inf", 1e6)), float((latencies_s > 2.0).mean())
    linear = (1.0 - counts[3][1] / 1e6) / 3

    assert 1.0 - share_within(latency, 2.0).ratio == pytest.approx(missed, abs=linear / 3)


def test_two_legs_share_the_curve_of_one() -> None:
    latency, none = (
        buckets(("0.5", 6.0), ("1", 9.0), ("2.5", 9.9), ("5", 10.0), ("+Inf", 10.0)),
        buckets(("0", 1.0), ("+Inf", 1.0)),
    )

    for target_s in (0.25, 0.8, 1.5, 2.0, 4.0):
        both = sum_share_within(latency, none, target_s).ratio
        assert both == pytest.approx(share_within(latency, target_s).ratio, abs=0.002)


def test_latencies_beyond_the_last_bound_miss_any_target() -> None:
    slow = buckets(("1", 5.0), ("+Inf", 10.0))
    share = sum_share_within(slow, slow, 50.0)

    assert (share.ratio, share.least, share.most) == (0.25, 0.25, 1.0)


@given(BUCKETS, BUCKETS, st.floats(0.0, 120.0))
def test_a_share_lies_in_its_bracket_whatever_the_buckets(first: Buckets, second: Buckets, target_s: float) -> None:
    for share in (share_within(first, target_s), sum_share_within(first, second, target_s)):
        assert 0.0 <= share.least <= share.ratio + 1e-9
        assert share.ratio <= share.most + 1e-9 <= 1.0 + 2e-9


@given(BUCKETS, BUCKETS, st.floats(0.0, 60.0), st.floats(0.0, 60.0))
def test_a_larger_target_is_met_by_no_smaller_share(
    first: Buckets, second: Buckets, target_s: float, more_s: float
) -> None:
    longer_s = target_s + more_s

    assert share_within(first, target_s).ratio <= share_within(first, longer_s).ratio + 1e-9
    assert sum_share_within(first, second, target_s).ratio <= sum_share_within(first, second, longer_s).ratio + 1e-9


@given(BUCKETS, BUCKETS, st.floats(0.1, 60.0))
def test_the_order_of_the_legs_does_not_matter_and_a_second_leg_never_helps(
    first: Buckets, second: Buckets, target_s: float
) -> None:
    both = sum_share_within(first, second, target_s).ratio

    assert both == pytest.approx(sum_share_within(second, first, target_s).ratio, abs=1e-7)
    assert both <= share_within(first, target_s).ratio + 1e-7


@given(BUCKETS, BUCKETS, st.floats(0.1, 60.0), st.integers(0, 2**32 - 1))
def test_the_sum_of_two_legs_is_that_of_random_draws(
    first: Buckets, second: Buckets, target_s: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    draws = 20_000

    def draw(latency: Buckets) -> np.typing.NDArray[np.float64]:
        last_s = float(latency.upper_s[np.isfinite(latency.upper_s)].max())
        at_s = np.unique(np.concatenate([np.linspace(0.0, last_s, 400), latency.lower_s]))
        shares = [share_within(latency, float(at)).ratio for at in at_s]
        drawn = random.random(draws)
        return np.where(drawn > shares[-1], math.inf, np.interp(drawn, shares, at_s))

    share = float(np.mean(draw(first) + draw(second) <= target_s))

    assert sum_share_within(first, second, target_s).ratio == pytest.approx(share, abs=0.025)


def test_requests_with_one_leg_and_with_both_are_weighed_by_their_number() -> None:
    share = mixed(share_within(THREE, 1.0), share_within(THREE, 2.5), 0.25)

    assert share.ratio == pytest.approx(0.25 * 0.2 + 0.75 * 0.8)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "no bucket le"),
        ([("1", 5.0)], "no bucket le"),
        ([("1", 0.0), ("+Inf", 0.0)], "no request finished"),
        ([("1", math.nan), ("+Inf", math.nan)], "no request finished"),
        ([("", 5.0), ("+Inf", 5.0)], "le='' is no bucket bound"),
        ([("x", 5.0)], "le='x' is no bucket bound"),
    ],
)
def test_what_is_no_histogram_is_refused(rows: list[tuple[str, float]], words: str) -> None:
    with pytest.raises(BucketError, match=words):
        buckets(*rows)


def ranges(**rates: float) -> list[Element]:
    return [Element({"bucket": label.strip("_").replace("_", "-")}, rate) for label, rate in rates.items()]


def test_counters_per_range_are_a_distribution() -> None:
    latency = Buckets.of_ranges([*ranges(_0_100ms=1.0, _100_500ms=2.0), Element({"bucket": "500ms+"}, 1.0)])

    assert latency.upper_s.tolist() == [0.1, 0.5, math.inf]
    assert latency.weights.tolist() == [0.25, 0.5, 0.25]
    assert latency.rate == 4.0
    assert share_within(latency, 0.3).ratio == pytest.approx(0.526786, abs=1e-6)  # slopes 25/14 and 5/4


def test_ranges_may_name_other_units_and_need_not_be_complete() -> None:
    latency = Buckets.of_ranges([Element({"bucket": "500ms-1s"}, 1.0), Element({"bucket": "2-5s"}, 1.0)])

    assert latency.lower_s.tolist() == [0.5, 2.0]
    assert latency.upper_s.tolist() == [1.0, 5.0]


@pytest.mark.parametrize("label", ["", "fast", "1-2", "5ms"])
def test_a_label_that_is_no_range_is_refused(label: str) -> None:
    with pytest.raises(BucketError, match="is no range such as 50-100ms"):
        Buckets.of_ranges([Element({"bucket": label}, 1.0)])


def test_ranges_without_requests_are_no_distribution() -> None:
    with pytest.raises(BucketError, match="no request finished"):
        Buckets.of_ranges(ranges(_0_1ms=0.0))


def test_bounds_in_milliseconds_become_seconds() -> None:
    latency = Buckets.of([Element({"le": "100"}, 1.0), Element({"le": "+Inf"}, 2.0)], 1e-3)

    assert latency.upper_s.tolist() == [0.1, math.inf]


@pytest.mark.parametrize(
    ("ratio", "expected_s"), [(0.0, 0.0), (0.25, 0.1), (0.5, 0.3), (0.75, 0.5), (0.9, 0.5), (1.0, 0.5)]
)
def test_a_quantile_is_linear_inside_a_bucket_and_the_last_finite_bound_beyond(ratio: float, expected_s: float) -> None:
    latency = Buckets.of_ranges([*ranges(_0_100ms=1.0, _100_500ms=2.0), Element({"bucket": "500ms+"}, 1.0)])

    assert quantile(latency, ratio) == pytest.approx(expected_s)


@given(st.lists(st.floats(0.0, 100.0), min_size=2, max_size=8).filter(lambda rates: sum(rates) > 0), st.floats(0.01, 1))
def test_the_share_within_a_quantile_is_its_ratio_as_far_as_the_buckets_tell(rates: list[float], ratio: float) -> None:
    elements = [Element({"bucket": f"{index}-{index + 1}s"}, rate) for index, rate in enumerate(rates)]
    latency = Buckets.of_ranges(elements)

    found_s = quantile(latency, ratio)
    share = share_within(latency, found_s)
    assert np.interp(found_s, [0.0, *latency.upper_s], [0.0, *np.cumsum(latency.weights)]) == pytest.approx(
        ratio, abs=1e-6
    )
    assert share.least - 1e-6 <= ratio <= share.most + 1e-6
