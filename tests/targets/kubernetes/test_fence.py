"""How long after the check of the lease a change may still arrive: no longer than the timeout of one request."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autoscaler.core.policy import Role
from autoscaler.targets.base import Outcome
from autoscaler.targets.kubernetes.budget import RequestBudget
from autoscaler.targets.kubernetes.client import KubeClient
from autoscaler.targets.kubernetes.connection import from_kubeconfig
from autoscaler.targets.kubernetes.errors import UnavailableError
from autoscaler.targets.kubernetes.refs import ObjectRef
from autoscaler.targets.kubernetes.switches.build import SwitchPlace, make_switch
from autoscaler.targets.kubernetes.switches.load import load_switch
from autoscaler.targets.role import RoleTargets
from autoscaler.targets.switch import Position
from tests.support.crds import definition_of
from tests.support.kube import FakeCluster
from tests.support.kube_api import Fault
from tests.support.kube_api.manifests import deployment
from tests.support.scale_target import ScaledPool, ScaleTarget
from tests.targets.kubernetes.objects import ENDPOINT, create, custom

DECODE = ObjectRef.deployment("serving", "decode")
SIX = {"spec": {"replicas": 6}}


class Line:
    """A budget that is used up: whoever asks waits, and time passes by it alone."""

    def __init__(self, wait_s: float, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.at_s = 100.0
        self._meanwhile = meanwhile
        self.budget = RequestBudget(1.0 / wait_s, 1, clock=self.now_s, sleep=self._sleep)
        self.budget.take(0.0)

    def now_s(self) -> float:
        return self.at_s

    def _sleep(self, seconds: float) -> None:
        self.at_s += seconds
        self._meanwhile()


@pytest.fixture
def cluster(fake_kube_api: FakeCluster) -> FakeCluster:
    fake_kube_api.create("deployments", deployment("decode", replicas=4))
    fake_kube_api.api.log.clear()
    return fake_kube_api


@contextmanager
def client(
    cluster: FakeCluster,
    folder: Path,
    line: Line | None = None,
    *,
    timeout_s: float = 5.0,
    may_write: Callable[[], bool] = lambda: True,
) -> Iterator[KubeClient]:
    configuration = from_kubeconfig(str(cluster.kubeconfig(folder / "kubeconfig")), None)
    clock, budget = (line.now_s, line.budget) if line is not None else (time.monotonic, None)
    made = KubeClient(configuration, timeout_s=timeout_s, clock=clock, budget=budget, may_write=may_write)
    try:
        yield made
    finally:
        made.close()


def replicas(cluster: FakeCluster) -> int:
    return int(cluster.get("apps/v1", "deployments", "decode")["spec"]["replicas"])


def test_a_lease_that_runs_out_while_a_change_waits_for_its_turn_leaves_the_count_alone(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    leads = [True]
    with client(cluster, tmp_path, may_write=lambda: leads[0]) as reader:
        basis = ScaleTarget(reader, {Role.DECODE: ScaledPool(DECODE)}).read().basis[Role.DECODE]
    line = Line(wait_s=4.0, meanwhile=lambda: leads.__setitem__(0, False))

    with client(cluster, tmp_path, line, may_write=lambda: leads[0]) as writer:
        target = ScaleTarget(writer, {Role.DECODE: ScaledPool(DECODE)})
        result = target.write(Role.DECODE, 6, basis=basis, dry_run=False)

    assert result.outcome is Outcome.DEFERRED
    assert "the lease ran out before it; nothing was changed, and whoever leads now decides" in result.message
    assert cluster.api.log.count("patch") == 0


def test_a_lease_that_runs_out_while_a_switch_is_looked_at_leaves_it_alone(
    fake_kube_api: FakeCluster, tmp_path: Path
) -> None:
    fake_kube_api.define(definition_of(ENDPOINT))
    create(fake_kube_api, custom(ENDPOINT, "chat", {"pdSpec": {"routingThreshold": 4096}}))
    fake_kube_api.api.log.clear()

    with client(fake_kube_api, tmp_path, may_write=lambda: not fake_kube_api.api.log.count("get")) as writer:
        place, none = SwitchPlace("serving", "chat"), RoleTargets({}, close=lambda: None)
        result = make_switch(writer, load_switch("hyperpod"), place, none).set(Position.OFF, dry_run=False)

    assert result.outcome is Outcome.DEFERRED
    assert fake_kube_api.api.log.count("patch") == 0


def test_what_a_change_has_waited_for_its_turn_is_off_the_time_that_it_may_take(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    with client(cluster, tmp_path, Line(wait_s=4.5)) as writer:
        writer.patch(DECODE, SIX, subresource="scale")

    (sent,) = cluster.api.log.all("patch")
    assert sent.query["timeout"] == "0.500s"


def test_a_change_that_the_server_would_be_late_with_is_not_made(cluster: FakeCluster, tmp_path: Path) -> None:
    cluster.api.faults.add(Fault(verb="patch", held_s=30.0))

    with client(cluster, tmp_path, timeout_s=0.2) as writer, pytest.raises(UnavailableError):
        writer.patch(DECODE, SIX, subresource="scale")

    assert replicas(cluster) == 4
