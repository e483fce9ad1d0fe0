"""HeteroScale and TokenScale, by the formulas of their papers."""

from __future__ import annotations

import math

import pytest

from autoscaler.core.capacity import decode_point
from autoscaler.core.policy import Role
from autoscaler.simulation.baselines.heteroscale import HeteroScaleSettings, decode_replicas, heteroscale
from autoscaler.simulation.baselines.threshold import requests_per_s
from autoscaler.simulation.baselines.tokenscale import TokenScaleSettings, tokenscale, velocities
from autoscaler.simulation.run import Memory
from tests.simulation.test_baseline_threshold import site
from tests.support.core import ENGINE, Missing, every, snapshot

PREFILL, DECODE = Role.PREFILL, Role.DECODE


@pytest.mark.parametrize(
    ("need", "current", "breach", "replicas"),
    [
        (10.5, 10, 0.5, 10),  # inside the deadband
        (11.5, 10, 0.5, 12),
        (6.2, 10, 0.5, 7),
        (10.0, 10, 1.1, 11),  # moderate breach: 10 %
        (10.0, 10, 1.3, 12),  # severe: 20 %
        (6.2, 10, 1.3, 12),  # latency overrules a shrink
        (15.0, 10, 1.3, 15),
    ],
)
def test_decode_follows_throughput_and_steps_up_on_latency(
    need: float, current: int, breach: float, replicas: int
) -> None:
    assert decode_replicas(need, current, breach, HeteroScaleSettings()) == replicas


def test_both_pools_act_together_at_the_profiled_ratio() -> None:
    point = decode_point(ENGINE, 0.05, 2100.0)
    rates = requests_per_s(site())
    control = heteroscale(site(), HeteroScaleSettings(utilization_ratio=0.5))
    busy = snapshot({"decode.generation_tokens_per_s": 3.9 * 0.5 * point.tokens_per_s})

    decided = control(busy, {}, 0.0)

    assert decided[DECODE] == 4
    assert decided[PREFILL] == math.ceil(4 * rates[DECODE] / rates[PREFILL])


def test_after_a_change_heteroscale_shrinks_only_when_its_cooldown_has_passed() -> None:
    point = decode_point(ENGINE, 0.05, 2100.0)
    control, memory = heteroscale(site(), HeteroScaleSettings(utilization_ratio=0.5)), Memory()
    control(snapshot({"decode.generation_tokens_per_s": 3.9 * 0.5 * point.tokens_per_s}), memory, 0.0)
    quiet = snapshot({"decode.generation_tokens_per_s": 0.9 * 0.5 * point.tokens_per_s}, prefill=12, decode=4)

    assert control(quiet, memory, 299.0) == {PREFILL: 12, DECODE: 4}
    assert control(quiet, memory, 300.0)[DECODE] == 1


def test_the_ratio_is_kept_while_decode_stays_as_it_is() -> None:
    point = decode_point(ENGINE, 0.05, 2100.0)
    rates = requests_per_s(site())
    control = heteroscale(site(), HeteroScaleSettings(utilization_ratio=0.5))
    steady = snapshot({"decode.generation_tokens_per_s": 4.0 * 0.5 * point.tokens_per_s}, prefill=1, decode=4)

    decided = control(steady, {}, 0.0)

    assert decided == {PREFILL: math.ceil(4 * rates[DECODE] / rates[PREFILL]), DECODE: 4}
    assert decided[PREFILL] > 1


def test_growth_of_prefill_alone_waits_for_the_shorter_cooldown_and_its_shrinking_for_the_longer() -> None:
    point = decode_point(ENGINE, 0.05, 2100.0)
    control = heteroscale(site(), HeteroScaleSettings(utilization_ratio=0.5))

    def changes_at_s(prefill: int) -> float:
        memory = Memory()
        control(snapshot({"decode.generation_tokens_per_s": 3.9 * 0.5 * point.tokens_per_s}), memory, 0.0)
        steady = snapshot({"decode.generation_tokens_per_s": 4.0 * 0.5 * point.tokens_per_s}, prefill=prefill, decode=4)
        return next(at_s for at_s in range(0, 600, 15) if control(steady, memory, at_s)[PREFILL] != prefill)

    assert changes_at_s(prefill=1) == 60.0
    assert changes_at_s(prefill=60) == 300.0


def test_velocity_of_the_network_is_bandwidth_over_kv_of_a_token() -> None:
    assert velocities(site()).network == pytest.approx(40e9 / (320 * 1024))
    assert velocities(site(link_bytes_per_s=1e9)).network == pytest.approx(1e9 / (320 * 1024))


def test_velocity_of_decode_is_what_finished_requests_release() -> None:
    point = decode_point(ENGINE, 0.05, 2100.0)

    assert velocities(site()).decode == pytest.approx(point.sequences / (200 * point.step_s) * 2200)


def test_tokenscale_divides_arriving_tokens_by_velocities() -> None:
    speed = velocities(site())
    rate = 2.4 * speed.prefill / 2000.0
    arriving = snapshot({"prefill.offered_tokens_per_s": 2.4 * speed.prefill, "prefill.request_rate": rate})

    decided = tokenscale(site(), TokenScaleSettings())(arriving, {}, 0.0)

    assert decided == {PREFILL: 3, DECODE: math.ceil(rate * 2200 / speed.decode)}


def test_a_slow_link_asks_for_more_prefill() -> None:
    narrow = site(link_bytes_per_s=1e9)
    arriving = snapshot({"prefill.offered_tokens_per_s": 12_000.0})

    assert tokenscale(narrow, TokenScaleSettings())(arriving, {}, 0.0)[PREFILL] == math.ceil(12_000 * 320 * 1024 / 1e9)


def test_tokenscale_shrinks_to_the_most_of_its_hold() -> None:
    control, memory = tokenscale(site(), TokenScaleSettings(hold_s=60.0)), Memory()
    peak = control(snapshot({"prefill.offered_tokens_per_s": 60_000.0}), memory, 0.0)[PREFILL]
    quiet = snapshot({"prefill.offered_tokens_per_s": 1000.0}, prefill=peak)

    assert control(quiet, memory, 45.0)[PREFILL] == peak
    assert control(quiet, memory, 60.0)[PREFILL] == 1


@pytest.mark.parametrize(
    "control", [heteroscale(site(), HeteroScaleSettings()), tokenscale(site(), TokenScaleSettings())]
)
def test_both_hold_on_a_dead_scrape(control: object) -> None:
    assert callable(control)
    assert control(snapshot(every(Missing.ABSENT), prefill=5, decode=4), {}, 0.0) == {PREFILL: 5, DECODE: 4}
