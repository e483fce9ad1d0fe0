"""Rows of the failure table that have no test of their own elsewhere: what must not happen, what says so, and after."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from autoscaler.core.decision import Reason, SwitchStep
from autoscaler.core.policy import Role, SwitchPolicy
from autoscaler.core.state import State, SwitchState
from autoscaler.daemon.tick import Dependency
from autoscaler.targets.kubernetes.client import KubeClient
from autoscaler.targets.kubernetes.connection import from_kubeconfig
from autoscaler.targets.kubernetes.errors import UnavailableError
from autoscaler.targets.kubernetes.refs import ObjectRef
from tests.daemon.builders import Bench, policy, role_policy
from tests.e2e.stage import INTERVAL_S, SHRINK_WINDOW_S, Stage
from tests.e2e.test_trouble import api_of, troubles
from tests.support.kube import FakeCluster
from tests.support.kube_api import Fault
from tests.support.kube_api.manifests import deployment
from tests.support.prometheus import TimeSeries

PAUSE_S = 600.0


def counts(stage: Stage) -> tuple[int, int]:
    return stage.replicas(Role.PREFILL), stage.replicas(Role.DECODE)


def test_counters_that_begin_anew_with_a_restarted_engine_are_no_jump_in_demand(fake_stage: Stage) -> None:
    fake_stage.fluid.arrivals_per_s = 5.0
    fake_stage.run(180.0)
    before = counts(fake_stage)

    fake_stage.fluid.restart_engines()
    fake_stage.run(120.0)

    assert all(now <= then for now, then in zip(counts(fake_stage), before, strict=True))


def test_a_service_whose_series_end_is_held_and_goes_on_when_they_return(fake_stage: Stage) -> None:
    fake_stage.fluid.arrivals_per_s = 8.0
    fake_stage.run(300.0)
    grown = counts(fake_stage)

    fake_stage.arriving = lambda _: ()
    fake_stage.fluid.arrivals_per_s = 1.0
    fake_stage.run(420.0)
    assert counts(fake_stage) == grown
    assert set(troubles(fake_stage.ticks[-1], Dependency.SIGNALS)) == {"prefill", "decode"}

    fake_stage.arriving = iter
    fake_stage.run(3 * SHRINK_WINDOW_S)
    assert counts(fake_stage) < grown
    assert fake_stage.ticks[-1].troubles == ()


def test_samples_that_come_late_are_used_until_they_are_stale(fake_stage: Stage) -> None:
    under_way = deque[list[TimeSeries]]()
    lag_ticks = 2

    def late(series: Iterable[TimeSeries]) -> Iterable[TimeSeries]:
        under_way.append(list(series))
        return under_way.popleft() if len(under_way) > lag_ticks else ()

    fake_stage.arriving = late
    fake_stage.fluid.arrivals_per_s = 8.0
    fake_stage.run(300.0)
    grown = counts(fake_stage)
    assert grown[0] > 2
    assert fake_stage.ticks[-1].troubles == ()

    lag_ticks = 16
    fake_stage.fluid.arrivals_per_s = 1.0
    fake_stage.run(2 * SHRINK_WINDOW_S)

    assert counts(fake_stage) == grown
    assert "prefill" in troubles(fake_stage.ticks[-1], Dependency.SIGNALS)


def test_a_target_that_is_deleted_is_named_and_found_again_when_it_is_made_anew(fake_stage: Stage) -> None:
    name = f"{fake_stage.service}-prefill"
    fake_stage.cluster.delete("apps/v1", "deployments", name)

    gone = fake_stage.runner.tick(fake_stage.clock.now_s() + 1.0)
    fake_stage.cluster.create("deployments", deployment(name, replicas=2))
    back = fake_stage.tick()

    assert name in troubles(gone, Dependency.REPLICAS)["prefill"]
    assert "404" in troubles(gone, Dependency.REPLICAS)["prefill"]
    assert gone.decision is not None
    assert Role.DECODE in gone.decision.roles
    assert troubles(back, Dependency.REPLICAS) == {}


def test_an_api_server_that_is_down_stops_nothing_but_writes_and_its_return_needs_no_restart(fake_stage: Stage) -> None:
    cluster = api_of(fake_stage)
    fake_stage.fluid.arrivals_per_s = 10.0
    fake_stage.let_time_pass(INTERVAL_S)  # its own requests must not meet the faults
    cluster.api.faults.add(Fault(times=40, code=503))

    down = fake_stage.runner.tick(fake_stage.clock.now_s())
    while cluster.api.faults.take("get", "deployments").code:
        pass
    fake_stage.run(30.0)

    assert set(troubles(down, Dependency.REPLICAS)) == {"prefill", "decode"}
    assert down.writes == {}
    assert fake_stage.replicas(Role.PREFILL) > 2
    assert fake_stage.ticks[-1].troubles == ()


def test_a_server_that_asks_to_be_left_alone_is(fake_kube_api: FakeCluster, tmp_path: Any) -> None:
    now_s = [0.0]
    kubeconfig = str(fake_kube_api.kubeconfig(tmp_path / "kubeconfig"))
    client = KubeClient(from_kubeconfig(kubeconfig), clock=lambda: now_s[0])
    ref = ObjectRef.deployment("serving", "chat")
    fake_kube_api.create("deployments", deployment("chat"))
    fake_kube_api.api.faults.add(Fault(code=429, retry_after_s=20))
    fake_kube_api.api.log.clear()

    for at_s, asked in ((0.0, 1), (19.0, 1), (20.5, 2)):
        now_s[0] = at_s
        if at_s < 20.0:
            with pytest.raises(UnavailableError, match="the server asks to wait"):
                client.get(ref)
        else:
            client.get(ref)
        assert fake_kube_api.api.log.count("get", "deployments") == asked
    client.close()


def test_a_quota_that_is_used_up_ends_growth_as_a_full_cluster_does(fake_stage: Stage) -> None:
    fake_stage.fluid.arrivals_per_s = 10.0
    fake_stage.quotas[Role.PREFILL] = 3
    fake_stage.run(120.0)

    last = fake_stage.ticks[-1].decision
    assert last is not None
    reasons = {stage.reason for stage in last.roles[Role.PREFILL].stages}
    assert Reason.UNSCHEDULABLE in reasons
    asked = fake_stage.replicas(Role.PREFILL)
    fake_stage.run(120.0)
    assert fake_stage.replicas(Role.PREFILL) <= asked


def quiet(bench: Bench) -> Bench:
    """Decode could do with one replica."""
    signals = dict(bench.source.signals)
    decode = next(scope for scope in signals if scope == "decode")
    low = {"kv_utilization_mean": 0.05, "running": 1.0, "waiting": 0.0}
    bench.source.signals = {
        **signals,
        decode: {name: replace(signals[decode][name], value=value) for name, value in low.items()},
    }
    return bench


def test_a_daemon_that_was_stopped_for_ten_minutes_shrinks_nothing_for_one_window() -> None:
    bench = quiet(Bench(policy(decode=role_policy(window_s=120.0))))
    for _ in range(4):
        bench.tick()
    assert bench.target.counts[Role.DECODE] == 2

    bench.tick(after_s=PAUSE_S)
    assert bench.target.counts[Role.DECODE] == 2
    for _ in range(7):
        bench.tick()
    assert bench.target.counts[Role.DECODE] == 2

    for _ in range(3):
        bench.tick()
    assert bench.target.counts[Role.DECODE] == 1


def test_ticks_that_are_merely_slow_do_not_keep_a_pool_large() -> None:
    bench = quiet(Bench(policy(decode=role_policy(window_s=120.0))))

    for _ in range(10):
        bench.tick(after_s=40.0)

    assert bench.target.counts[Role.DECODE] == 1


def test_a_policy_that_is_deleted_in_mid_switch_leaves_the_step_for_when_it_comes_back() -> None:
    bench = Bench(replace(policy(), switch=SwitchPolicy()))
    step = SwitchState(step=SwitchStep.CLOSING, since_s=bench.now_s - 30.0)
    bench.store.save("chat", State(started_at_s=bench.now_s - 60.0, decided_at_s=bench.now_s, switch=step))
    bench.tick()
    bench.runner.close()
    writes = len(bench.target.writes)

    bench.restart()
    tick = bench.tick(after_s=30.0)

    assert tick.decision is not None
    assert tick.decision.switch is not None
    assert tick.decision.switch.step is SwitchStep.CLOSING
    assert len(bench.target.writes) == writes
