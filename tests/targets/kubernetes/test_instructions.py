"""Stacks that no API scales: the exact file, keys and values for a person."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from autoscaler.core.policy import Role
from autoscaler.core.snapshot import PoolState
from autoscaler.targets.base import Outcome, WriteResult
from autoscaler.targets.kubernetes.aim import Service, aim
from autoscaler.targets.kubernetes.build import role_target
from autoscaler.targets.kubernetes.specs.load import SPECS, load_spec, spec_names
from autoscaler.targets.kubernetes.specs.problems import SpecError
from autoscaler.targets.role import RoleReading, RoleTarget
from tests.support.kube import FakeCluster
from tests.targets.kubernetes.conftest import ClientOn

MINDIE = [name for name in spec_names() if load_spec(name).instructions is not None]


@dataclass
class Metrics:
    """Counts from elsewhere; writing there would be a mistake."""

    current: int = 2
    reads: list[int] = field(default_factory=list)

    def read(self) -> RoleReading:
        self.reads.append(self.current)
        return RoleReading(PoolState(self.current, self.current))

    def write(self, replicas: int, *, basis: str, dry_run: bool) -> WriteResult:
        raise AssertionError(f"{replicas} {basis} {dry_run}")


def instructed(cluster: FakeCluster, client_on: ClientOn, name: str, role: Role) -> RoleTarget:
    service = Service("mindie", "chat")
    return role_target(client_on(cluster), load_spec(name), service, role, reader=Metrics())


@pytest.mark.parametrize(
    ("name", "role", "words"),
    [
        (
            "mindie-classic",
            Role.PREFILL,
            "In file ms_controller.json (ConfigMap mindie-ms-controller-config, namespace mindie)",
        ),
        ("mindie-classic", Role.PREFILL, "set key default_p_rate to 3;"),
        ("mindie-classic", Role.PREFILL, "change the replicas of mindie-server by +1 instances"),
        ("mindie-classic", Role.DECODE, "set key default_d_rate to 3;"),
        ("mindie-large-ep", Role.PREFILL, "set key p_instances_scale_num to +1 and d_instances_scale_num to 0"),
        ("mindie-large-ep", Role.DECODE, "set key d_instances_scale_num to +1 and p_instances_scale_num to 0"),
        ("mindie-pymotor", Role.PREFILL, "In file user_config.json set key p_instances_num to 3"),
        ("mindie-pymotor", Role.DECODE, "In file user_config.json set key d_instances_num to 3"),
    ],
)
def test_an_instruction_names_file_key_and_value(
    fake_kube_api: FakeCluster, client_on: ClientOn, name: str, role: Role, words: str
) -> None:
    target = instructed(fake_kube_api, client_on, name, role)

    result = target.write(3, basis=target.read().basis, dry_run=False)

    assert result.outcome is Outcome.INSTRUCTED
    assert words in result.message
    assert f"chat: {role} 2 to 3 instances" in result.message


@pytest.mark.parametrize("name", MINDIE)
def test_an_instruction_sends_nothing(fake_kube_api: FakeCluster, client_on: ClientOn, name: str) -> None:
    target = instructed(fake_kube_api, client_on, name, Role.PREFILL)

    target.write(3, basis=target.read().basis, dry_run=False)

    assert fake_kube_api.api.log.count() == 0


@pytest.mark.parametrize("name", MINDIE)
def test_an_instruction_never_takes_a_role_to_zero(fake_kube_api: FakeCluster, client_on: ClientOn, name: str) -> None:
    result = instructed(fake_kube_api, client_on, name, Role.PREFILL).write(0, basis="", dry_run=False)

    assert result.outcome is Outcome.REFUSED


def test_an_instruction_needs_somewhere_to_read_from(fake_kube_api: FakeCluster, client_on: ClientOn) -> None:
    with pytest.raises(SpecError, match="the present count has to come from metrics"):
        role_target(client_on(fake_kube_api), load_spec("mindie-classic"), Service("ns", "chat"), Role.PREFILL)


def test_an_instruction_for_another_role_is_refused(fake_kube_api: FakeCluster, client_on: ClientOn) -> None:
    text = {"decode": "set d to {replicas}"}
    spec = SPECS.parse({"name": "mine", "title": "Mine", "shape": "instruction", "instructions": text}, "mine")

    with pytest.raises(SpecError, match="target mine has no prefill role; it has decode"):
        role_target(client_on(fake_kube_api), spec, Service("ns", "chat"), Role.PREFILL, reader=Metrics())


def test_an_instruction_has_no_object_to_look_at() -> None:
    with pytest.raises(SpecError, match="only gives instructions"):
        aim(load_spec("mindie-classic"), Service("ns", "chat"), Role.PREFILL)
