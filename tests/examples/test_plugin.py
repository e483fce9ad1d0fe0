"""The example plug-in as a user gets it: built, installed, named in a policy, deciding."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from autoscaler.core.decide import decide
from autoscaler.core.policy import Role
from autoscaler.core.signals import Scope, measured
from autoscaler.core.snapshot import PoolState, Snapshot
from autoscaler.core.state import State
from tests.config.builders import error, policy

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin"
AT_S = 1_700_000_000.0
CHOICE = "spec.roles.decode.policy"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet")
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "--target", target, EXAMPLE], check=True)
    return target


def test_the_example_decides_for_its_pool(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(installed)
    core = policy({CHOICE: {"name": "requests-per-replica", "settings": {"requestsPerReplica": 8}}}).core()
    pools = {Role.PREFILL: PoolState(1, 1), Role.DECODE: PoolState(3, 3)}
    signals = {Scope.DECODE: {"running": measured(30, "requests", 1.0), "waiting": measured(2, "requests", 1.0)}}

    decision, _ = decide(core, Snapshot(core.service, AT_S, pools, signals, {}), State(started_at_s=0.0), AT_S)

    decode = decision.roles[Role.DECODE]
    assert decode.desired == 4
    assert decode.stages[0].detail == "role policy requests-per-replica: 32 requests, 8 to a replica"


def test_the_example_wants_its_setting(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(installed)

    found = error({CHOICE: {"name": "requests-per-replica"}})

    assert found.path == f"{CHOICE}.settings.requestsPerReplica"
    assert "is missing" in found.message


def test_without_the_package_the_policy_is_refused() -> None:
    found = error({CHOICE: {"name": "requests-per-replica", "settings": {"requestsPerReplica": 8}}})

    assert found.path == f"{CHOICE}.name"
    assert "no role policy that is installed here" in found.message
