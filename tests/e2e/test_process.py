"""The real program: started, looked at, told to stop, killed, started again."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autoscaler.core.policy import Role
from autoscaler.kube.crd import definition
from tests.e2e.conftest import MakeLive
from tests.e2e.gate import Gate
from tests.e2e.live import LiveService
from tests.e2e.program import Program, Start, arguments_for
from tests.e2e.stage import policy_document
from tests.support.prometheus import wait_until

TWO_PODS_IN_TEN_MINUTES = {"behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 600}]}}}


@pytest.fixture
def live(make_live: MakeLive) -> LiveService:
    return make_live()


@pytest.fixture
def with_a_terminal() -> Iterator[None]:
    """As the tests are where nohup did not start them, which what they start would inherit."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("with_a_terminal")
@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_acts_answers_and_leaves_with_code_0_when_told_to(
    live: LiveService, gate: Gate, start: Start, tmp_path: Path, with_signal: signal.Signals
) -> None:
    program = start(*arguments_for(live, tmp_path, gate.url, prefill=TWO_PODS_IN_TEN_MINUTES))

    line = program.wait_for("scale")
    assert (line["service"], line["outcome"]) == (live.name, "applied")
    wait_until(lambda: live.replicas(Role.PREFILL) == 4, "prefill at 4")
    wait_until(lambda: program.ticks() >= 2, "two ticks")
    assert program.get("/healthz") == program.get("/readyz") == "ok\n"
    assert program.metric("pd_autoscaler_desired_replicas", role="prefill", service=live.name) == 4.0

    assert program.end(with_signal) == 0
    assert program.lines("stopped") != []


def test_under_nohup_it_outlives_its_terminal(live: LiveService, gate: Gate, tmp_path: Path) -> None:
    under_nohup = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); from autoscaler.cli.main import app; app()"
    )
    arguments = arguments_for(live, tmp_path, gate.url)
    program = Program(tmp_path, *arguments, command=("-c", under_nohup, "run", "--listen", "127.0.0.1:0"))
    try:
        before = program.ticks()
        program.process.send_signal(signal.SIGHUP)

        wait_until(lambda: program.ticks() >= before + 2, "two ticks more")
    finally:
        assert program.end(signal.SIGTERM) == 0


def test_a_kill_and_a_restart_make_no_second_step(live: LiveService, gate: Gate, start: Start, tmp_path: Path) -> None:
    arguments = arguments_for(live, tmp_path, gate.url, prefill=TWO_PODS_IN_TEN_MINUTES)
    arguments += ["--state-dir", str(tmp_path / "state")]
    first = start(*arguments)
    wait_until(lambda: live.replicas(Role.PREFILL) == 4, "prefill at 4")
    assert first.end(signal.SIGKILL) == -signal.SIGKILL

    second = start(*arguments)
    wait_until(lambda: second.ticks() >= 3, "three ticks")

    assert live.replicas(Role.PREFILL) == 4
    assert [line for line in second.lines("scale") if line["role"] == "prefill"] == []


def test_of_two_daemons_one_writes_and_the_other_takes_over_when_it_leaves(
    live: LiveService, gate: Gate, start: Start, tmp_path: Path
) -> None:
    name = f"pd.{live.name}"
    free = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": {}}
    live.cluster.create("leases", free)
    arguments = arguments_for(live, tmp_path, gate.url, prefill=TWO_PODS_IN_TEN_MINUTES)
    arguments += ["--leader-elect", "--state", "configmap", "--lease-namespace", "serving", "--lease-name", "pd"]
    first = start(*arguments)
    wait_until(lambda: live.replicas(Role.PREFILL) == 4, "prefill at 4", timeout_s=20.0)
    folder = tmp_path / "second"
    folder.mkdir()
    second = Program(folder, *arguments)
    try:
        wait_until(lambda: second.ticks() >= 2, "two ticks", timeout_s=20.0)
        assert second.lines("leads") == second.lines("scale") == []
        assert second.metric("pd_autoscaler_leads", service=live.name) == 0.0

        assert first.end(signal.SIGTERM) == 0
        second.wait_for("leads")
        assert live.cluster.get("v1", "configmaps", name)["metadata"]["labels"]
        assert live.replicas(Role.PREFILL) == 4
    finally:
        second.end(signal.SIGTERM)


