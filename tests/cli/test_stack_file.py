"""A stack file of the user's own, through every command that reads policies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from autoscaler.cli.exits import CliError, ExitCode
from autoscaler.cli.main import app
from autoscaler.cli.recommend import look_once
from autoscaler.config import PolicyStore, ScalingPolicy, load_paths
from autoscaler.core.signals import CATALOGUE, Scope
from autoscaler.daemon.assembly import require_fit
from autoscaler.daemon.clock import SteadyClock
from autoscaler.daemon.follower import PolicyFollower
from autoscaler.daemon.ledger import Ledger
from autoscaler.daemon.loop import Loop, Workload
from autoscaler.daemon.queries import service_queries
from autoscaler.daemon.service import ServiceRunner
from autoscaler.daemon.surroundings import Surroundings
from autoscaler.stacks.load import stack_of
from tests.daemon.builders import Bench, HandClock, capturing
from tests.e2e.stage import policy_document
from tests.sources.chat import ENGINES, FROM_S, NOW_S
from tests.stacks.services import check, read
from tests.support.prometheus import Prometheus, running_prometheus
from tests.support.vllm_series import Fleet

STACK = """
name: acme
title: vLLM behind the scrape rules of Acme
like: vllm
names: {prefix: "vllm:", spellings: ["acme_vllm_"], probe: "vllm:num_requests_waiting"}
labels:
  pod: replica
  model: model_name
  role: {name: tier, values: {prefill: front, decode: back}}
signals:
  decode:
    waiting:
      explanation: Half of what the engine says.
      candidates: [{expr: 'sum(vllm:num_requests_waiting{$decode}) / 2'}]
