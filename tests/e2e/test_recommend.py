"""`recommend` against a real Prometheus and the fake API server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from autoscaler.cli.exits import ExitCode
from autoscaler.cli.main import app
from tests.e2e.conftest import MakeLive
from tests.e2e.gate import Gate
from tests.e2e.live import LiveService
from tests.support.kube import FakeCluster


@pytest.fixture
def live(make_live: MakeLive) -> LiveService:
    return make_live()


def recommend(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Run the command without any cluster but the one that is named."""
    nowhere = {"HOME": str(folder), "KUBECONFIG": None, "KUBERNETES_SERVICE_HOST": None, "TERM": "dumb"}
    result = CliRunner(env=nowhere).invoke(app, ["recommend", *arguments])
    return result.exit_code, result.stdout, result.stderr


def kubeconfig(cluster: FakeCluster, folder: Path) -> str:
    return str(cluster.kubeconfig(folder / "kubeconfig"))


def prefill_of(out: str) -> dict[str, Any]:
    (found,) = json.loads(out)
    prefill: dict[str, Any] = found["roles"]["prefill"]
    return prefill


def test_a_change_is_code_10_and_no_write_is_sent(live: LiveService, gate: Gate, tmp_path: Path) -> None:
    policy = live.write_policy(tmp_path, gate.url, mode="enforce")

    code, out, _ = recommend(tmp_path, str(policy), "--kubeconfig", kubeconfig(live.cluster, tmp_path), "-o", "json")

    assert code == ExitCode.CHANGE
    assert prefill_of(out)["current"] == 2
    assert prefill_of(out)["desired"] > 2
    assert json.loads(out)[0]["mode"] == "recommend"
    assert live.cluster.api.log.count("get", "deployments/scale") == 2
    assert live.cluster.api.log.writes() == []


def test_a_shrink_is_shown_without_waiting_for_its_window(make_live: MakeLive, gate: Gate, tmp_path: Path) -> None:
    quiet = make_live(arrivals_per_s=0.5)
    policy = quiet.write_policy(tmp_path, gate.url)

    code, out, _ = recommend(tmp_path, str(policy), "--kubeconfig", kubeconfig(quiet.cluster, tmp_path), "-o", "json")

    assert code == ExitCode.CHANGE
    assert prefill_of(out)["desired"] == 1


def test_no_change_is_code_0(live: LiveService, gate: Gate, tmp_path: Path) -> None:
    two = {"min": 2, "max": 2}
    policy = live.write_policy(tmp_path, gate.url, prefill=two, decode=two)

    code, out, _ = recommend(tmp_path, str(policy), "--kubeconfig", kubeconfig(live.cluster, tmp_path), "-o", "json")

    assert prefill_of(out)["reason"] == "at_max"
    assert code == ExitCode.OK


def test_without_a_cluster_replicas_come_from_the_metrics(live: LiveService, gate: Gate, tmp_path: Path) -> None:
    policy = live.write_policy(tmp_path, "http://127.0.0.1:1")

    code, out, _ = recommend(tmp_path, "-p", str(policy), "--prometheus", gate.url, "-o", "yaml")

    assert code == ExitCode.CHANGE
    assert yaml.safe_load(out)[0]["roles"]["prefill"]["current"] == 2


def test_the_table_says_why_in_words(live: LiveService, gate: Gate, tmp_path: Path) -> None:
    policy = live.write_policy(tmp_path, gate.url)

    _, out, _ = recommend(tmp_path, str(policy))

    assert "2/2 -> " in out
    assert "TTFT p95 of 2 s" in out
    assert "\x1b" not in out


def test_unhealthy_signals_are_code_3_and_the_reason_is_on_stderr(
    live: LiveService, gate: Gate, tmp_path: Path
) -> None:
    policy = live.write_policy(tmp_path, gate.url)
    gate.shut()

    code, out, err = recommend(tmp_path, str(policy), "--kubeconfig", kubeconfig(live.cluster, tmp_path), "-o", "json")

    assert code == ExitCode.UNHEALTHY
    assert prefill_of(out)["desired"] == 2
    assert "cannot be reached" in err


def test_a_healthy_service_that_wants_a_change_outweighs_a_sick_one(
    live: LiveService, make_live: MakeLive, gate: Gate, tmp_path: Path
) -> None:
    sick = make_live()
    live.write_policy(tmp_path, gate.url)
    sick.write_policy(tmp_path, "http://127.0.0.1:1")

    code, out, _ = recommend(tmp_path, str(tmp_path), "-o", "json")

    assert code == ExitCode.CHANGE
    assert [found["service"] for found in json.loads(out)] == sorted([live.name, sick.name])
