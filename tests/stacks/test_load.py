from __future__ import annotations

import pytest

from autoscaler.core.signals import CATALOGUE, Scope
from autoscaler.stacks.errors import StackError
from autoscaler.stacks.load import load_stack, parse_stack, stack_names
from autoscaler.targets.kubernetes.specs.load import spec_names
from autoscaler.targets.kubernetes.switches.load import switch_names

HEAD = """
name: tiny
title: Tiny
versions: all
read: nothing
names: {prefix: "tiny:", spellings: ["tiny:"], probe: "tiny:up"}
facts:
  targets: [deployment]
  switch: {specs: [none], explanation: x}
  drain: {explanation: x}
labels: {pod: pod, model: model_name, role: {name: role, values: {prefill: p, decode: d}}}
dispatch: sequential
windows: {control: 2m, shape: 5m}
replicas: {asked_for: [{expr: a}], ready: [{expr: b}]}
"""


def refusal(text: str) -> str:
    with pytest.raises(StackError) as caught:
        parse_stack(text.encode(), "stack tiny")
    return str(caught.value)


def signal(candidate: str) -> str:
    return HEAD + f"signals: {{prefill: {{queue_depth: {{explanation: x, candidates: [{candidate}]}}}}}}"


@pytest.mark.parametrize("name", stack_names())
def test_every_stack_file_that_comes_with_the_program_is_well_formed(name: str) -> None:
    assert load_stack(name).name == name


@pytest.mark.parametrize("name", stack_names())
def test_every_stack_says_of_every_canonical_signal_how_it_is_read_or_why_it_is_not(name: str) -> None:
    for dialect in load_stack(name).dialects:
        assert {scope: set(names) for scope, names in dialect.signals.items()} == {
            scope: set(CATALOGUE[scope]) for scope in (Scope.PREFILL, Scope.DECODE, Scope.SERVICE)
        }
        assert all(signal.explanation for signals in dialect.signals.values() for signal in signals.values())


def test_an_unknown_stack_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(StackError, match=r"'vlm' is no stack; did you mean vllm\? allowed: .*vllm"):
        load_stack("vlm")


def test_a_misspelt_key_is_refused_with_its_path_and_the_nearest_key() -> None:
    message = refusal(signal("{exp: a}"))

    assert "stack tiny:15: signals.prefill.queue_depth.candidates.0.exp is unknown; did you mean expr?" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + "signalss: {}", "signalss is unknown; did you mean signals?"),
        (HEAD.replace("values:", "valuess:") + "signals: {}", "labels.role.valuess is unknown; did you mean values?"),
        (HEAD.replace("control:", "controll:") + "signals: {}", "windows.controll is unknown; did you mean control?"),
        (signal("{expr: a}").replace("explanation", "explain"), "queue_depth.explain is unknown;"),
        (HEAD.replace("2m", "2 minutes") + "signals: {}", "windows.control: String should match"),
        (HEAD + "signals: {prefill: {queue_dept: {explanation: x, candidates: [{expr: a}]}}}", "mean queue_depth?"),
        (
            HEAD.replace("[none], explanation", "[none], explanaton") + "signals: {}",
            "facts.switch.explanaton is unknown; did you mean explanation?",
        ),
        (HEAD.replace('probe: "tiny:up"', "probe: up") + "signals: {}", "probe has to begin with the prefix tiny:"),
        (HEAD.replace("dispatch: sequential", "") + "signals: {}", "a stack without engines needs dispatch"),
        (HEAD + "engines: {vllm: []}\nsignals: {}", "names belongs to the files of the engines"),
        (
            HEAD.replace("name: role, values", "name: role, match: regex, values") + "signals: {}",
            "values.prefill has to fit the text prefill and no other role; it fits no role",
        ),
        (
            HEAD.replace("name: role, values: {prefill: p,", "name: role, match: regex, values: {prefill: 'p(',")
            + "signals: {}",
            "labels.role: values.prefill is 'p(', which is no pattern: missing ), unterminated subpattern",
        ),
        (
            HEAD.replace(
                "name: role, values: {prefill: p,", "name: role, match: regex, values: {prefill: 'p{9999999999}',"
            )
            + "signals: {}",
            "which is no pattern: the repetition number is too large",
        ),
        ("[", "stack tiny:1: is no valid YAML"),
        ("just text", "is a single value, where a stack (keys name, title, engines, signals, facts, …) is wanted"),
        ("", "is empty: it holds no stack"),
        ("{}\n---\n{}", "holds 2 documents, where one is wanted"),
        (HEAD + "signals: {}\nsignals: {}", "has the key 'signals' twice"),
        (HEAD.replace("prefill: p, ", "") + "signals: {}", "labels.role: values lacks prefill"),
        (HEAD + "like: vlm\nsignals: {}", "stack tiny: like 'vlm' is no stack; did you mean vllm?"),
        (
            HEAD.replace("dispatch: sequential", "dispatch: sequentail"),
            "dispatch: is not one of its values; did you mean sequential?",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_wrong(text: str, words: str) -> None:
    assert words in refusal(text)


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        ("{kind: attainment, expr: a, objective: ttft}", "kind attainment takes legs"),
        ("{kind: attainment, legs: [a]}", "objective is for kind attainment and quantile, and needed there"),
        ("{expr: a, objective: ttft}", "objective is for kind attainment"),
        ("{legs: [a]}", "kind value takes expr"),
        ("{kind: quantile, objective: ttft, legs: [a, b]}", "kind quantile takes one leg"),
        ("{expr: a, buckets: ranges}", "buckets is for kind attainment and quantile"),
        ("{expr: a, plus: b}", "plus is for inherit"),
        ("{inherit: true, expr: a}", "inherit takes plus and note, and nothing else"),
        ("{kind: label_product, expr: a}", "labels is for kind label_product, and needed there"),
        ("{expr: a, labels: [x]}", "labels is for kind label_product"),
    ],
)
def test_fields_that_do_not_fit_the_kind_are_refused(candidate: str, words: str) -> None:
    assert words in refusal(signal(candidate))


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("{rule: min-replicas, value: 1, why: x}", "min-replicas takes role and value"),
        ("{rule: same-gpus-per-replica, role: decode, why: x}", "same-gpus-per-replica takes neither role nor value"),
        ("{rule: min-replica, role: decode, value: 1, why: x}", "facts.limits.0.rule"),
    ],
)
def test_fields_that_do_not_fit_a_limit_are_refused(limit: str, words: str) -> None:
    head = HEAD.replace("facts:", f"facts:\n  limits: [{limit}]")

    assert words in refusal(head + "signals: {}")


def test_a_signal_has_candidates_or_a_reason_why_it_has_none() -> None:
    head = HEAD + "signals: {prefill: {queue_depth: {explanation: x"

    assert "takes candidates, or absent with the reason" in refusal(head + "}}}")
    assert "takes candidates, or absent" in refusal(head + ", absent: no gauge, candidates: [{expr: a}]}}}")


@pytest.mark.parametrize("name", stack_names())
def test_a_stack_names_targets_that_exist(name: str) -> None:
    targets = load_stack(name).facts.targets

    assert set(targets) <= set(spec_names())


@pytest.mark.parametrize("name", stack_names())
def test_a_stack_names_switches_that_exist(name: str) -> None:
    assert set(load_stack(name).facts.switch.specs) <= set(switch_names())
