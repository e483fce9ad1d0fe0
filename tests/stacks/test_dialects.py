from __future__ import annotations

from typing import Any

import pytest

from autoscaler.core.policy import LatencyObjective, Objectives, Role
from autoscaler.core.signals import Scope
from autoscaler.stacks.candidates import CandidateModel, SignalModel
from autoscaler.stacks.dialects import Dialect, Stack, assemble
from autoscaler.stacks.errors import StackError
from autoscaler.stacks.load import parse_stack
from autoscaler.stacks.placeholders import Matcher
from autoscaler.stacks.queries import ServiceQueries
from autoscaler.stacks.resolve import ServiceLabels, Workload, resolve

FACTS = "facts: {targets: [deployment], switch: {specs: [none], explanation: x}, drain: {explanation: x}}\n"
ENGINE = (
    """
name: engine
title: Engine
versions: all
read: nothing
names: {prefix: "e:", spellings: ["e:", e_], probe: "e:up"}
labels: {pod: pod, model: model_name, role: {name: role, values: {prefill: p, decode: d}}}
dispatch: sequential
windows: {control: 2m, shape: 5m}
replicas: {asked_for: [{expr: "max(asked{name=$pool_target})"}], ready: [{expr: "count(e:up{$pool})"}]}
generations: [{versions: new, probe: "e:new{$service}"}]
signals:
  prefill:
    queue_depth:
      explanation: Waits in the engine.
      candidates:
        - {expr: "sum(e:waiting{$prefill}) # not re:waiting", note: from the engine}
        - {expr: "sum(e:queued{$prefill})"}
    in_flight: {explanation: Runs., candidates: [{expr: "sum(e:running{$prefill})"}]}
  service:
    ttft_s: {explanation: Not told., absent: the engine has no clock}
    ttft_attainment_ratio:
      explanation: Inside.
      candidates: [{kind: attainment, objective: ttft, legs: ["sum by (le) (rate(e:t_bucket{$decode}[2m]))"]}]
"""
    + FACTS
)
FRAMEWORK = (
    "name: framework\ntitle: Framework\nversions: all\nread: nothing\nengines: {engine: [], other: [o1_, o2_]}\n"
    + FACTS
)
OBJECTIVES = Objectives(LatencyObjective(0.95, 2.0), LatencyObjective(0.9, 0.05), 0.95)


def stack(framework: str = "") -> Stack:
    engine = parse_stack(ENGINE.encode(), "engine")
    engines = {"engine": engine, "other": engine.model_copy(update={"name": "other"})}
    return assemble(parse_stack((FRAMEWORK + framework).encode(), "framework"), engines)


def pick(dialect: Dialect, path: str) -> SignalModel:
    scope, name = path.split(".")
    return dialect.signals[Scope(scope)][name]


def first(dialect: Dialect, path: str) -> CandidateModel:
    candidates = pick(dialect, path).candidates
    assert candidates is not None
    return candidates[0]


def expressions(of: ServiceQueries, name: str) -> list[str]:
    signal = next(signal for signal in of.signals if signal.name == name)
    return [expression.text for candidate in signal.candidates for expression in candidate.expressions]


def resolved(framework: str = "", **labels: Any) -> ServiceQueries:
    known = ServiceLabels(selector=(Matcher("namespace", "ns"), Matcher("job", "j")), model="Llama", **labels)
    return resolve(stack(framework), "chat", known, OBJECTIVES)


def test_a_stack_speaks_one_dialect_per_engine_and_spelling() -> None:
    assert [dialect.name for dialect in stack().dialects] == ["e:", "e_", "o1_", "o2_"]


def test_a_spelling_replaces_the_beginning_of_metric_names_and_nothing_else() -> None:
    underscore = stack().dialects[1]

    assert first(underscore, "prefill.queue_depth").expr == "sum(e_waiting{$prefill}) # not re:waiting"
    assert first(underscore, "service.ttft_attainment_ratio").legs == ("sum by (le) (rate(e_t_bucket{$decode}[2m]))",)
    assert underscore.replicas.ready[0].expr == "count(e_up{$pool})"
    assert (underscore.probe, underscore.generations[0].probe) == ("e_up", "e_new{$service}")


