"""`release` after a daemon has scaled: what was there before comes back, or another autoscaler takes over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from autoscaler.cli.main import app
from autoscaler.config import load_paths
from autoscaler.core.policy import Role
from autoscaler.daemon.assembly import connections
from autoscaler.daemon.service import ServiceRunner
from autoscaler.daemon.state_config_map import ConfigMapStateStore
from autoscaler.daemon.state_store import FileStateStore, StateStore
from autoscaler.daemon.surroundings import Surroundings
from autoscaler.kube.api import KubeApi
from autoscaler.targets.kubernetes.connection import configure
from tests.daemon.builders import HandClock, capturing
from tests.e2e.stage import policy_document
from tests.support.kube import FakeCluster
from tests.support.kube_api import Fault
from tests.support.kube_api.manifests import deployment

INTERVAL_S = 15.0


class Yard:
    """A cluster in which a daemon has grown prefill and decode from 2 to 4 replicas, in two steps."""

    def __init__(self, cluster: FakeCluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        for role in ("prefill", "decode"):
            cluster.create("deployments", deployment(f"chat-{role}", replicas=2))
        self.kubeconfig = str(cluster.kubeconfig(folder / "kubeconfig"))
        self.policy = folder / "chat.yaml"
        self.states = FileStateStore(folder / "state")

    def run_daemon(self, store: StateStore, *, least: tuple[int, ...] = (3, 4), mode: str = "enforce") -> None:
        """Tick once for each least number of replicas."""
        clock, (log, _) = HandClock(), capturing()
        for low in least:
            self.write_policy(low, mode)
            (loaded,) = load_paths([self.policy])
            around = Surroundings(kubeconfig=self.kubeconfig)
            source, target = connections(loaded.policy, around, clock, log, writes=True)
            runner = ServiceRunner(loaded.policy.core(), source, target, store, log)
            runner.tick(clock.now_s())
            runner.close()
            clock.at_s += INTERVAL_S

    def write_policy(self, low: int, mode: str) -> None:
        document = policy_document("chat", self.cluster.namespace, "http://127.0.0.1:1", mode=mode)
        for role in document["spec"]["roles"].values():
            role["min"] = low
        self.policy.write_text(yaml.safe_dump(document))

    def release(self, *options: str) -> tuple[int, str, str]:
        """The command's exit code, output and complaints."""
        done = CliRunner().invoke(app, ["release", str(self.policy), "--kubeconfig", self.kubeconfig, *options])
        return done.exit_code, done.stdout, done.stderr

    def release_from_files(self) -> tuple[int, str, str]:
        return self.release("--state-dir", str(self.folder / "state"))

    def replicas(self) -> dict[str, int]:
        return {
            role: self.cluster.get("apps/v1", "deployments", f"chat-{role}")["spec"]["replicas"]
            for role in ("prefill", "decode")
        }

    def add_hpa(self, role: Role) -> None:
        spec: dict[str, Any] = {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"chat-{role}"},
            "maxReplicas": 9,
        }
        hpa = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"}}
        self.cluster.create("horizontalpodautoscalers", {**hpa, "spec": spec})


@pytest.fixture
def yard(fake_kube_api: FakeCluster, tmp_path: Path) -> Yard:
    made = Yard(fake_kube_api, tmp_path)
    made.run_daemon(made.states)
    assert made.replicas() == {"prefill": 4, "decode": 4}
    return made


def test_what_was_there_before_the_first_change_comes_back(yard: Yard) -> None:
    code, out, err = yard.release_from_files()

    assert code == 0
    assert "chat: prefill back from 4 to 2 replicas" in out
    assert "mode is enforce" in err
    assert yard.replicas() == {"prefill": 2, "decode": 2}


