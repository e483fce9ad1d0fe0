"""Prometheus or the API server fails in mid-run: what must not happen, and what must happen after."""

from __future__ import annotations

import time

import pytest

from autoscaler.core.policy import Role
from autoscaler.daemon.tick import Dependency, Tick
from tests.e2e.conftest import MakeStage
from tests.e2e.gate import Gate
from tests.e2e.stage import SHRINK_WINDOW_S, Stage
from tests.support.kube import Cluster, FakeCluster
from tests.support.kube_api import Fault

READ_ONLY = [
    {"apiGroups": ["apps"], "resources": ["deployments", "deployments/scale"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
]


def api_of(stage: Stage) -> FakeCluster:
    assert isinstance(stage.cluster, FakeCluster)
    return stage.cluster


def troubles(done: Tick, dependency: Dependency) -> dict[str, str]:
    return {trouble.subject: trouble.message for trouble in done.troubles if trouble.dependency is dependency}


def test_without_prometheus_nothing_shrinks_and_its_return_needs_no_restart(stage: Stage, gate: Gate) -> None:
    stage.fluid.arrivals_per_s = 10.0
    stage.run(60.0)
    grown = stage.replicas(Role.PREFILL)
    assert grown >= 5

    gate.shut()
    stage.fluid.arrivals_per_s = 2.0
    stage.run(3 * SHRINK_WINDOW_S)
    assert stage.replicas(Role.PREFILL) == grown
    assert "cannot be reached" in troubles(stage.ticks[-1], Dependency.SIGNALS)["prefill"]

    gate.open()
    stage.run(3 * SHRINK_WINDOW_S)
    assert stage.replicas(Role.PREFILL) == 2
    assert stage.ticks[-1].troubles == ()


@pytest.mark.parametrize("code", [409, 429, 500, 503])
def test_a_refused_write_is_not_repeated_blindly_and_the_next_tick_decides_again(fake_stage: Stage, code: int) -> None:
    cluster = api_of(fake_stage)
    cluster.api.faults.add(Fault(verb="patch", resource="deployments/scale", code=code, times=2))
    fake_stage.fluid.arrivals_per_s = 10.0
    cluster.api.log.clear()

    done = fake_stage.tick()
    assert str(code) in troubles(done, Dependency.WRITE)["prefill"]
    assert cluster.api.log.count("patch", "deployments/scale") <= 2  # one a role
    assert fake_stage.replicas(Role.PREFILL) == 2

    fake_stage.run(30.0)
    assert fake_stage.replicas(Role.PREFILL) > 2
    assert fake_stage.ticks[-1].troubles == ()


def test_a_number_that_somebody_else_wrote_in_between_is_not_overwritten(fake_stage: Stage) -> None:
    cluster, name = api_of(fake_stage), f"{fake_stage.service}-prefill"
    prefill = cluster.api.address("apps/v1", "deployments", cluster.namespace, name)
    seen_pods = len(cluster.api.log.all("list", "pods"))

    def write_after_the_read() -> None:
        if cluster.api.log.count("list", "pods") > seen_pods:
            spec = {"replicas": 3}
            cluster.api.store.update(
                prefill, lambda found: {**found, "spec": {**found["spec"], **spec}}, manager="kubectl"
            )

    fake_stage.fluid.arrivals_per_s = 10.0
    cluster.api.before_request.append(write_after_the_read)
    done = fake_stage.tick()
    cluster.api.before_request.clear()

    assert "has 3 replicas, it had 2 when read" in troubles(done, Dependency.WRITE)["prefill"]
    assert fake_stage.replicas(Role.PREFILL) == 3
    again = fake_stage.tick().decision
    assert again is not None
    assert again.roles[Role.PREFILL].current == 3


def test_missing_rights_are_named_with_the_verb_and_leave_the_other_pool_alone(
    kube_api: Cluster, make_stage: MakeStage
) -> None:
    stage = make_stage(kube_api, token=kube_api.service_account("reader", READ_ONLY))
    stage.fluid.arrivals_per_s = 10.0

    done = stage.tick()

    message = troubles(done, Dependency.WRITE)["prefill"]
    assert "403" in message
    assert "patch" in message
    assert "deployments/scale" in message
    assert stage.replicas(Role.PREFILL) == 2


def test_a_write_whose_answer_is_lost_is_seen_by_the_next_tick(fake_stage: Stage) -> None:
    cluster = api_of(fake_stage)
    fake_stage.tick()
    cluster.api.faults.add(Fault(verb="patch", resource="deployments/scale", cut=True))
    fake_stage.fluid.arrivals_per_s = 10.0

    done = fake_stage.tick()
    assert done.decision is not None
    assert troubles(done, Dependency.WRITE) != {}
    assert fake_stage.replicas(Role.PREFILL) == done.decision.roles[Role.PREFILL].desired  # it was carried out

    after = fake_stage.tick()
    assert after.decision is not None
    assert after.decision.roles[Role.PREFILL].current == done.decision.roles[Role.PREFILL].desired


def test_an_api_server_that_says_nothing_holds_a_tick_up_no_longer_than_its_timeout(fake_stage: Stage) -> None:
    cluster = api_of(fake_stage)
    cluster.api.faults.add(Fault(verb="get", resource="deployments/scale", delay_s=8.0))
    fake_stage.fluid.arrivals_per_s = 10.0

    began_s = time.monotonic()
    done = fake_stage.tick()

    assert time.monotonic() - began_s < 7.5
    assert "no answer within 5 s" in troubles(done, Dependency.REPLICAS)["prefill"]
    assert done.decision is not None
    assert Role.DECODE in done.decision.roles
    fake_stage.tick()
    assert fake_stage.replicas(Role.PREFILL) > 2
