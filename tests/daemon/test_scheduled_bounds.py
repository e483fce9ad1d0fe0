from __future__ import annotations

from dataclasses import replace

from autoscaler.core.policy import Role, ServicePolicy
from autoscaler.daemon.service import ServiceRunner
from tests.daemon.builders import START_S, Bench


def doubled_after_an_hour(policy: ServicePolicy, now_s: float) -> ServicePolicy:
    if now_s < START_S + 3600:
        return policy
    prefill = replace(policy.roles[Role.PREFILL], min_replicas=4, schedule="rush")
    return replace(policy, roles={**policy.roles, Role.PREFILL: prefill})


def test_the_bounds_of_the_moment_are_those_that_count() -> None:
    bench = Bench()
    runner = ServiceRunner(bench.policy, bench.source, bench.target, bench.store, bench.log, at=doubled_after_an_hour)

    before, after = runner.tick(START_S), runner.tick(START_S + 3600)

    assert before.decision is not None
    assert after.decision is not None
    assert before.decision.roles[Role.PREFILL].desired == 2
    assert after.decision.roles[Role.PREFILL].desired == 4
    assert bench.target.counts[Role.PREFILL] == 4
