"""What `replay` plays against what: the fleets that it starts from, and equal rules for all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from autoscaler.core.policy import LatencyObjective, Role, ServicePolicy
from autoscaler.simulation.replay import STATIC_PEAK, replay, service_of
from autoscaler.simulation.traces import Trace
from tests.support.core import ROLE_POLICY, service_policy

PREFILL, DECODE = Role.PREFILL, Role.DECODE

# 3.5 replicas of prefill work at all times.
SUSTAINED = Trace.of(np.arange(0.0, 900.0, 1 / 14), 4000, 50)


def with_ttft(target_s: float) -> ServicePolicy:
    policy = service_policy()
    return replace(policy, objectives=replace(policy.objectives, ttft=LatencyObjective(0.95, target_s)))


@pytest.mark.parametrize("ttft_s", [1.0, 2.0, 10.0, 30.0])
def test_sustained_load_starts_with_the_replicas_that_it_keeps_busy_whatever_its_requests_may_wait(
    ttft_s: float,
) -> None:
    assert service_of(with_ttft(ttft_s), SUSTAINED).pools[PREFILL].replicas == 4


@pytest.mark.parametrize("ttft_s", [2.0, 10.0])
def test_static_peak_serves_a_sustained_load_in_time(ttft_s: float) -> None:
    ours, peak = replay({"ours": with_ttft(ttft_s)}, SUSTAINED, against=[STATIC_PEAK]).rows

    assert (ours.policy, peak.policy) == ("ours", STATIC_PEAK)
    assert peak.attainment == 1.0


def test_static_peak_is_paid_for_as_long_and_waited_for_as_everyone_else_is() -> None:
    calm = Trace.of(np.arange(0.0, 600.0, 2.0), 1000, np.where(np.arange(300) < 290, 50, 9000))

    ours, peak = replay({"ours": service_policy()}, calm, against=[STATIC_PEAK]).rows

    # One replica of each role serves it, and both policies keep just that.
    assert (ours.attainment, ours.actions) == (1.0, 0)
    assert (peak.attainment, peak.gpu_hours) == (ours.attainment, ours.gpu_hours)


def test_rivals_scale_each_pool_inside_its_own_bounds() -> None:
    policy = service_policy(
        prefill=replace(ROLE_POLICY, min_replicas=2, max_replicas=3),
        decode=replace(ROLE_POLICY, min_replicas=1, max_replicas=12),
    )
    busy_then_calm = Trace.of(np.concatenate((np.arange(0.0, 900.0, 1 / 20), [2700.0])), 4000, 50)

    _, rival = replay({"ours": policy}, busy_then_calm, against=["hpa-rps"]).timelines

    assert rival.ready[PREFILL].max() == pytest.approx(3.0)
    assert rival.ready[PREFILL].min() == pytest.approx(2.0)


@pytest.mark.parametrize(("prompt", "attainment"), [(1000, 1.0), (900_000, 0.0)])
def test_a_load_of_one_instant_can_be_replayed_whether_or_not_it_fits(prompt: int, attainment: float) -> None:
    rows = replay({"ours": service_policy()}, Trace.of([0.0], prompt, 100), against=["hpa", STATIC_PEAK]).rows

    assert [row.attainment for row in rows] == [attainment] * 3