def test_it_is_given_back_once(yard: Yard) -> None:
    yard.release_from_files()
    yard.cluster.patch("apps/v1", "deployments", "chat-prefill", {"spec": {"replicas": 7}})

    code, out, _ = yard.release_from_files()

    assert code == 0
    assert "stays at 7 replicas: no change from here is left to take back" in out
    assert yard.replicas()["prefill"] == 7


def test_memory_in_the_cluster_serves_as_well(yard: Yard) -> None:
    yard.cluster.patch("apps/v1", "deployments", "chat-decode", {"spec": {"replicas": 3}})
    api = KubeApi(configure(kubeconfig=yard.kubeconfig))
    yard.run_daemon(ConfigMapStateStore(api, yard.cluster.namespace, "pd-autoscaler"), least=(4,))
    api.close()

    code, out, _ = yard.release("--state", "configmap", "--lease-namespace", yard.cluster.namespace)

    assert code == 0
    assert "decode back from 4 to 3 replicas" in out


def test_a_pool_that_an_hpa_scales_is_left_to_it(yard: Yard) -> None:
    yard.add_hpa(Role.DECODE)

    code, out, _ = yard.release_from_files()

    assert code == 0
    assert "decode left at 4 replicas to HorizontalPodAutoscaler serving/h" in out
    assert yard.replicas() == {"prefill": 2, "decode": 4}


def test_an_hpa_that_sleeps_at_0_replicas_is_woken(yard: Yard) -> None:
    yard.add_hpa(Role.PREFILL)
    yard.cluster.patch("apps/v1", "deployments", "chat-prefill", {"spec": {"replicas": 0}})

    code, out, _ = yard.release_from_files()

    assert code == 0
    assert "for HorizontalPodAutoscaler serving/h to go on from" in out
    assert yard.replicas()["prefill"] == 2


def test_one_that_fails_is_told_remembered_and_can_be_tried_again(yard: Yard) -> None:
    yard.cluster.api.faults.add(Fault(1, verb="patch", resource="deployments/scale", code=503))

    code, out, _ = yard.release_from_files()
    assert code == 3
    assert "not given back" in out
    assert "503" in out

    assert yard.release_from_files()[0] == 0
    assert yard.replicas() == {"prefill": 2, "decode": 2}


def test_an_adviser_leaves_nothing_to_give_back(fake_kube_api: FakeCluster, tmp_path: Path) -> None:
    made = Yard(fake_kube_api, tmp_path)
    made.run_daemon(made.states, mode="recommend")

    code, out, err = made.release_from_files()

    assert (code, err) == (0, "")
    assert "prefill stays at 2 replicas" in out


def test_memory_that_ended_with_the_daemon_is_no_help(yard: Yard) -> None:
    done = CliRunner().invoke(app, ["release", str(yard.policy)])

    assert "--state memory" in str(done.exception)
    assert yard.replicas() == {"prefill": 4, "decode": 4}


def test_a_folder_that_is_not_there_is_refused_and_not_made(yard: Yard) -> None:
    mistyped = yard.folder / "sate"

    done = CliRunner().invoke(app, ["release", str(yard.policy), "--state-dir", str(mistyped)])

    assert "no such folder" in str(done.exception)
    assert not mistyped.exists()


def test_a_memory_that_knows_nothing_of_the_service_gives_nothing_back_and_says_so(yard: Yard) -> None:
    other = yard.folder / "other"
    other.mkdir()

    code, out, _ = yard.release("--state-dir", str(other))

    assert code == 3
    assert "prefill stays at 4 replicas: nothing is remembered of chat here" in out
    assert yard.replicas() == {"prefill": 4, "decode": 4}


def test_a_pool_that_an_hpa_scales_is_left_to_it_whatever_is_remembered(yard: Yard) -> None:
    other = yard.folder / "other"
    other.mkdir()
    yard.add_hpa(Role.DECODE)

    _, out, _ = yard.release("--state-dir", str(other))

    assert "decode left at 4 replicas to HorizontalPodAutoscaler serving/h" in out
