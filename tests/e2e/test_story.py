"""Traffic comes and goes; the Deployments follow."""

from __future__ import annotations

from autoscaler.core.policy import Role
from tests.e2e.stage import INTERVAL_S, SHRINK_WINDOW_S, Stage


def test_prefill_grows_with_a_traffic_step_and_shrinks_one_window_after_its_end(stage: Stage) -> None:
    stage.run(30.0)
    assert stage.replicas(Role.PREFILL) == 2

    stage.fluid.arrivals_per_s = 10.0  # work for four busy replicas
    stage.run(60.0)
    grown = stage.replicas(Role.PREFILL)
    assert grown >= 5
    assert stage.fluid.waiting == 0.0

    stage.run(120.0)
    stage.fluid.arrivals_per_s = 2.0
    stage.run(SHRINK_WINDOW_S - INTERVAL_S)
    assert stage.replicas(Role.PREFILL) >= grown

    stage.run(2 * SHRINK_WINDOW_S)
    assert stage.replicas(Role.PREFILL) == 2


def test_decode_follows_its_own_signals(stage: Stage) -> None:
    stage.fluid.output_tokens = 1500.0  # the same requests, each seven times as long in decode
    stage.run(180.0)

    assert stage.replicas(Role.DECODE) >= 4
    assert stage.replicas(Role.PREFILL) == 2


def test_the_deployments_carry_the_numbers_of_the_decision(stage: Stage) -> None:
    stage.fluid.arrivals_per_s = 10.0
    decision = stage.tick().decision

    assert decision is not None
    assert decision.changed
    assert {role: stage.replicas(role) for role in decision.roles} == {
        role: decided.desired for role, decided in decision.roles.items()
    }
