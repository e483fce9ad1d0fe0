"""What the daemon learns about engines from a simulated service whose engines are as the prior says."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from autoscaler.core.decide import decide
from autoscaler.core.policy import Role
from autoscaler.core.snapshot import Snapshot
from autoscaler.core.state import State
from autoscaler.simulation.run import Memory, run
from autoscaler.simulation.traces import Trace
from tests.simulation.services import pool, split
from tests.support.core import ENGINE, service_policy

HOUR_S = 3600.0


def traffic(busy_ratio: float, prefill: int) -> Trace:
    """An hour of Poisson arrivals of long-tailed prompts that keep so many prefill replicas busy to that share."""
    rng = np.random.default_rng(3)
    tokens = np.maximum(np.exp(rng.normal(7.0, 0.8, 200_000)), 16).astype(int)
    service_s = np.mean([ENGINE.prefill.request_ms(float(length)) for length in tokens[:20_000]]) / 1e3
    gaps_s = rng.exponential(service_s / (busy_ratio * prefill), tokens.size)
    arrival_s = np.cumsum(gaps_s)
    count = int(np.searchsorted(arrival_s, HOUR_S))
    return Trace.of(arrival_s[:count], tokens[:count], np.full(count, 60), duration_s=HOUR_S)


def learned(busy_ratio: float) -> tuple[float, float, float]:
    """Factors on the prior, which is exact, after an hour on four replicas of either role."""
    policy, state = service_policy(), State()

    def watch(snapshot: Snapshot, memory: Memory, now_s: float) -> Mapping[Role, int]:
        nonlocal state
        del memory
        _, state = decide(policy, snapshot, state, now_s)
        return {Role.PREFILL: 4, Role.DECODE: 4}

    run(watch, split(pool(4, ENGINE), pool(4, ENGINE)), traffic(busy_ratio, 4), tail_s=0.0)

    fit = state.roles[Role.PREFILL].fit
    assert fit is not None
    assert fit.samples > 100
    return fit.factors


@pytest.mark.parametrize("busy_ratio", [0.2, 0.5, 0.75])
def test_the_prefill_time_learned_is_right_however_many_prompts_share_a_pass(busy_ratio: float) -> None:
    assert learned(busy_ratio) == pytest.approx((1.0, 1.0, 1.0), rel=0.08)


def test_a_pool_that_is_overrun_errs_to_the_slow_side_and_not_far() -> None:
    assert all(1.0 <= factor <= 1.25 for factor in learned(1.5))
