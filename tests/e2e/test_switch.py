"""The daemon's own pipeline turns disaggregation off through the API server, as two stacks do it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from typer.testing import CliRunner

from autoscaler.cli.main import app
from autoscaler.config import load_paths
from autoscaler.core.decision import SwitchStep
from autoscaler.core.policy import Role
from autoscaler.daemon.assembly import connections, require_fit, stack_switch
from autoscaler.daemon.service import ServiceRunner
from autoscaler.daemon.state_store import FileStateStore
from autoscaler.daemon.surroundings import Surroundings
from autoscaler.daemon.tick import Tick
from autoscaler.targets.base import Outcome
from autoscaler.targets.switch import Position
from tests.daemon.builders import HandClock, ScriptedSource, capturing
from tests.e2e.stage import policy_document
from tests.support.kube import FakeCluster, fake_kube_api
from tests.support.kube_api import DeploymentController
from tests.support.kube_api.manifests import deployment
from tests.targets.kubernetes.switches.test_config_map_switch import EPP, add_router, config_map, settle

__all__ = ["fake_kube_api"]


class Daemon:
    """Ticks of one policy in enforce mode at a steady load: the policy's word alone moves the switch."""

    def __init__(self, folder: Path, cluster: FakeCluster, switch: dict[str, Any]) -> None:
        self.cluster = cluster
        self.folder = folder
        self.clock = HandClock()
        DeploymentController(cluster.api, self.clock.now_s)
        for role in ("prefill", "decode"):
            cluster.create("deployments", deployment(f"chat-{role}", replicas=2))
        document = policy_document("chat", cluster.namespace, "http://127.0.0.1:1", stack="llm-d", switch=switch)
        self.policy = folder / "chat.yaml"
        self.policy.write_text(yaml.safe_dump(document))
        (loaded,) = load_paths([self.policy])
        require_fit(loaded.policy)
        self.kubeconfig = str(cluster.kubeconfig(folder / "kubeconfig"))
        around = Surroundings(kubeconfig=self.kubeconfig)
        log, self.lines = capturing()
        _, target = connections(loaded.policy, around, self.clock, log, writes=True)
        made = stack_switch(loaded.policy, around, self.clock, log)
        store = FileStateStore(folder / "state")
        self.runner = ServiceRunner(loaded.policy.core(), ScriptedSource(), target, store, log, switch=made)

    def until(self, done: Callable[[Tick], bool], ticks: int = 30) -> Tick:
        for _ in range(ticks):
            self.clock.at_s += 15.0
            tick = self.runner.tick(self.clock.now_s())
            if done(tick):
                return tick
        raise AssertionError([line for line in self.lines if line["event"] == "switch"])

    def release(self) -> tuple[int, str]:
        """Exit code and words of `release`."""
        state = ["--state-dir", str(self.folder / "state")]
        done = CliRunner().invoke(app, ["release", str(self.policy), "--kubeconfig", self.kubeconfig, *state])
        return done.exit_code, done.stdout

    def replicas(self, role: Role) -> int:
        return int(self.cluster.get("apps/v1", "deployments", f"chat-{role}")["spec"]["replicas"])


def step_of(tick: Tick) -> SwitchStep | None:
    return tick.decision.switch.step if tick.decision is not None and tick.decision.switch is not None else None


def test_where_no_prefill_replica_is_the_switch_prefill_is_emptied_once_and_nobody_fights(
    fake_kube_api: FakeCluster, tmp_path: Path
) -> None:
    daemon = Daemon(tmp_path, fake_kube_api, {"disaggregation": "off"})

    daemon.until(lambda tick: step_of(tick) is SwitchStep.OFF)
    for _ in range(5):
        last = daemon.until(lambda _tick: True)

    daemon.runner.close()
    assert (daemon.replicas(Role.PREFILL), daemon.replicas(Role.DECODE)) == (0, 2)
    assert last.switch is not None
    assert last.switch.position is Position.OFF
    assert last.blockers == {}
    assert fake_kube_api.api.log.count("patch", "deployments/scale") == 1


def test_a_threshold_in_the_pickers_config_map_is_set_to_never_and_the_picker_restarted(
    fake_kube_api: FakeCluster, tmp_path: Path
) -> None:
    fake_kube_api.create("configmaps", config_map(EPP))
    add_router(fake_kube_api)
    target = {"spec": "llm-d-epp", "name": "epp", "key": "config.yaml", "router": "epp", "allowRouterRestart": True}
    daemon = Daemon(tmp_path, fake_kube_api, {"disaggregation": "off", "prefillOff": 1, "target": target})

    closing = daemon.until(lambda tick: step_of(tick) is SwitchStep.CLOSING)
    settle(fake_kube_api)
    daemon.until(lambda tick: step_of(tick) is SwitchStep.DRAINING_PREFILL)

    daemon.runner.close()
    text = fake_kube_api.get("v1", "configmaps", "epp")["data"]["config.yaml"]
    assert "nonCachedTokens: 0  # tuned in March" in text
    assert closing.switched is not None
    assert closing.switched.outcome is Outcome.APPLIED
    assert daemon.replicas(Role.PREFILL) == 2


def test_a_text_that_argo_cd_keeps_as_it_is_in_git_is_left_to_it_before_the_first_move(
    fake_kube_api: FakeCluster, tmp_path: Path
) -> None:
    fake_kube_api.create("configmaps", config_map(EPP))
    path = f"{fake_kube_api.path('v1', 'configmaps', 'epp')}?fieldManager=argocd-controller"
    synced = {"data": {"config.yaml": f"{EPP}# synced"}}
    assert fake_kube_api.request("PATCH", path, synced, content_type="application/merge-patch+json")[0] == 200
    add_router(fake_kube_api)
    target = {"spec": "llm-d-epp", "name": "epp", "key": "config.yaml", "router": "epp", "allowRouterRestart": True}
    daemon = Daemon(tmp_path, fake_kube_api, {"disaggregation": "off", "prefillOff": 1, "target": target})

    closing = daemon.until(lambda tick: step_of(tick) is SwitchStep.CLOSING)
    daemon.runner.close()

    assert closing.switched is not None
    assert closing.switched.outcome is Outcome.REFUSED
    assert closing.switched.message.startswith('Argo CD serving/epp writes data["config.yaml"] of ConfigMap epp')
    assert fake_kube_api.get("v1", "configmaps", "epp")["data"]["config.yaml"] == f"{EPP}# synced"


def test_release_puts_the_threshold_back_that_stood_there_before(fake_kube_api: FakeCluster, tmp_path: Path) -> None:
    fake_kube_api.create("configmaps", config_map(EPP))
    add_router(fake_kube_api)
    target = {"spec": "llm-d-epp", "name": "epp", "key": "config.yaml", "router": "epp", "allowRouterRestart": True}
    daemon = Daemon(tmp_path, fake_kube_api, {"disaggregation": "off", "prefillOff": 1, "target": target})
    daemon.until(lambda tick: step_of(tick) is SwitchStep.CLOSING)
    settle(fake_kube_api)
    daemon.runner.close()

    code, out = daemon.release()

    assert code == 0, out
    assert "chat: switch back to 16 tokens" in out
    assert fake_kube_api.get("v1", "configmaps", "epp")["data"]["config.yaml"] == EPP