"""
TIERS = {"prefill": {"tier": "front"}, "decode": {"tier": "back"}}


@pytest.fixture(scope="module")
def server() -> Iterator[Prometheus]:
    with running_prometheus() as running:
        fleet = Fleet(ENGINES, "llama", {"namespace": "acme"}, by_role=TIERS, pod_label="replica", prefix="acme_vllm_")
        running.write(fleet.time_series(FROM_S, NOW_S))
        yield running


def policy_file(folder: Path, stack: str = STACK, url: str = "http://prom:9090", **spec: Any) -> Path:
    """A policy in a folder, its stack file beside it."""
    (folder / "acme.stack.yaml").write_text(stack)
    document = policy_document("chat", "acme", url, mode="recommend", model="llama", selector={"namespace": "acme"})
    document["spec"] |= {"stackFile": "acme.stack.yaml", **spec}
    del document["spec"]["stack"]
    for role in document["spec"]["roles"].values():
        role.pop("selector", None)
    path = folder / "policy.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, CliError):
        return result.exception.code, str(result.exception)
    return result.exit_code, result.output


def test_its_signals_are_read_with_its_names_labels_and_queries(server: Prometheus, tmp_path: Path) -> None:
    (loaded,) = load_paths([policy_file(tmp_path)])

    signals = read(server, service_queries(loaded.policy))

    check(signals, "decode.waiting", 12.0 / 2)
    check(signals, "decode.running", 100.0)
    check(signals, "prefill.ready_replicas", 2.0)


def test_a_folder_with_policy_and_stack_file_passes_check(tmp_path: Path) -> None:
    policy_file(tmp_path)

    assert run("check", tmp_path) == (ExitCode.OK, f"{tmp_path / 'policy.yaml'}: ok, chat\n")


def test_recommend_decides_on_it(server: Prometheus, tmp_path: Path) -> None:
    clock = HandClock()
    clock.at_s = NOW_S
    (loaded,) = load_paths([policy_file(tmp_path, url=server.url)])

    tick = look_once(loaded.policy, Surroundings(), clock)

    assert tick.troubles == ()
    assert tick.decision is not None
    assert set(tick.decision.roles) == {"prefill", "decode"}


def test_doctor_names_it_and_tells_the_role_label_that_it_says(server: Prometheus, tmp_path: Path) -> None:
    path = policy_file(tmp_path, url=server.url, selector={"namespace": "elsewhere"})

    code, text = run("doctor", path)

    assert code == ExitCode.UNHEALTHY
    assert "chat, stack acme" in text
    assert "the stack tells roles by tier: prefill front, decode back" in " ".join(text.split())


def test_rbac_finds_the_objects_of_its_switch(tmp_path: Path) -> None:
    switch, drain = {"specs": ["hyperpod"], "explanation": "x"}, {"explanation": "x"}
    facts = {"targets": ["hyperpod"], "switch": switch, "drain": drain}
    stack = f"{STACK}facts: {json.dumps(facts)}"
    targets = {role: {"target": {"spec": "hyperpod", "name": "llama"}, "max": 1} for role in ("prefill", "decode")}
    path = policy_file(tmp_path, stack, roles=targets, switch={"prefillOff": 1})

    code, text = run("rbac", path)

    assert code == ExitCode.OK
    assert "inferenceendpointconfigs" in text


def test_show_tells_all_of_a_file(tmp_path: Path) -> None:
    policy_file(tmp_path)

    code, text = run("stacks", "show", tmp_path / "acme.stack.yaml")

    assert code == ExitCode.OK
    assert text.startswith("acme: vLLM behind the scrape rules of Acme")
    assert "Half of what the engine says." in text
    assert all(f"  {name} [" in text for name in CATALOGUE[Scope.DECODE])


BAD = {
    "a misspelt key": (STACK + "signalz: {}", "acme.stack.yaml:15: signalz is unknown; did you mean signals?"),
    "a signal that there is not": (
        STACK.replace("    waiting:", "    waitin:"),
        "acme.stack.yaml: signals.decode.waitin is no signal; did you mean waiting?",
    ),
    "no PromQL": (
        STACK.replace("sum(vllm:num_requests_waiting{$decode}) / 2", "sum(vllm:num_requests_waiting"),
        "does not fit stack acme: signals.decode.waiting[0]: no PromQL",
    ),
    "a placeholder that there is not": (
        STACK.replace("{$decode}", "{$decod}"),
        "signals.decode.waiting[0]: $decod is no placeholder; did you mean decode?",
    ),
    "a stack to start from that there is not": (STACK.replace("like: vllm", "like: vlm"), "did you mean vllm?"),
    "a target that there is not": (
        STACK + "facts: {targets: [deploymint], switch: {specs: [none], explanation: x}, drain: {explanation: x}}\n",
        "facts.targets names what this version does not know (got deploymint,",
    ),
    "a switch that there is not": (
        STACK + "facts: {targets: [deployment], switch: {specs: [non], explanation: x}, drain: {explanation: x}}\n",
        "facts.switch.specs names what this version does not know (got non,",
    ),
    "too deep": (STACK + "terms: " + "[" * 40, "is nested deeper than 24 levels"),
}


@pytest.mark.parametrize(("stack", "words"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("command", ["check", "recommend", "doctor", "rbac"])
def test_a_bad_file_is_refused_by_every_command_with_place_and_remedy(
    tmp_path: Path, command: str, stack: str, words: str
) -> None:
    code, text = run(command, policy_file(tmp_path, stack))

    assert code == ExitCode.REFUSED
    assert "spec.stackFile" in text
    assert words in text


def test_a_file_that_is_not_there_is_refused_with_the_nearest(tmp_path: Path) -> None:
    path = policy_file(tmp_path)
    (tmp_path / "acme.stack.yaml").rename(tmp_path / "acme-stack.yaml")

    code, text = run("check", path)

    assert code == ExitCode.REFUSED
    assert "spec.stackFile" in text
    assert "no such file; did you mean acme-stack.yaml?" in text
    assert "no such file" in run("stacks", "show", tmp_path / "acme.stack.yaml")[1]


def test_what_it_says_nothing_of_is_absent_and_a_warning(tmp_path: Path) -> None:
    alone = STACK.replace("like: vllm", "versions: all\nread: nothing").replace("signals:", ALONE)
    path = policy_file(tmp_path, alone)

    code, text = run("check", "-o", "json", path)

    (problem,) = json.loads(text)["files"][0]["problems"]
    assert (code, problem["path"], problem["severity"]) == (ExitCode.OK, "spec.stackFile", "warning")
    assert "says nothing of prefill.queue_depth, " in problem["message"]
    assert "decode.waiting," not in problem["message"]
    (loaded,) = load_paths([path])
    absent = {(one.scope, one.name): one for one in service_queries(loaded.policy).signals}[
        Scope.PREFILL, "queue_depth"
    ]
    assert (absent.candidates, absent.missing) == ((), "the stack file says nothing of it")


ALONE = """dispatch: sequential
windows: {control: 2m, shape: 5m}
replicas: {asked_for: [{expr: 'count(vllm:up{$pool})'}], ready: [{expr: 'count(vllm:up{$pool})'}]}
facts: {targets: [deployment], switch: {specs: [none], explanation: x}, drain: {explanation: x}}
signals:"""


def test_a_daemon_stays_with_the_last_good_stack_file_and_takes_the_next(tmp_path: Path) -> None:
    policy_file(tmp_path)
    log, _ = capturing()
    clock, built = SteadyClock(), list[str]()

    def workload(document: ScalingPolicy) -> Workload:
        def build() -> ServiceRunner:
            require_fit(document)
            built.append(stack_of(document).title)
            return Bench(document.core()).runner

        return Workload(document.core(), document, build)

    loop = Loop(clock, Ledger(), log)
    follower = PolicyFollower(PolicyStore([tmp_path]), loop, workload, clock, log)
    assert follower.follow() == []
    (tmp_path / "acme.stack.yaml").write_text(STACK.replace("like: vllm", "like: vlm"))
    (trouble,) = follower.follow()
    (tmp_path / "acme.stack.yaml").write_text(STACK.replace("title: vLLM behind", "title: vLLM, new, behind"))
    mended = follower.follow()
    loop.close(0.0)

    assert "did you mean vllm?" in trouble
    assert mended == []
    assert built == ["vLLM behind the scrape rules of Acme", "vLLM, new, behind the scrape rules of Acme"]
