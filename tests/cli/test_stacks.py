from __future__ import annotations

import pytest
from typer.testing import CliRunner

from autoscaler.cli.exits import CliError, ExitCode
from autoscaler.cli.main import app
from autoscaler.core.signals import CATALOGUE, Scope
from autoscaler.stacks.load import load_stack, stack_names


def run_stacks(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["stacks", *arguments])
    assert result.exit_code == 0
    return result.stdout


def refusal(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["stacks", *arguments])
    assert isinstance(result.exception, CliError)
    assert result.exception.code is ExitCode.REFUSED
    return str(result.exception)


def test_every_stack_is_a_line_of_the_list() -> None:
    head, *rows = run_stacks().splitlines()

    assert head.split() == ["STACK", "WHAT", "NAMES", "BEGIN", "WITH", "TARGETS"]
    assert [row.split()[0] for row in rows] == list(stack_names())
    assert any(row.split()[-1] == "hyperpod" for row in rows)


@pytest.mark.parametrize("name", stack_names())
def test_all_of_a_stack_is_told(name: str) -> None:
    text = run_stacks("show", name)

    for scope in (Scope.PREFILL, Scope.DECODE, Scope.SERVICE):
        for signal in CATALOGUE[scope]:
            assert f"  {signal} [" in text
    facts = load_stack(name).facts
    assert text.count("  unverified ") == len(facts.unverified)
    assert text.count("  limit ") == len(facts.limits)
    assert all(spec in text for spec in (*facts.targets, *facts.switch.specs))
    assert max(map(len, text.splitlines())) <= 120


def test_ways_to_measure_a_signal_are_told_with_versions_and_notes() -> None:
    text = run_stacks("show", "aibrix")

    assert "1. with gateway_tpot_bucket_total; quantile; streaming requests that report their usage" in text
    assert "2. sequential dispatch; prefill's end-to-end quantile plus decode's first-token quantile;" in text
    assert "sum by (bucket)" not in text


def test_a_signal_that_a_stack_does_not_have_is_told_with_the_reason() -> None:
    assert "absent: SGLang reserves room on decode before it prefills" in run_stacks("show", "sglang")


def test_queries_are_told_when_they_are_asked_for() -> None:
    text = run_stacks("show", "moreh", "--queries")

    assert "sum(max by (namespace, endpoint) (inference_service_waiting_requests{$service_any}) * $on_prefill)" in text
    assert "in percent" in text
    assert "$on_prefill stands for on (namespace, endpoint)" in " ".join(text.split())


def test_a_stack_that_does_not_exist_is_refused_with_the_nearest_name() -> None:
    assert refusal("show", "llmd").startswith("'llmd' is no stack; did you mean llm-d?")


def test_queries_without_a_stack_are_refused() -> None:
    assert "--queries goes with show: name a stack" in refusal("-q")


def test_which_stack_to_show_has_to_be_said() -> None:
    assert "stacks show: which one? There are aibrix," in refusal("show")


def test_labels_are_told_and_where_a_query_needs_something_of_the_server() -> None:
    assert 'labels     pod names a replica, model_name the model, server=""' in run_stacks("show", "production-stack")
    assert "summary_latencies=true" in run_stacks("show", "triton")
    assert "how long the slowest request" not in run_stacks("show", "vllm")
    assert "vllm:e2e_request_latency_seconds_bucket" in run_stacks("show", "vllm", "-q")
