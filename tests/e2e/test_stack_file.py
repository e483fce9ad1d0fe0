"""The real program and stack files: beside a policy file, and of the operator's folder for objects in the cluster."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler.core.policy import Role
from autoscaler.kube.crd import definition
from tests.e2e.conftest import MakeLive
from tests.e2e.gate import Gate
from tests.e2e.live import LiveService
from tests.e2e.program import Start
from tests.e2e.stage import policy_document
from tests.support.prometheus import wait_until

STACK = "name: ours\ntitle: vLLM as we scrape it\nlike: vllm\n"


@pytest.fixture
def live(make_live: MakeLive) -> LiveService:
    return make_live()


def document(live: LiveService, url: str, stack_file: str) -> dict[str, Any]:
    found = policy_document(live.name, "serving", url, interval="1s", stackFile=stack_file)
    del found["spec"]["stack"]
    return found


def test_a_policy_with_a_stack_file_beside_it_scales(
    live: LiveService, gate: Gate, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "ours.stack.yaml").write_text(STACK)
    (tmp_path / "chat.yaml").write_text(yaml.safe_dump(document(live, gate.url, "ours.stack.yaml")))
    kubeconfig = live.cluster.kubeconfig(tmp_path / "kubeconfig")

    program = start("--policy", str(tmp_path / "chat.yaml"), "--kubeconfig", str(kubeconfig))

    wait_until(lambda: live.replicas(Role.PREFILL) > 2, "growth of prefill", timeout_s=20.0)
    assert program.end(signal.SIGTERM) == 0


def test_an_object_takes_its_stack_file_from_the_operators_folder_and_nowhere_else(
    live: LiveService, gate: Gate, start: Start, tmp_path: Path
) -> None:
    cluster, api_version, plural = live.cluster, "pd-autoscaler.io/v1alpha1", "scalingpolicies"
    cluster.define(definition())
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "ours.yaml").write_text(STACK)
    (tmp_path / "secret.yaml").write_text("token: s3cret\n")
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump({"policyFiles": str(folder)}))
    cluster.create(plural, document(live, gate.url, "../secret.yaml"))
    program = start(
        *["--watch-policies", "--namespace", "serving", "--allow-cross-namespace"],
        *["--kubeconfig", str(cluster.kubeconfig(tmp_path / "kubeconfig"))],
        *["--settings", str(tmp_path / "settings.yaml")],
    )

    def status() -> dict[str, Any]:
        found: dict[str, Any] = cluster.get(api_version, plural, live.name).get("status", {})
        return {one["type"]: one for one in found.get("conditions", [])}

    wait_until(lambda: status().get("Ready", {}).get("status") == "False", "refused", timeout_s=20.0)
    assert f"is outside of {folder}" in status()["Ready"]["message"]

    cluster.patch(api_version, plural, live.name, {"spec": {"stackFile": "ours.yaml"}})
    wait_until(lambda: live.replicas(Role.PREFILL) > 2, "growth of prefill", timeout_s=20.0)

    assert program.end(signal.SIGTERM) == 0
    assert "s3cret" not in json.dumps(cluster.get(api_version, plural, live.name)) + (tmp_path / "log").read_text()
