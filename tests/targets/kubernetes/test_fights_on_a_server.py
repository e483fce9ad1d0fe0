"""Somebody who puts the count back, on the fake server."""

from __future__ import annotations

from dataclasses import dataclass, field

from autoscaler.core.policy import Role
from autoscaler.targets.base import Outcome
from autoscaler.targets.guarded import GuardedTarget
from autoscaler.targets.kubernetes.build import role_target
from autoscaler.targets.kubernetes.specs.load import load_spec
from autoscaler.targets.role import RoleTargets
from tests.support.kube import FakeCluster
from tests.support.kube_api import RevertingOperator
from tests.targets.kubernetes.cases import case
from tests.targets.kubernetes.conftest import ClientOn
from tests.targets.kubernetes.objects import Case, set_up


@dataclass
class Clock:
    """Time that passes when told."""

    now_s: float = 0.0
    ticks: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now_s


def guarded(cluster: FakeCluster, client_on: ClientOn, scaled: Case, clock: Clock) -> GuardedTarget:
    set_up(cluster, scaled)
    client = client_on(cluster)
    role = role_target(client, load_spec(scaled.spec), scaled.service(cluster.namespace), Role.PREFILL)
    return GuardedTarget(RoleTargets({Role.PREFILL: role}, client.close), clock)


def outcomes(target: GuardedTarget, clock: Clock, ticks: int) -> list[Outcome]:
    found = []
    for _ in range(ticks):
        basis = target.read().basis[Role.PREFILL]
        found.append(target.write(Role.PREFILL, 5, basis=basis, dry_run=False).outcome)
        clock.now_s += 15
    return found


def test_an_operator_that_reverts_its_child_is_named_after_two_reverts(
    fake_kube_api: FakeCluster, client_on: ClientOn
) -> None:
    clock = Clock()
    target = guarded(fake_kube_api, client_on, case("deployment"), clock)
    address = fake_kube_api.api.address("apps/v1", "deployments", fake_kube_api.namespace, "chat")
    RevertingOperator(fake_kube_api.api, address, 3, "vllm-operator")

    assert outcomes(target, clock, 4) == [Outcome.APPLIED, Outcome.APPLIED, Outcome.FROZEN, Outcome.FROZEN]
    (blocker,) = target.read().blockers[Role.PREFILL]
    assert blocker.startswith("frozen: vllm-operator changes the count back")


def test_a_count_that_stays_is_written_once_and_again(fake_kube_api: FakeCluster, client_on: ClientOn) -> None:
    clock = Clock()
    target = guarded(fake_kube_api, client_on, case("stormservice"), clock)

    assert set(outcomes(target, clock, 4)) == {Outcome.APPLIED}
