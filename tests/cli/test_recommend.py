"""What needs neither Prometheus nor a cluster; the rest is in tests/e2e."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from autoscaler.cli.exits import CliError, ExitCode
from autoscaler.cli.main import app
from autoscaler.cli.recommend import exit_code, instructions, look_once
from autoscaler.config import load_paths
from autoscaler.core.policy import Mode
from autoscaler.daemon.clock import SteadyClock
from autoscaler.daemon.surroundings import Surroundings
from autoscaler.daemon.tick import Dependency, Tick, Trouble
from autoscaler.targets.base import Outcome, WriteResult
from tests.daemon.builders import Bench, policy, role_policy
from tests.e2e.stage import policy_document
from tests.stacks.fixtures import ROLES
from tests.stacks.test_mindie import DECODE, PREFILL
from tests.support import series_mindie
from tests.support.prometheus import running_prometheus
from tests.support.series_kit import write_pages

STEADY = Bench(policy(Mode.RECOMMEND, prefill=role_policy(2), decode=role_policy(2))).tick()
CHANGE = Bench(policy(Mode.RECOMMEND, prefill=role_policy(3))).tick()
BLIND = replace(STEADY, troubles=(Trouble(Dependency.SIGNALS, "prefill", "absent"),))
BLIND_CHANGE = replace(CHANGE, troubles=BLIND.troubles)
FAILED = Tick("chat", 0.0, None)


def error_of(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["recommend", *arguments])
    assert isinstance(result.exception, CliError)
    assert result.exception.code is ExitCode.REFUSED
    assert result.stdout == ""
    return str(result.exception)


@pytest.mark.parametrize(
    ("ticks", "code"),
    [
        ([], ExitCode.OK),
        ([STEADY], ExitCode.OK),
        ([STEADY, CHANGE], ExitCode.CHANGE),
        ([STEADY, BLIND], ExitCode.UNHEALTHY),
        ([BLIND, CHANGE], ExitCode.CHANGE),
        ([BLIND_CHANGE], ExitCode.UNHEALTHY),  # a change on sick signals is none to rely on
        ([FAILED], ExitCode.UNHEALTHY),
    ],
    ids=["none", "steady", "change", "blind", "blind and change", "blind change", "failed"],
)
def test_the_exit_code_tells_what_to_do(ticks: list[Tick], code: ExitCode) -> None:
    assert exit_code(ticks) is code


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A policy whose counts and whose switch only a person can change, its series as of now."""
    path = tmp_path_factory.mktemp("by-hand") / "mindie.yaml"
    pools = {role: {"target": {"spec": "mindie-classic", "name": "mindie"}, "min": 3, "max": 8} for role in ROLES}
    now_s = time.time()
    with running_prometheus() as server:
        labels = {"namespace": "mindie"}
        servers = {"prefill": PREFILL, "decode": DECODE}
        pages = [series_mindie.page(one, "llama", {**labels, "role": role}) for role, one in servers.items()]
        write_pages(server, pages, now_s - 330.0, now_s)
        document = policy_document("chat", "mindie", server.url, mode="recommend", stack="mindie", roles=pools)
        document["spec"] |= {"model": "llama", "selector": {"namespace": "mindie"}, "staleAfter": "1h"}
        path.write_text(yaml.safe_dump(document))
        yield path


def test_what_no_api_changes_is_recommended_as_the_exact_change(by_hand: Path) -> None:
    (loaded,) = load_paths([by_hand])

    told = instructions(look_once(loaded.policy, Surroundings(), SteadyClock()))

    assert {one["subject"] for one in told} <= {"prefill", "decode"}
    assert any("mindie: prefill " in one["change"] and "set key default_p_rate to " in one["change"] for one in told)


def test_a_switch_that_a_person_moves_is_recommended_as_the_exact_change() -> None:
    done = replace(CHANGE, switched=WriteResult(Outcome.INSTRUCTED, "set ROUTING_ALGORITHM to random"))

    assert instructions(done) == [{"subject": "switch", "change": "set ROUTING_ALGORITHM to random"}]


@pytest.mark.parametrize("output", ["json", "yaml", "table"])
def test_every_output_says_what_a_person_has_to_change(output: str, by_hand: Path) -> None:
    result = CliRunner().invoke(app, ["recommend", "-o", output, str(by_hand)])

    if output == "table":
        assert "set key default_p_rate to " in result.stdout
        return
    (record,) = yaml.safe_load(result.stdout)
    assert record["service"] == "chat"
    assert any("set key default_p_rate to " in one["change"] for one in record["instructions"])


def test_a_policy_must_be_named() -> None:
    assert "no policy is named" in error_of()


def test_a_missing_file_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "chat.yaml").touch()

    assert "chat.yaml" in error_of(str(tmp_path / "chta.yaml"))


def test_every_problem_of_a_bad_policy_is_told(tmp_path: Path) -> None:
    document = policy_document("chat", "serving", "http://prom:9090", interval="soon", stak="vllm")
    path = tmp_path / "chat.yaml"
    path.write_text(yaml.safe_dump(document))

    words = error_of("--policy", str(path))

    assert "spec.interval" in words
    assert "did you mean stack?" in words


def test_a_policy_without_prometheus_says_where_to_name_one(tmp_path: Path) -> None:
    path = tmp_path / "chat.yaml"
    path.write_text(yaml.safe_dump(policy_document("chat", "serving", "", prometheus={"timeout": "2s"})))

    assert "set spec.prometheus.url or pass --prometheus" in error_of(str(path))


@pytest.mark.parametrize("command", ["recommend", "explain"])
def test_a_pool_that_an_operator_holds_is_told_as_held(by_hand: Path, tmp_path: Path, command: str) -> None:
    document = yaml.safe_load(by_hand.read_text())
    document["metadata"]["annotations"] = {"pd-autoscaler.io/pin": "prefill=7"}
    path = tmp_path / "held.yaml"
    path.write_text(yaml.safe_dump(document))

    told = CliRunner().invoke(app, [command, str(path), *(["-o", "yaml"] if command == "recommend" else [])]).stdout

    assert "pinned to 7 until taken back" in told


def test_an_annotation_that_the_daemon_refuses_is_refused_here_too(tmp_path: Path) -> None:
    document = policy_document("chat", "serving", "http://prom:9090")
    document["metadata"]["annotations"] = {"pd-autoscaler.io/pauze": "true"}
    path = tmp_path / "chat.yaml"
    path.write_text(yaml.safe_dump(document))

    assert "did you mean pd-autoscaler.io/pause?" in error_of(str(path))


def test_a_kubeconfig_that_was_named_must_exist(tmp_path: Path) -> None:
    path = tmp_path / "chat.yaml"
    path.write_text(yaml.safe_dump(policy_document("chat", "serving", "http://prom:9090")))

    assert "no kubeconfig at" in error_of(str(path), "--kubeconfig", str(tmp_path / "nowhere"))
