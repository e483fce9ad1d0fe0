from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.simulation.traces.history import LengthHistory, LoadHistory, reconstruct
from autoscaler.simulation.traces.trace import TraceError

BOUNDS = np.array([10.0, 100.0, 1000.0, np.inf])


def history(
    rates: list[float], *, counts: list[float] | None = None, mean: float = 300.0, uncached: float = 1.0
) -> LoadHistory:
    steps = len(rates)
    row = np.array(counts if counts is not None else [0.0, 1.0, 3.0, 0.0])
    lengths = LengthHistory(np.full(steps, mean), BOUNDS, np.tile(row, (steps, 1)))
    return LoadHistory(
        120.0, np.array(rates), lengths, LengthHistory.of_means(np.full(steps, 80.0)), np.full(steps, uncached)
    )


@given(st.lists(st.floats(0, 3), min_size=1, max_size=20))
def test_each_step_has_the_requests_that_were_counted_and_none_is_lost(rates: list[float]) -> None:
    known = history(rates)
    if sum(rates) * 120 < 1:
        return
    trace = reconstruct(known, seed=1).trace

    counted, _ = np.histogram(trace.arrival_s, 120.0 * np.arange(len(rates) + 1))
    assert np.abs(counted - 120 * np.array(rates)).max() <= 1
    assert len(trace) == pytest.approx(120 * sum(rates), abs=0.51)
    assert trace.duration_s == 120 * len(rates)


def test_the_same_seed_makes_the_same_requests_and_another_one_others() -> None:
    first, again, other = (reconstruct(history([2.0, 1.0]), seed).trace for seed in (1, 1, 2))

    assert (first.arrival_s == again.arrival_s).all()
    assert (first.input_tokens == again.input_tokens).all()
    assert (first.arrival_s != other.arrival_s).any()


def test_lengths_have_the_measured_mean_and_stay_near_their_buckets() -> None:
    trace = reconstruct(history([20.0] * 20), seed=1).trace

    assert trace.input_tokens.mean() == pytest.approx(300, rel=0.03)
    short = (trace.input_tokens <= 100).mean()
    assert short == pytest.approx(0.25, abs=0.05)
    assert trace.output_tokens.mean() == pytest.approx(80, rel=0.03)


def test_a_step_whose_histogram_is_empty_takes_that_of_the_whole_time() -> None:
    known = history([20.0, 20.0])
    counts = known.inputs.counts.copy()
    counts[0] = 0.0
    patchy = LoadHistory(
        120.0,
        known.requests_per_s,
        LengthHistory(np.array([np.nan, 300.0]), BOUNDS, counts),
        known.outputs,
        known.uncached_ratio,
    )

    trace = reconstruct(patchy, seed=1).trace

    early = trace.input_tokens[trace.arrival_s < 120.0]
    assert early.mean() == pytest.approx(300, rel=0.1)


def test_what_a_cache_held_is_cached() -> None:
    trace = reconstruct(history([20.0], uncached=0.25), seed=1).trace

    assert trace.cached_tokens.sum() / trace.input_tokens.sum() == pytest.approx(0.75, abs=0.01)


def test_unknown_steps_have_no_requests_and_are_said() -> None:
    made = reconstruct(history([1.0, np.nan, np.nan, 1.0]), seed=1)

    assert made.coverage_ratio == 0.5
    assert not ((made.trace.arrival_s > 120) & (made.trace.arrival_s < 360)).any()
    assert any("50.0% of the time has no data" in remark for remark in made.remarks)


def test_what_was_assumed_is_said() -> None:
    remarks = " ".join(reconstruct(history([1.0]), seed=1).remarks)

    assert "Prompt lengths were drawn from the histogram" in remarks
    assert "Answer lengths: only their mean is exported" in remarks
    assert "drawn independently" in remarks


@pytest.mark.parametrize(("rates", "words"), [([0.0, 0.0], "holds no request"), ([np.nan], "0% of it is known")])
def test_a_history_without_requests_is_refused(rates: list[float], words: str) -> None:
    with pytest.raises(TraceError, match=words):
        reconstruct(history(rates), seed=1)


def test_lengths_of_which_nothing_is_known_are_refused() -> None:
    blind = LoadHistory(
        120.0,
        np.array([1.0]),
        LengthHistory.of_means(np.array([np.nan])),
        LengthHistory.of_means(np.array([80.0])),
        np.array([1.0]),
    )

    with pytest.raises(TraceError, match="nothing is known of the lengths"):
        reconstruct(blind, seed=1)