@pytest.mark.parametrize(
    ("spelling", "written"),
    [
        ("e:", "e:a + c:b + sec:d + gate_e"),
        ("e_", "e_a + c_b + sec:d + gate_e"),
        ("kserve_e:", "kserve_e:a + kserve_c:b + sec:d + kserve_gate_e"),
        ("other_", "other_a + c:b + sec:d + gate_e"),
    ],
)
def test_names_beside_those_of_the_engine_change_along_with_them(spelling: str, written: str) -> None:
    own = (
        f"engines: {{engine: ['{spelling}']}}\nbeside: ['c:', gate_]\n"
        "signals: {prefill: {in_flight: {candidates: [{expr: 'e:a + c:b + sec:d + gate_e'}]}}}"
    )
    framework = FRAMEWORK.replace("engines: {engine: [], other: [o1_, o2_]}\n", "") + own
    engine = parse_stack(ENGINE.encode(), "engine")

    (dialect,) = assemble(parse_stack(framework.encode(), "framework"), {"engine": engine}).dialects

    assert first(dialect, "prefill.in_flight").expr == written


def test_what_a_file_does_not_say_is_as_in_its_engines_file() -> None:
    dialect = stack("labels: {pod: worker, fixed: {server: ''}}\n").dialects[0]

    assert (dialect.labels.pod, dialect.labels.model, dialect.labels.role.name) == ("worker", "model_name", "role")
    assert (dialect.dispatch, dialect.windows.control) == ("sequential", "2m")
    assert pick(dialect, "prefill.in_flight").explanation == "Runs."


def test_inherited_candidates_stand_where_they_are_inherited() -> None:
    own = "signals: {prefill: {queue_depth: {candidates: [{expr: a}, {inherit: true}, {expr: z}]}}}"

    signal = pick(stack(own).dialects[0], "prefill.queue_depth")

    assert [candidate.expr for candidate in signal.candidates or ()] == [
        "a",
        "sum(e:waiting{$prefill}) # not re:waiting",
        "sum(e:queued{$prefill})",
        "z",
    ]
    assert signal.explanation == "Waits in the engine."


def test_what_waits_in_the_gateway_is_added_to_every_inherited_candidate() -> None:
    own = "signals: {prefill: {queue_depth: {candidates: [{inherit: true, plus: sum(held), note: gateway included}]}}}"

    first, second = pick(stack(own).dialects[0], "prefill.queue_depth").candidates or ()

    assert second.expr == "(\nsum(e:queued{$prefill})\n)\n+ on() ((\nsum(held)\n) or vector(0))"
    assert (first.note, second.note) == ("from the engine; gateway included", "gateway included")
    assert expressions(resolved(own), "queue_depth")[1].startswith("(\nsum(e:queued{")


def test_a_signal_that_the_engine_does_not_have_stays_absent_where_it_is_inherited_alone() -> None:
    own = "signals: {service: {ttft_s: {candidates: [{inherit: true}]}}}"

    assert pick(stack(own).dialects[0], "service.ttft_s").absent == "the engine has no clock"


def test_a_signal_may_be_declared_absent_although_the_engine_has_it() -> None:
    own = "signals: {prefill: {in_flight: {explanation: x, absent: the gateway hides it}}}"

    (missing,) = (signal for signal in resolved(own).signals if signal.name == "in_flight")

    assert (missing.candidates, missing.missing) == ((), "the gateway hides it")


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ("{decode: {running: {candidates: [{inherit: true}]}}}", "signals.decode.running inherits what the engine"),
        (
            "{service: {ttft_attainment_ratio: {candidates: [{inherit: true, plus: a}]}}}",
            "plus needs a candidate of kind value",
        ),
    ],
)
def test_inheriting_what_cannot_be_inherited_is_refused(own: str, words: str) -> None:
    with pytest.raises(StackError) as caught:
        stack(f"signals: {own}")

    assert words in str(caught.value)


def test_a_stack_that_stands_alone_has_nothing_to_inherit() -> None:
    alone = ENGINE.replace("sum(e:running{$prefill})", "x").replace('{expr: "x"}', "{inherit: true}")

    with pytest.raises(StackError, match=r"signals\.prefill\.in_flight inherits, and no engines are named"):
        assemble(parse_stack(alone.encode(), "engine"), {})