def test_a_bad_edit_keeps_the_last_good_policy_and_a_good_one_takes_effect(
    live: LiveService, gate: Gate, start: Start, tmp_path: Path
) -> None:
    arguments = arguments_for(live, tmp_path, gate.url, mode="recommend")
    program = start(*arguments)
    program.wait_for("scale")
    policy = tmp_path / "policies" / f"{live.name}.yaml"

    policy.write_text(policy.read_text().replace("stack: vllm", "stak: vllm"))
    message = program.wait_for("trouble")["message"]
    assert "stack" in message
    assert "last good policies stay in force" in message
    assert "last good policies stay in force" in program.get("/")
    assert program.process.poll() is None

    arguments_for(live, tmp_path, gate.url, mode="enforce")
    program.wait_for("service changed")
    wait_until(lambda: live.replicas(Role.PREFILL) > 2, "prefill above 2")
    assert program.lines("recovered") != []


def test_a_policy_that_cannot_be_used_at_the_start_is_code_2_and_nothing_is_written(
    live: LiveService, make_live: MakeLive, gate: Gate, start: Start, tmp_path: Path
) -> None:
    arguments = arguments_for(live, tmp_path, gate.url)
    make_live().write_policy(tmp_path / "policies", gate.url, stack="vlm")

    program = start(*arguments)

    assert program.process.wait(timeout=20.0) == 2
    text = (tmp_path / "log").read_text()
    assert "vlm" in text
    assert "Traceback" not in text
    assert live.cluster.api.log.writes() == []


def test_policies_in_the_cluster_are_followed_and_told_what_becomes_of_them(
    live: LiveService, gate: Gate, start: Start, tmp_path: Path
) -> None:
    cluster, api_version, plural = live.cluster, "pd-autoscaler.io/v1alpha1", "scalingpolicies"
    cluster.define(definition())
    program = start(
        *["--watch-policies", "--namespace", "serving", "--allow-cross-namespace"],
        *["--kubeconfig", str(cluster.kubeconfig(tmp_path / "kubeconfig"))],
    )
    wait_until(program.is_ready, "ready without any policy")

    document = policy_document(live.name, "serving", gate.url, interval="1s")
    document["spec"]["roles"]["prefill"] |= TWO_PODS_IN_TEN_MINUTES
    cluster.create(plural, document)
    wait_until(lambda: live.replicas(Role.PREFILL) == 4, "prefill at 4", timeout_s=20.0)

    def condition(kind: str) -> dict[str, Any]:
        found = cluster.get(api_version, plural, live.name).get("status", {}).get("conditions", [])
        return next((item for item in found if item["type"] == kind), {})

    wait_until(lambda: condition("Active").get("reason") == "Enforcing", "a status")

    def scaled() -> set[tuple[str, str]]:
        events = cluster.request("GET", cluster.path("v1", "events"))[1]["items"]
        about = [event["involvedObject"] for event in events if event["reason"] == "Scaled"]
        return {(one["kind"], one["name"]) for one in about}

    both = {("ScalingPolicy", live.name), ("Deployment", f"{live.name}-prefill")}
    wait_until(lambda: scaled() >= both, "Events on policy and workload")

    cluster.patch(api_version, plural, live.name, {"metadata": {"annotations": {"pd-autoscaler.io/pause": "true"}}})
    wait_until(lambda: condition("Active").get("reason") == "Held", "held", timeout_s=20.0)
    cluster.patch(api_version, plural, live.name, {"spec": {"stack": "vlm"}})
    wait_until(lambda: condition("Ready").get("status") == "False", "refused", timeout_s=20.0)
    assert "vlm" in condition("Ready")["message"]
    assert condition("Active")["reason"] == "Held"

    assert program.end(signal.SIGTERM) == 0
