"""What docs/replay.md says of the simulated service."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from autoscaler.core.policy import Role
from autoscaler.simulation.config import PoolConfig, ServiceConfig
from autoscaler.simulation.run import run
from tests.simulation.services import ENGINE, OBJECTIVES

TEXT = (Path(__file__).parents[2] / "docs" / "replay.md").read_text(encoding="utf-8")
POOL = PoolConfig(ENGINE)
SERVICE = ServiceConfig("chat", {Role.DECODE: POOL}, OBJECTIVES)


@pytest.mark.parametrize(
    "said",
    [
        f"one link of {POOL.link_bytes_per_s / 1e9:g} GB/s",
        f"{SERVICE.transfer.setup_s * 1e3:g} ms before the first byte",
        f"logarithm spread by {POOL.startup_sigma:g}",
        f"at most {SERVICE.drain_grace_s / 60:g} min",
        f"every {SERVICE.monitoring.scrape_interval_s:g} s",
        f"seen {SERVICE.monitoring.delay_s:g} s later",
        f"over {SERVICE.monitoring.rate_window_s / 60:g} min",
        f"{inspect.signature(run).parameters['tail_s'].default / 60:g} min after the load ended",
    ],
)
def test_what_is_assumed_is_what_is_simulated(said: str) -> None:
    assert said in " ".join(TEXT.split())
