from __future__ import annotations

import pytest

from autoscaler.core.signals import CATALOGUE, Scope
from autoscaler.stacks.errors import StackError
from autoscaler.stacks.load import load_stack, parse_stack, stack_names

HEAD = """
name: tiny
title: Tiny
versions: all
labels: {pod: pod, model: model_name, role: {name: role, values: {prefill: p, decode: d}}}
dispatch: sequential
windows: {control: 2m, shape: 5m}
replicas: {asked_for: [{expr: a}], ready: [{expr: b}]}
"""


def refusal(text: str) -> str:
    with pytest.raises(StackError) as caught:
        parse_stack(text, "stack tiny")
    return str(caught.value)


def signal(candidate: str) -> str:
    return HEAD + f"signals: {{prefill: {{queue_depth: {{explanation: x, candidates: [{candidate}]}}}}}}"


@pytest.mark.parametrize("name", stack_names())
def test_every_stack_file_that_comes_with_the_program_is_well_formed(name: str) -> None:
    assert load_stack(name).name == name


def test_vllm_has_every_canonical_signal_of_prefill_decode_and_service() -> None:
    signals = load_stack("vllm").signals

    assert {scope: set(names) for scope, names in signals.items()} == {
        scope: set(CATALOGUE[scope]) for scope in (Scope.PREFILL, Scope.DECODE, Scope.SERVICE)
    }


def test_an_unknown_stack_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(StackError, match=r"'vlm' is no stack; did you mean vllm\? allowed: .*vllm"):
        load_stack("vlm")


def test_a_misspelt_key_is_refused_with_its_path_and_the_nearest_key() -> None:
    message = refusal(signal("{exp: a}"))

    assert "stack tiny: signals.prefill.queue_depth.candidates.0.exp is unknown; did you mean expr?" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + "signalss: {}", "signalss is unknown; did you mean signals?"),
        (HEAD.replace("values:", "valuess:") + "signals: {}", "labels.role.valuess is unknown; did you mean values?"),
        (HEAD.replace("control:", "controll:") + "signals: {}", "windows.controll is unknown; did you mean control?"),
        (signal("{expr: a}").replace("explanation", "explain"), "queue_depth.explain is unknown;"),
        (HEAD.replace("2m", "2 minutes") + "signals: {}", "windows.control: String should match"),
        (HEAD + "signals: {prefill: {queue_dept: {explanation: x, candidates: [{expr: a}]}}}", "mean queue_depth?"),
        ("[", "no YAML"),
        ("just text", "valid dictionary"),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_wrong(text: str, words: str) -> None:
    assert words in refusal(text)


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        ("{kind: attainment, expr: a, objective: ttft}", "kind attainment takes legs"),
        ("{kind: attainment, legs: [a]}", "objective is for kind attainment, and needed there"),
        ("{expr: a, objective: ttft}", "objective is for kind attainment"),
        ("{legs: [a]}", "kind value takes expr"),
        ("{kind: label_product, expr: a}", "labels is for kind label_product, and needed there"),
        ("{expr: a, labels: [x]}", "labels is for kind label_product"),
    ],
)
def test_fields_that_do_not_fit_the_kind_are_refused(candidate: str, words: str) -> None:
    assert words in refusal(signal(candidate))
