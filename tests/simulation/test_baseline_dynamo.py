"""Worked numbers come from a run of Dynamo 0.8.1's formula on its measured profile of Llama-3.1-8B on H200."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from autoscaler.core.policy import Role
from autoscaler.simulation.baselines.dynamo import (
    DynamoSettings,
    EngineProfile,
    Load,
    corrections,
    decode_replicas,
    dynamo,
    forecast_load,
    prefill_replicas,
)
from autoscaler.simulation.run import Memory
from tests.simulation.test_baseline_threshold import site
from tests.support.core import ENGINE, Missing, every, snapshot

PREFILL, DECODE = Role.PREFILL, Role.DECODE
PROFILE = EngineProfile(ENGINE, ENGINE)


@dataclass(frozen=True)
class Measured:
    """The profile that ships with Dynamo, at the context of 2997 tokens that the worked numbers use."""

    prompts = (2134.0, 3151.0, 4168.0)
    ttfts_ms = (50.0, 63.2, 87.3)
    prefill = (42_707.0, 49_846.0, 47_720.0)
    usages = (0.003, 0.155, 0.308, 0.460, 0.612, 0.764, 0.917)
    itls_ms = (4.43, 9.94, 15.48, 22.13, 26.76, 31.80, 41.71)
    batches = (1, 49, 97, 145, 193, 241, 289)

    def ttft_ms(self, prompt: float) -> float:
        return float(np.interp(prompt, self.prompts, self.ttfts_ms))

    def prefill_tokens_per_s(self, prompt: float) -> float:
        return float(np.interp(prompt, self.prompts, self.prefill))

    def itl_ms(self, kv_usage_ratio: float, context: float) -> float:
        del context
        return float(np.interp(kv_usage_ratio, self.usages, self.itls_ms))

    def decode_tokens_per_s(self, kv_usage_ratio: float, context: float) -> float:
        batch = float(np.interp(kv_usage_ratio, self.usages, self.batches))
        return batch / self.itl_ms(kv_usage_ratio, context) * 1e3

    def kv_usage_ratio(self, sequences: float, context: float) -> float:
        return sequences * context / 945_029


@pytest.mark.parametrize(
    ("requests_per_s", "replicas"),
    [(5, (1, 1)), (10, (1, 1)), (15, (1, 1)), (20, (2, 2)), (30, (2, 2)), (45, (3, 3))],
)
def test_replicas_are_those_of_the_real_planner(requests_per_s: float, replicas: tuple[int, int]) -> None:
    load, profile = Load(requests_per_s, 3000.0, 300.0), Measured()

    assert (prefill_replicas(load, profile), decode_replicas(load, profile, 10.0)) == replicas


def test_a_high_ttft_never_raises_prefill_but_a_high_itl_raises_decode() -> None:
    load, profile = Load(45.0, 3000.0, 300.0), Measured()

    assert prefill_replicas(load, profile, correction=33.0) == 3
    assert decode_replicas(load, profile, 10.0, correction=1.77) > 3


def test_a_low_ttft_lowers_prefill() -> None:
    assert prefill_replicas(Load(45.0, 3000.0, 300.0), Measured(), correction=0.5) == 2


def test_correction_compares_with_the_profile_at_the_present_concurrency() -> None:
    load = Load(8.0, 2000.0, 200.0)
    expected_ms = ENGINE.decode.step_ms(20.0, 20.0 * 2100.0)
    seen = snapshot({"decode.running": 40.0, "decode.step_time_s": 1.5 * expected_ms / 1e3, "service.ttft_s": 0.5})

    prefill, decode = corrections(seen, PROFILE, load)

    assert prefill == pytest.approx(500.0 / ENGINE.prefill.request_ms(2000.0))
    assert decode == pytest.approx(1.5)


def test_an_unreachable_itl_asks_for_the_emptiest_grid_point() -> None:
    assert decode_replicas(Load(1.0, 2000.0, 200.0), PROFILE, itl_target_ms=1.0) > 0


def test_the_planner_decides_once_an_interval() -> None:
    control, memory = dynamo(site(), DynamoSettings(interval_s=180.0, correct=False)), Memory()
    first = control(snapshot(), memory, 0.0)
    burst = snapshot({"prefill.request_rate": 80.0}, prefill=first[PREFILL], decode=first[DECODE])

    assert control(burst, memory, 165.0) == first
    assert control(burst, memory, 180.0)[PREFILL] > 8


def test_a_trend_goes_on_for_one_interval() -> None:
    now = Load(12.0, 2000.0, 200.0)

    assert forecast_load(Load(8.0, 100.0, 10.0), now) == Load(16.0, 2000.0, 200.0)
    assert forecast_load(Load(30.0, 100.0, 10.0), now).requests_per_s == 0.0
    assert forecast_load(None, now) == now


def test_no_traffic_keeps_what_there_is() -> None:
    control = dynamo(site(), DynamoSettings())

    assert control(snapshot(every(Missing.ABSENT), prefill=5, decode=4), {}, 0.0) == {PREFILL: 5, DECODE: 4}
