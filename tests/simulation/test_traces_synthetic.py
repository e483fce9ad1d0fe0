from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.simulation.traces import Trace, TraceError, mix_shift, poisson, sine, steps

ALIKE = Trace.of(0, 1000, 200, name="chat")
LONG = Trace.of(0, 8000, 20, name="summaries")


@given(st.floats(0.5, 20.0), st.integers(0, 1000))
def test_a_poisson_load_has_its_rate_within_five_standard_deviations(rate_per_s: float, seed: int) -> None:
    trace = poisson(rate_per_s, 500.0, ALIKE, seed)

    assert abs(len(trace) - rate_per_s * 500.0) <= 5 * math.sqrt(rate_per_s * 500.0)
    assert trace.duration_s == 500.0


def test_lengths_are_drawn_row_by_row() -> None:
    lengths = Trace.of([0, 1], [100, 4000], [7, 9], [50, 0])

    trace = poisson(5.0, 100.0, lengths, seed=1)

    columns = (trace.input_tokens, trace.output_tokens, trace.cached_tokens)
    drawn = set(zip(*(column.tolist() for column in columns), strict=True))
    assert drawn == {(100, 7, 50), (4000, 9, 0)}


def test_a_staircase_has_each_rate_for_its_time() -> None:
    trace = steps([(1.0, 1000.0), (10.0, 1000.0), (0.0, 500.0)], ALIKE, seed=2)

    counts = np.histogram(trace.arrival_s, bins=[0, 1000, 2000, 2500])[0]
    assert counts[0] == pytest.approx(1000, abs=160)
    assert counts[1] == pytest.approx(10_000, abs=500)
    assert counts[2] == 0
    assert trace.duration_s == 2500.0


def test_a_sine_swings_around_its_mean() -> None:
    trace = sine(10.0, 0.8, period_s=1000.0, duration_s=1000.0, lengths=ALIKE, seed=3)

    high, low = np.histogram(trace.arrival_s, bins=[0, 500, 1000])[0]
    assert high == pytest.approx(500 * 10 * (1 + 0.8 * 2 / math.pi), rel=0.07)
    assert low == pytest.approx(500 * 10 * (1 - 0.8 * 2 / math.pi), rel=0.1)


@pytest.mark.parametrize("amplitude_ratio", [-0.1, 1.1])
def test_a_sine_below_zero_is_refused(amplitude_ratio: float) -> None:
    with pytest.raises(TraceError, match="between 0 and 1"):
        sine(1.0, amplitude_ratio, 10.0, 10.0, ALIKE, seed=0)


def test_a_mix_shift_changes_the_lengths_and_not_the_rate() -> None:
    trace = mix_shift(ALIKE, LONG, rate_per_s=8.0, shift_at_s=600.0, duration_s=1200.0, seed=4)

    before = trace.arrival_s < 600.0
    assert set(trace.input_tokens[before].tolist()) == {1000}
    assert set(trace.input_tokens[~before].tolist()) == {8000}
    assert before.sum() == pytest.approx((~before).sum(), rel=0.1)


def test_the_same_seed_makes_the_same_load() -> None:
    assert steps([(3.0, 60.0)], ALIKE, 5).arrival_s.tolist() == steps([(3.0, 60.0)], ALIKE, 5).arrival_s.tolist()
    assert steps([(3.0, 60.0)], ALIKE, 5).arrival_s.tolist() != steps([(3.0, 60.0)], ALIKE, 6).arrival_s.tolist()


def test_lengths_cannot_be_drawn_from_nothing() -> None:
    with pytest.raises(TraceError, match="no requests to draw lengths from"):
        poisson(1.0, 10.0, Trace.of([], [], [], name="empty"), seed=0)


def test_a_trace_cannot_be_changed_by_accident() -> None:
    with pytest.raises(ValueError, match="read-only"):
        ALIKE.input_tokens[0] = 5


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        (([0, 1], [1], [1, 1]), "different lengths"),
        (([-1, 0], 1, 1), "ascending"),
        ((0, 0, 1), "at least one"),
        ((0, 1, 1, 2), "cached tokens must lie"),
    ],
)
def test_columns_that_make_no_trace_are_refused(columns: tuple[list[int] | int, ...], complaint: str) -> None:
    with pytest.raises(TraceError, match=complaint):
        Trace.of(*columns)
