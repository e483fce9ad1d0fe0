from __future__ import annotations

import numpy as np
import pytest

from autoscaler.core.capacity import DecodeStep, EngineModel, PrefillTime
from autoscaler.core.policy import Role
from autoscaler.simulation.static import run_static
from autoscaler.simulation.timeline import bin_edges_s, bin_length_s, clairvoyant_need, timeline_of
from autoscaler.simulation.traces import bundled_trace, poisson
from tests.simulation.services import pool, split

GPUS = {Role.PREFILL: 4.0, Role.DECODE: 2.0}


def test_bins_add_up_to_the_run() -> None:
    trace = poisson(1.0, 1500.0, bundled_trace(), seed=1)
    results = run_static(split(), trace, {Role.PREFILL: 3, Role.DECODE: 2})

    run = timeline_of(results, trace, GPUS)

    assert run.at_s.tolist() == [0, 300, 600, 900, 1200]
    assert run.requests_per_s.sum() * 300 == pytest.approx(len(trace))
    assert run.input_tokens_per_s.sum() * 300 == pytest.approx(trace.input_tokens.sum())
    assert run.missed.sum() == results.arrived - results.requests.in_time.sum()
    assert run.ready[Role.PREFILL].tolist() == [3] * 5
    assert run.gpus.tolist() == [3 * 4 + 2 * 2] * 5
    assert np.nanmax(run.apart_ratio) == 1
    first = results.requests.arrival_s < 300
    assert run.ttft_p95_s[0] == pytest.approx(np.percentile(results.requests.ttft_s[first], 95), rel=0.05)


def test_the_last_bin_ends_with_the_load_and_shows_no_drop_that_was_not() -> None:
    trace = poisson(2.0, 1300.0, bundled_trace(), seed=1)
    results = run_static(split(), trace, {Role.PREFILL: 3, Role.DECODE: 2})

    run = timeline_of(results, trace, GPUS)

    assert bin_edges_s(1300.0).tolist() == [0, 300, 600, 900, 1300]
    assert run.gpus.tolist() == [3 * 4 + 2 * 2] * 4
    assert run.requests_per_s[-1] == pytest.approx(2.0, rel=0.15)
    assert run.input_tokens_per_s[-1] == pytest.approx(trace.input_tokens[trace.arrival_s >= 900].sum() / 400)


def test_a_bin_without_requests_has_no_latency_and_no_attainment() -> None:
    trace = poisson(1.0, 300.0, bundled_trace(), seed=1)
    late = type(trace).of(trace.arrival_s + 600.0, trace.input_tokens, trace.output_tokens, duration_s=900.0)
    results = run_static(split(), late, {Role.PREFILL: 1, Role.DECODE: 1})

    run = timeline_of(results, late, GPUS)

    assert np.isnan(run.ttft_p95_s[:2]).all()
    assert np.isnan(run.in_time_ratio[:2]).all()
    assert run.requests_per_s[:2].tolist() == [0, 0]


def test_long_loads_have_longer_bins() -> None:
    assert bin_length_s(86_400.0) == 300
    assert bin_length_s(7 * 86_400.0) == 1200
    assert bin_edges_s(0.0).tolist() == [0, 300]
    assert bin_edges_s(86_401.0)[-2:].tolist() == [86_100, 86_401]


def test_the_need_is_at_least_one_replica_and_follows_the_load() -> None:
    engine = EngineModel(PrefillTime(10.0, 0.1, 0.0), DecodeStep(10.0, 0.2, 0.0001), 100_000, 256)
    config = split(pool(engine=engine), pool(engine=engine))
    calm, busy = (poisson(rate, 1200.0, bundled_trace(), seed=1) for rate in (0.2, 60.0))

    low = clairvoyant_need(config, calm, startup_s=240.0, attainment_ratio=0.99)
    high = clairvoyant_need(config, busy, startup_s=240.0, attainment_ratio=0.99)

    assert all((values >= 1).all() for values in low.values())
    assert high[Role.PREFILL].max() > low[Role.PREFILL].max()


def test_requests_that_nobody_served_do_not_say_where_the_switch_stood() -> None:
    trace = poisson(20.0, 900.0, bundled_trace(), seed=1)
    results = run_static(split(), trace, {Role.PREFILL: 1, Role.DECODE: 1})

    run = timeline_of(results, trace, GPUS)

    assert results.unfinished > 0
    assert set(run.apart_ratio[np.isfinite(run.apart_ratio)].tolist()) == {1.0}
