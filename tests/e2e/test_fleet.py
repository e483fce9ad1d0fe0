"""Several daemons on one API server: elected, killed, cut off; over real HTTP, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest

from autoscaler.core.policy import RateRule, Role, RuleKind
from autoscaler.daemon.election import Election
from autoscaler.daemon.service import ServiceRunner
from autoscaler.daemon.state_config_map import ConfigMapStateStore
from autoscaler.kube.api import KubeApi
from autoscaler.targets.kubernetes.connection import configure, connect
from autoscaler.targets.kubernetes.refs import ObjectRef
from tests.daemon.builders import HandClock, ScriptedSource, capturing, crowded_decode_signals, policy, role_policy
from tests.support.kube import FakeCluster
from tests.support.kube_api import DeploymentController, Fault
from tests.support.kube_api.manifests import deployment
from tests.support.scale_target import ScaledPool, ScaleTarget

INTERVAL_S, TURN_S = 15.0, 2.0
RATE_PODS, RATE_S = 2, 60.0
POLICY = policy(decode=role_policy(1, 1000, RateRule(RuleKind.PODS, RATE_PODS, RATE_S)))


class Member:
    """One daemon: election, state and target over HTTP; decode wants more than it may ever have."""

    def __init__(self, fleet: Fleet, name: str) -> None:
        self.name = name
        self._stack = ExitStack()
        log, self.lines = capturing()
        namespace, path = fleet.cluster.namespace, str(fleet.kubeconfig)
        api = KubeApi(configure(kubeconfig=path), timeout_s=2.0)
        self._stack.callback(api.close)
        self.election = Election(api, namespace, "pd", name, fleet.clock, log)
        self.election.stand_for(["chat"])
        pools = {role: ScaledPool(ObjectRef.deployment(namespace, f"chat-{role}")) for role in POLICY.roles}
        self.runner = ServiceRunner(
            POLICY,
            ScriptedSource(crowded_decode_signals()),
            ScaleTarget(connect(kubeconfig=path, timeout_s=2.0), pools),
            ConfigMapStateStore(api, namespace, "pd"),
            log,
            may_write=lambda: self.election.may_write("chat"),
        )
        self._next_tick_s = self._next_turn_s = fleet.clock.at_s

    def live(self, now_s: float) -> None:
        """Do what is due."""
        if now_s >= self._next_turn_s:
            self.election.turn()
            self._next_turn_s = now_s + TURN_S
        if now_s >= self._next_tick_s:
            self.runner.tick(now_s)
            self._next_tick_s = now_s + INTERVAL_S

    def end(self) -> None:
        """As a kill; but let go of sockets, which a kill would do too."""
        self.election.close(release=False)
        self.runner.close()
        self._stack.close()


class Fleet:
    """Daemons that share a service."""

    def __init__(self, cluster: FakeCluster, folder: Path) -> None:
        self.cluster = cluster
        self.clock = HandClock()
        self.kubeconfig = cluster.kubeconfig(folder / "kubeconfig")
        self.members: list[Member] = []
        self.counts: list[tuple[float, int]] = []
        self.writers: set[str] = set()
        DeploymentController(cluster.api, self.clock.now_s)
        for role in POLICY.roles:
            cluster.create("deployments", deployment(f"chat-{role}", replicas=2))

    def add(self, name: str) -> None:
        self.members.append(Member(self, name))

    def kill(self, name: str) -> None:
        (member,) = (one for one in self.members if one.name == name)
        self.members.remove(member)
        member.end()

    def leaders(self) -> list[str]:
        return [member.name for member in self.members if member.election.may_write("chat")]

    def run(self, seconds: float) -> None:
        """Time passes from turn to turn; each member does what is due, and only who holds the lease writes."""
        log = self.cluster.api.log
        for _ in range(round(seconds / TURN_S)):
            self.clock.at_s += TURN_S
            for member in self.members:
                before = log.count("patch", "deployments/scale")
                member.live(self.clock.at_s)
                if log.count("patch", "deployments/scale") > before:
                    self.writers.add(member.name)
                    lease = self.stored("coordination.k8s.io/v1", "leases", "pd.chat")
                    assert lease["spec"]["holderIdentity"] == member.name
                assert len(self.leaders()) <= 1
            self.counts.append((self.clock.at_s, self.decode()))

    def decode(self) -> int:
        return int(self.stored("apps/v1", "deployments", "chat-decode")["spec"]["replicas"])

    def stored(self, api_version: str, plural: str, name: str) -> dict[str, Any]:
        """An object as the server has it; not over HTTP, where the faults are that are meant for the daemons."""
        api = self.cluster.api
        return api.store.get(api.address(api_version, plural, self.cluster.namespace, name))

    def check_rate(self) -> None:
        """However often the lead changed, growth kept to its rate."""
        for at_s, count in self.counts:
            least = min(n for s, n in self.counts if at_s - RATE_S < s <= at_s)
            assert count - least <= RATE_PODS


@pytest.fixture
def fleet(fake_kube_api: FakeCluster, tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(fake_kube_api, tmp_path)
    yield made
    for member in made.members:
        member.end()


def test_one_leads_and_when_it_is_killed_the_other_takes_over_within_a_lease(fleet: Fleet) -> None:
    fleet.add("a_1")
    fleet.run(20.0)
    fleet.add("b_1")
    fleet.run(70.0)
    assert (fleet.leaders(), fleet.writers) == (["a_1"], {"a_1"})

    fleet.kill("a_1")
    fleet.run(18.0)

    assert fleet.leaders() == ["b_1"]
    fleet.run(90.0)
    assert fleet.writers == {"a_1", "b_1"}
    fleet.check_rate()


def test_a_daemon_that_comes_back_goes_on_where_the_last_one_stopped(fleet: Fleet) -> None:
    fleet.add("a_1")
    fleet.run(40.0)
    fleet.kill("a_1")

    fleet.add("a_2")
    fleet.run(120.0)

    assert fleet.writers == {"a_1", "a_2"}
    fleet.check_rate()


@pytest.mark.parametrize("seed", range(3))
def test_in_a_cluster_with_bad_luck_there_is_one_writer_and_the_rate_holds(fleet: Fleet, seed: int) -> None:
    luck = Random(seed)  # noqa: S311 (luck is no secret)
    fleet.add("a_0")
    fleet.add("b_0")

    for number in range(1, 30):
        event = luck.choice(["quiet", "quiet", "error", "cut", "kill", "sleep"])
        if event in ("error", "cut"):
            resource = luck.choice(["leases", "configmaps", "deployments/scale"])
            code, times = (503 if event == "error" else 0), luck.randrange(1, 8)
            fleet.cluster.api.faults.add(Fault(times, resource=resource, code=code, cut=event == "cut"))
        elif event == "kill":
            name = luck.choice(fleet.members).name
            fleet.kill(name)
            fleet.add(f"{name[0]}_{number}")
        elif event == "sleep":
            fleet.clock.at_s += luck.uniform(1.0, 40.0)
        fleet.run(luck.uniform(2.0, 14.0))

    fleet.run(120.0)
    assert fleet.decode() > 2 + 2 * RATE_PODS
    fleet.check_rate()


def test_decode_alone_is_what_grows(fleet: Fleet) -> None:
    """Else the writes that the tests above count could be prefill's."""
    fleet.add("a_1")

    fleet.run(90.0)

    names = {request.name for request in fleet.cluster.api.log.all("patch", "deployments/scale")}
    assert names == {f"chat-{Role.DECODE}"}
