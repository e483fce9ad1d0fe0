"""A shrink under load on the simulated service: one step at a time, and no request fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from autoscaler.core.policy import Role
from autoscaler.daemon.draining import DrainingTarget
from autoscaler.daemon.pod_marks import Pod
from autoscaler.simulation.config import Removal
from autoscaler.simulation.results import Results
from autoscaler.simulation.service import Service
from autoscaler.simulation.traces import Trace
from autoscaler.targets.base import Outcome
from autoscaler.targets.simulated import SimulatedTarget
from tests.daemon.builders import capturing
from tests.simulation.services import pool, split

INTERVAL_S = 15.0
STREAM_S = 5.0  # 500 tokens of 10 ms
LOAD_UNTIL_S = 450.0


class Unmarked:
    """The simulation chooses who leaves by itself."""

    def pods(self, role: Role) -> Sequence[Pod]:  # noqa: ARG002 - of no role
        return ()

    def set(self, pods: Sequence[Pod], cost: str | None) -> None:
        raise AssertionError((pods, cost))

    def requests(self, role: Role) -> Mapping[str, float]:  # noqa: ARG002 - of no role
        return {}

    def longest_stream_s(self) -> float | None:
        return None


class SimulatedTime:
    def __init__(self, service: Service) -> None:
        self._service = service

    def now_s(self) -> float:
        return self._service.now_s


def shrunk_under_load(grace_s: float, removal: Removal) -> tuple[Results, list[tuple[int, int]], set[Outcome]]:
    """Both pools go from 6 replicas to 2 while requests keep coming.

    Returns:
        What became of the requests; per tick decode replicas asked for and leaving; what became of the writes.
    """
    arrivals = np.arange(0.0, LOAD_UNTIL_S, 0.8)
    trace = Trace.of(list(arrivals), 100, int(STREAM_S * 100))
    service = Service(split(pool(6), pool(6), drain_grace_s=grace_s, removal=removal), trace)
    nobody = Unmarked()
    target = DrainingTarget(
        SimulatedTarget(service), nobody, nobody, kv_lease_s=30.0, clock=SimulatedTime(service), log=capturing()[0]
    )
    seen, outcomes = [], set()
    for tick in range(1, int(LOAD_UNTIL_S / INTERVAL_S)):
        service.advance_to(tick * INTERVAL_S)
        reading = target.read()
        for role, state in reading.pools.items():
            done = target.write(role, max(state.current - 1, 2), basis=reading.basis[role], dry_run=False)
            outcomes.add(done.outcome)
        decode = target.read().pools[Role.DECODE]
        seen.append((decode.current, decode.terminating))
    service.advance_to(LOAD_UNTIL_S + 10 * STREAM_S)
    return service.finish(), seen, outcomes


@pytest.mark.parametrize("removal", list(Removal))
def test_a_shrink_under_load_fails_no_request(removal: Removal) -> None:
    results, seen, outcomes = shrunk_under_load(300.0, removal)

    assert (results.failed, results.rejected, results.unfinished) == (0, 0, 0)
    assert results.finished == results.arrived > 500
    assert seen[-1] == (2, 0)
    assert max(leaving for _, leaving in seen) == 1
    assert outcomes == {Outcome.APPLIED, Outcome.DEFERRED}


def test_a_grace_period_that_is_shorter_than_the_streams_loses_them() -> None:
    results, _, _ = shrunk_under_load(STREAM_S / 5, Removal.NEWEST)

    assert results.failed > 0
