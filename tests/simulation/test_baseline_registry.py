from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autoscaler.core.policy import Role
from autoscaler.core.snapshot import PoolState
from autoscaler.simulation.baselines.registry import BASELINES, Baseline
from autoscaler.simulation.baselines.site import Bounds, Site
from autoscaler.simulation.baselines.threshold import HpaSettings
from autoscaler.simulation.config import PoolConfig, ServiceConfig
from autoscaler.simulation.run import Memory, run
from autoscaler.simulation.traces import Trace, poisson
from tests.simulation.test_baseline_threshold import site
from tests.support.core import ENGINE, OBJECTIVES, STEADY, Missing, snapshot

PREFILL, DECODE = Role.PREFILL, Role.DECODE

every_baseline = pytest.mark.parametrize("baseline", BASELINES.values(), ids=BASELINES.keys())
readings = st.one_of(st.sampled_from(Missing), st.floats(0.0, 1e6))
# The smallest number above 0, by which nothing can be divided.
SMALLEST = 5e-324
NAMES = sorted(name for name in STEADY if not name.endswith("ready_replicas"))
pools = st.integers(1, 40).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size)))


@every_baseline
@settings(max_examples=25)
@given(st.lists(st.tuples(st.dictionaries(st.sampled_from(NAMES), readings), pools, pools), max_size=4))
@example([(dict.fromkeys(NAMES, SMALLEST), (1, 0), (1, 0))])
@example([({"service.input_tokens_mean": SMALLEST}, (1, 0), (1, 0))])
def test_whatever_is_read_replicas_stay_inside_the_bounds(baseline: Baseline[Any], seen: list[Any]) -> None:
    for settings_ in dict.fromkeys(baseline.every()):
        control = baseline.build(site(), settings_)
        memory = Memory()
        for tick, (changes, prefill, decode) in enumerate(seen):
            now = snapshot(changes, prefill=PoolState(*prefill), decode=PoolState(*decode))
            decided = control(now, memory, 15.0 * tick)

            assert set(decided) == {PREFILL, DECODE}
            assert all(1 <= count <= 40 for count in decided.values())


@every_baseline
def test_every_baseline_survives_a_run_and_says_where_it_comes_from(baseline: Baseline[Any]) -> None:
    pool = PoolConfig(ENGINE, 2, 4.0, startup_time_s=30.0)
    config = ServiceConfig("chat", {PREFILL: pool, DECODE: pool}, OBJECTIVES)
    trace = poisson(6.0, 120.0, Trace.of(0, 2000, 50), seed=1)
    control = baseline.build(Site.of(config, trace, Bounds(1, 6)), baseline.default)

    results = run(control, config, trace)

    assert results.finished == len(trace)
    assert baseline.describe
    assert baseline.version
    assert baseline.source


def test_labels_name_what_differs_from_the_default() -> None:
    baseline = BASELINES["hpa"]

    assert baseline.label(baseline.default) == ""
    assert baseline.label(HpaSettings(queue_target=1.0, kv_target_ratio=0.5)) == "queue_target=1.0, kv_target_ratio=0.5"


@every_baseline
def test_settings_are_found_again_by_their_label(baseline: Baseline[Any]) -> None:
    assert all(baseline.labelled(baseline.label(settings)) == settings for settings in baseline.every())


def test_the_rungs_of_a_ladder_are_all_different() -> None:
    for baseline in BASELINES.values():
        assert len(set(baseline.ladder)) == len(baseline.ladder) >= 2


def test_a_site_knows_the_means_of_its_load() -> None:
    pool = PoolConfig(ENGINE, gpus_per_replica=4.0, link_bytes_per_s=10e9)
    config = ServiceConfig("chat", {PREFILL: pool, DECODE: pool}, OBJECTIVES, prefix_hit_ratio=0.5)

    found = Site.of(config, Trace.of([0, 1], [1000, 3000], [100, 300], [0, 1000]))

    assert (found.input_tokens, found.output_tokens) == (2000.0, 200.0)
    assert found.uncached_ratio == pytest.approx(1 - 250 / 2000)
    assert found.link_bytes_per_s == 10e9
    assert found.bounds[DECODE] == Bounds(1, 64)
