from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from autoscaler.simulation.traces import (
    Trace,
    TraceError,
    between,
    clip_lengths,
    followed_by,
    jitter,
    times,
    with_idle_tail,
)

seeds = st.integers(0, 2**32 - 1)


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    size = draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(seeds))
    input_tokens = rng.integers(1, 5000, size)
    return Trace.of(
        rng.uniform(0, draw(st.floats(0.0, 5000.0)), size),
        input_tokens,
        rng.integers(1, 900, size),
        rng.integers(0, input_tokens + 1),
    )


def rows(trace: Trace) -> list[tuple[int, int, int]]:
    columns = (trace.input_tokens, trace.output_tokens, trace.cached_tokens)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


@given(traces(), st.floats(0.05, 12.0), seeds)
def test_times_scales_the_number_of_requests_and_keeps_the_duration(trace: Trace, factor: float, seed: int) -> None:
    assume(round(len(trace) * factor) > 0)
    scaled = times(trace, factor, seed)

    assert len(scaled) == round(len(trace) * factor)
    assert scaled.duration_s == trace.duration_s


@given(traces(), st.integers(1, 6), seeds)
def test_a_whole_multiple_holds_every_request_that_often(trace: Trace, copies: int, seed: int) -> None:
    assert rows(times(trace, copies, seed)) == sorted(rows(trace) * copies)


@given(traces(), st.integers(2, 6), seeds)
def test_the_first_copy_stays_in_place(trace: Trace, copies: int, seed: int) -> None:
    assert set(trace.arrival_s.tolist()) <= set(times(trace, copies, seed).arrival_s.tolist())


@given(traces(), st.floats(0.1, 5.0), seeds)
def test_the_same_seed_makes_the_same_trace(trace: Trace, factor: float, seed: int) -> None:
    assume(round(len(trace) * factor) > 0)
    first, second = times(trace, factor, seed), times(trace, factor, seed)

    assert first.arrival_s.tolist() == second.arrival_s.tolist()
    assert first.input_tokens.tolist() == second.input_tokens.tolist()


@given(traces(), seeds)
def test_a_fraction_thins_without_moving_anything(trace: Trace, seed: int) -> None:
    assume(len(trace) > 1)
    thinned = times(trace, 0.5, seed)

    assert set(thinned.arrival_s.tolist()) <= set(trace.arrival_s.tolist())


def test_copies_of_a_step_keep_the_step() -> None:
    step = Trace.of(np.linspace(1000, 2000, 500), 10, 10, duration_s=4000.0)

    scaled = times(step, 6, seed=3, shift_s=60.0)

    assert scaled.arrival_s.min() >= 940.0
    assert scaled.arrival_s.max() <= 2060.0


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan"), float("inf")])
def test_a_factor_that_makes_no_load_is_refused(factor: float) -> None:
    with pytest.raises(TraceError, match="must be above 0"):
        times(Trace.of(0, 1, 1), factor, seed=0)


@pytest.mark.parametrize("factor", [0.001, 1e-9])
def test_a_factor_that_leaves_no_request_is_refused(factor: float) -> None:
    with pytest.raises(TraceError, match=r"times the 3 requests of trace 'trace' leaves none to play"):
        times(Trace.of([0, 1, 2], 1, 1), factor, seed=0)


@given(traces(), st.floats(0.0, 1.0))
def test_cutting_in_two_loses_no_request(trace: Trace, share: float) -> None:
    whole = with_idle_tail(trace, 1.0)
    middle_s = max(share * whole.duration_s, 1e-3)
    parts = (between(whole, 0.0, middle_s), between(whole, middle_s, whole.duration_s + 1.0))

    assert sum(map(len, parts)) == len(trace)
    assert sorted(rows(parts[0]) + rows(parts[1])) == rows(trace)


def test_a_part_starts_its_own_clock_and_ends_with_its_trace() -> None:
    trace = Trace.of([0.0, 10.0, 20.0, 30.0], [1, 2, 3, 4], 1)

    part = between(trace, 10.0, 25.0)
    rest = between(trace, 20.0, 999.0)

    assert (part.arrival_s.tolist(), part.input_tokens.tolist(), part.duration_s) == ([0.0, 10.0], [2, 3], 15.0)
    assert rest.duration_s == 10.0


def test_an_empty_cut_is_refused() -> None:
    with pytest.raises(TraceError, match="0 <= start < end"):
        between(Trace.of(0, 1, 1), 5.0, 5.0)


@given(traces(), st.floats(0.001, 10.0), seeds)
def test_jitter_delays_every_request_by_less_than_its_width(trace: Trace, width_s: float, seed: int) -> None:
    jittered = jitter(trace, width_s, seed)

    assert rows(jittered) == rows(trace)
    assert (jittered.arrival_s >= trace.arrival_s).all()
    assert (jittered.arrival_s <= trace.arrival_s + width_s).all()


def test_jitter_spreads_quantised_arrivals() -> None:
    quantised = Trace.of(np.repeat([0.0, 3.0, 6.0], 100), 10, 10)

    assert len(set(jitter(quantised, 3.0, seed=1).arrival_s.tolist())) == 300


def test_clipping_shortens_prompts_answers_and_what_is_cached_of_them() -> None:
    trace = Trace.of([0, 1], [100, 5000], [5, 900], [90, 4800])

    clipped = clip_lengths(trace, max_input_tokens=4096, max_output_tokens=512)

    assert clipped.input_tokens.tolist() == [100, 4096]
    assert clipped.output_tokens.tolist() == [5, 512]
    assert clipped.cached_tokens.tolist() == [90, 4096]


def test_an_idle_tail_lengthens_the_trace_and_adds_no_request() -> None:
    tailed = with_idle_tail(Trace.of([0, 60], 1, 1), 540.0)

    assert (len(tailed), tailed.duration_s) == (2, 600.0)


def test_one_trace_follows_the_other_after_its_whole_duration() -> None:
    first = with_idle_tail(Trace.of([0, 10], 1, 1), 5.0)

    both = followed_by(first, Trace.of([0, 4], 2, 2))

    assert both.arrival_s.tolist() == [0, 10, 15, 19]
    assert both.duration_s == 19.0