def test_an_engine_that_names_engines_itself_is_none() -> None:
    framework = parse_stack(FRAMEWORK.encode(), "framework")

    with pytest.raises(StackError, match="stack framework: engine framework is no engine"):
        assemble(framework, {"engine": framework, "other": framework})


def test_each_dialect_has_its_queries_and_a_probe_for_its_series() -> None:
    of = resolved()

    assert [of.dialect, *(other.dialect for other in of.alternatives)] == ["e:", "e_", "o1_", "o2_"]
    assert of.probe == 'e:up{namespace="ns",job="j",model_name="Llama"}'
    assert of.alternatives[0].probe == 'e_up{namespace="ns",job="j",model_name="Llama"}'
    assert expressions(of.alternatives[0], "in_flight") == [
        'sum(e_running{namespace="ns",job="j",role="p",model_name="Llama"})'
    ]


def test_fixed_labels_are_part_of_every_selector_of_the_engines() -> None:
    (text,) = expressions(resolved("labels: {fixed: {server: ''}}"), "in_flight")

    assert text == 'sum(e:running{namespace="ns",job="j",server="",role="p",model_name="Llama"})'


def test_a_role_may_be_told_by_a_pattern() -> None:
    (text,) = expressions(
        resolved("labels: {role: {name: container, match: regex, values: {prefill: 'p.*', decode: 'd.*'}}}"),
        "in_flight",
    )

    assert 'container=~"p.*"' in text


def test_the_gateway_has_labels_of_its_own() -> None:
    own = (
        "gateway: {model: model, lowercase: true, selector: [namespace], fixed: {tier: front}}\n"
        "signals: {prefill: {queue_depth: {candidates: [{expr: 'sum(g{$gateway}) + on() sum(h{$gateway_any})'}]}}}"
    )

    (text,) = expressions(resolved(own), "queue_depth")

    either = 'model=~"Llama|llama"'
    assert text == (f'sum(g{{namespace="ns",tier="front",{either}}}) + on() sum(h{{namespace="ns",tier="front"}})')


def test_the_gateways_labels_are_no_placeholder_where_the_stack_has_no_gateway() -> None:
    (missing,) = (
        signal
        for signal in resolved("signals: {prefill: {queue_depth: {candidates: [{expr: 'g{$gateway}'}]}}}").signals
        if signal.name == "queue_depth"
    )

    assert missing.missing == "every way to measure it needs a name that the policy does not give"


def test_a_workload_may_be_called_otherwise_than_its_target() -> None:
    workloads = {Role.PREFILL: Workload("chat"), Role.DECODE: Workload("chat")}
    of = resolved("workloads: {prefill: 'prefill-{name}'}", workloads=workloads)

    asked_for = {role: query.asked_for[0].expressions[0].text for role, query in of.replicas.items()}
    assert asked_for == {Role.PREFILL: 'max(asked{name="prefill-chat"})', Role.DECODE: 'max(asked{name="chat"})'}


def test_a_term_stands_for_a_part_that_expressions_share() -> None:
    own = (
        "terms: {held: 'max(e:held{$service_any})'}\n"
        "signals: {prefill: {queue_depth: {candidates: [{expr: 'sum(x) + on() $held'}]}}}"
    )
    of = resolved(own)

    assert expressions(of, "queue_depth") == ['sum(x) + on() max(e:held{namespace="ns",job="j"})']
    assert expressions(of.alternatives[0], "queue_depth") == ['sum(x) + on() max(e_held{namespace="ns",job="j"})']


def test_units_and_objectives_reach_the_candidate() -> None:
    own = (
        "signals: {service: {ttft_s: {explanation: x, candidates: ["
        "{kind: quantile, objective: ttft, unit: ms, legs: [a]}]}}}"
    )
    (signal,) = (signal for signal in resolved(own).signals if signal.name == "ttft_s")

    assert (signal.candidates[0].factor, signal.candidates[0].percentile_ratio) == (0.001, 0.95)
