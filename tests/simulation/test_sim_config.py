"""Services that cannot be simulated are refused with the place and the reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.policy import Role
from autoscaler.simulation.config import SimulationError, TimingTables
from tests.simulation.services import ENGINE, pool, split


@pytest.mark.parametrize(
    ("roles", "reason"),
    [
        ({Role.PREFILL}, "decode or an aggregated"),
        ({Role.PREFILL, Role.AGGREGATED}, "needs a decode pool"),
        (set[Role](), "decode or an aggregated"),
    ],
)
def test_every_phase_needs_a_pool(roles: set[Role], reason: str) -> None:
    with pytest.raises(SimulationError, match=reason):
        split(pools={role: pool() for role in roles})


def test_a_pool_cannot_have_a_negative_size() -> None:
    with pytest.raises(SimulationError, match=r"pools\.decode\.replicas must be at least 0, got -1"):
        split(decode=pool(-1))


def test_kv_must_hold_a_block() -> None:
    with pytest.raises(SimulationError, match=r"pools\.prefill\.engine\.kv_capacity_tokens"):
        split(pool(engine=replace(ENGINE, kv_capacity_tokens=10)))


def test_tables_need_rising_axes_and_matching_shapes() -> None:
    with pytest.raises(SimulationError, match="kv_tokens must be a rising sequence"):
        TimingTables.of([0, 1], [1, 2], [5, 5], [1, 2], [[1, 2], [3, 4]])
    with pytest.raises(SimulationError, match="context_tokens must be a rising sequence"):
        TimingTables.of([0, 1], [1, 2], [5, 6], [1], [[1], [3]])
    with pytest.raises(SimulationError, match=r"step_ms \(2, 2\), got \(2,\) and \(2, 3\)"):
        TimingTables.of([0, 1], [1, 2], [5, 6], [1, 2], [[1, 2, 3], [3, 4, 5]])
