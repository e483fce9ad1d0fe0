from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.policy import LatencyObjective, Objectives, Role
from autoscaler.core.signals import Scope
from autoscaler.sources.promql import check
from autoscaler.stacks.candidates import Dispatch
from autoscaler.stacks.errors import StackError
from autoscaler.stacks.load import load_stack, stack_names
from autoscaler.stacks.placeholders import Matcher
from autoscaler.stacks.queries import Candidate, ServiceQueries
from autoscaler.stacks.resolve import Overrides, ServiceLabels, Workload, resolve, series_labels

STACKS = {name: load_stack(name) for name in stack_names()}
OBJECTIVES = Objectives(LatencyObjective(0.95, 2.0), LatencyObjective(0.9, 0.05), 0.95)
LABELS = ServiceLabels(
    model="llama",
    selector=(Matcher("namespace", "serving"),),
    workloads={Role.PREFILL: Workload("llama-prefill", "serving"), Role.DECODE: Workload("llama-decode", "serving")},
)
NASTY = ['"', "\\", '\\"', "}", "{", "\n", '"} or vector(0) #', "`", "'", "$prefill", "$$", "[5m]", "é\u0007\u2028", ""]


def queries(
    labels: ServiceLabels = LABELS, *, stack: str = "vllm", overrides: Overrides | None = None
) -> ServiceQueries:
    return resolve(STACKS[stack], "chat", labels, OBJECTIVES, overrides=overrides)


def candidates(of: ServiceQueries, scope: Scope, name: str) -> tuple[Candidate, ...]:
    return next(signal.candidates for signal in of.signals if (signal.scope, signal.name) == (scope, name))


def texts(of: ServiceQueries) -> list[str]:
    signals = [candidate for signal in of.signals for candidate in signal.candidates]
    replicas = [candidate for query in of.replicas.values() for candidate in (*query.asked_for, *query.ready)]
    return [expression.text for candidate in (*signals, *replicas) for expression in candidate.expressions]


def shape(text: str) -> list[str]:
    """The parsed tree without the values of matchers."""
    nodes: list[str] = []

    def visit(node: Any) -> None:
        name = type(node).__name__
        if isinstance(node, promql_parser.VectorSelector):
            name += f" {node.name} {[(str(matcher.op), matcher.name) for matcher in node.matchers.matchers]}"
        nodes.append(name)

    promql_parser.walk(promql_parser.parse(text), visit)
    return nodes


@pytest.mark.parametrize("stack", stack_names())
@pytest.mark.parametrize("dispatch", ["sequential", "concurrent"])
def test_every_signal_that_is_not_declared_absent_has_an_expression_that_parses(stack: str, dispatch: Dispatch) -> None:
    resolved = queries(ServiceLabels(model="m", dispatch=dispatch), stack=stack)

    for dialect, spoken in zip(STACKS[stack].dialects, (resolved, *resolved.alternatives), strict=True):
        nameless = [f"{signal.scope}.{signal.name}" for signal in spoken.signals if not signal.candidates]
        declared = [
            f"{scope}.{name}"
            for scope, signals in dialect.signals.items()
            for name, signal in signals.items()
            if signal.absent is not None
        ]
        assert nameless == declared
        assert not [text for text in texts(spoken) if re.search(r"\$[a-z]", text)]


@pytest.mark.parametrize("stack", stack_names())
@pytest.mark.parametrize("dispatch", ["sequential", "concurrent"])
def test_every_expression_of_every_stack_can_be_evaluated_without_a_prometheus(stack: str, dispatch: Dispatch) -> None:
    resolved = queries(replace(LABELS, dispatch=dispatch), stack=stack)

    for spoken in (resolved, *resolved.alternatives):
        for text in (*texts(spoken), spoken.probe):
            check(text)


@pytest.mark.parametrize("stack", stack_names())
def test_labels_of_a_scraped_pod_are_those_that_its_role_is_told_by(stack: str) -> None:
    role_label = STACKS[stack].labels.role

    for role in (Role.PREFILL, Role.DECODE):
        label = series_labels(STACKS[stack], LABELS, role)[role_label.name]
        matching = [
            other
            for other, value in role_label.values.items()
            if label == value or (role_label.match == "regex" and re.fullmatch(value, label))
        ]
        assert matching == [role]


def labelled(value: str, pattern: str) -> ServiceLabels:
    return ServiceLabels(
        model=value,
        selector=(Matcher("namespace", value), Matcher("job", pattern, "=~")),
        roles={Role.PREFILL: (Matcher("role", value),), Role.DECODE: (Matcher("role", value, "!="),)},
        workloads={Role.PREFILL: Workload(value, value), Role.DECODE: Workload(value, value)},
    )


@pytest.mark.parametrize("value", NASTY)
def test_no_label_value_changes_the_shape_of_a_query(value: str) -> None:
    nasty = texts(queries(labelled(value, re.escape(value))))

    assert [shape(text) for text in nasty] == [shape(text) for text in texts(queries(labelled("x", "x")))]


@given(st.text(st.characters(codec="utf-8")))
def test_a_label_value_reaches_the_query_as_it_is(value: str) -> None:
    resolved = queries(ServiceLabels(model=value))
    (depth,) = candidates(resolved, Scope.PREFILL, "queue_depth")

    aggregation: Any = promql_parser.parse(depth.expressions[0].text)
    selector: Any = promql_parser.parse(depth.expressions[0].selectors[0])
    assert aggregation.expr.matchers.matchers[-1].value == value
    assert selector.matchers.matchers[-1].value == value


def test_a_value_that_is_no_text_is_refused() -> None:
    with pytest.raises(StackError, match="no valid Unicode"):
        queries(ServiceLabels(model="\ud800"))


@pytest.mark.parametrize("name", ["", "9lives", "a-b", 'x"', "a b", "pod\n"])
def test_a_label_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(StackError, match="is no label name"):
        Matcher(name, "x")


def test_a_service_without_any_label_still_gives_valid_queries() -> None:
    bare = queries(ServiceLabels(roles={Role.PREFILL: (), Role.DECODE: ()}))

    assert "sum(vllm:num_requests_waiting{})" in texts(bare)


def test_prefill_and_decode_are_told_apart_by_the_role_label_of_the_stack() -> None:
    (depth,) = candidates(queries(), Scope.PREFILL, "queue_depth")

    assert depth.expressions[0].text == (
        'sum(vllm:num_requests_waiting{namespace="serving",role="prefill",model_name="llama"})'
    )


def test_a_role_selector_of_the_policy_replaces_the_role_label_of_the_stack() -> None:
    labels = ServiceLabels(model="llama", roles={Role.DECODE: (Matcher("job", ".*/decode", "=~"),)})

    (running,) = candidates(queries(labels), Scope.DECODE, "running")

    assert running.expressions[0].text == 'sum(vllm:num_requests_running{job=~".*/decode",model_name="llama"})'


def test_series_without_a_model_label_are_selected_without_it() -> None:
    (capacity,) = candidates(queries(), Scope.DECODE, "kv_capacity_tokens")

    assert capacity.expressions[0].selectors == (
        'vllm:cache_config_info{namespace="serving",role="decode"}',
        'vllm:num_requests_running{namespace="serving",role="decode",model_name="llama"}',
    )
    assert (capacity.labels, capacity.per) == (("num_gpu_blocks", "block_size"), "pod")


def test_candidates_that_need_the_deployments_name_are_left_out_where_it_is_unknown() -> None:
    known = candidates(queries(), Scope.PREFILL, "ready_replicas")
    unknown = candidates(queries(ServiceLabels(model="llama")), Scope.PREFILL, "ready_replicas")

    assert known[0].expressions[0].text == (
        'max(kube_deployment_status_replicas_ready{deployment="llama-prefill",namespace="serving"})'
    )
    assert [candidate.expressions[0].text for candidate in unknown] == [
        'count(count by (pod) (vllm:num_requests_running{role="prefill",model_name="llama"}))'
    ]


def test_replica_counts_are_asked_for_per_role() -> None:
    replicas = queries().replicas

    assert replicas[Role.DECODE].asked_for[0].expressions[0].text == (
        'max(kube_deployment_spec_replicas{deployment="llama-decode",namespace="serving"})'
    )
    assert 'role="prefill"' in replicas[Role.PREFILL].ready[-1].expressions[0].text


def test_percentiles_and_targets_are_those_of_the_objectives() -> None:
    resolved = queries()

    assert "histogram_quantile(0.95," in candidates(resolved, Scope.SERVICE, "ttft_s")[0].expressions[0].text
    assert "0.9, sum by (le)" in candidates(resolved, Scope.SERVICE, "tpot_s")[0].expressions[0].text
    assert candidates(resolved, Scope.SERVICE, "ttft_attainment_ratio")[0].target_s == 2.0
    assert candidates(resolved, Scope.SERVICE, "tpot_attainment_ratio")[0].target_s == 0.05


def test_sequential_dispatch_adds_the_prefill_leg_and_concurrent_dispatch_does_not() -> None:
    sequential = candidates(queries(), Scope.SERVICE, "ttft_attainment_ratio")
    concurrent = candidates(
        queries(ServiceLabels(model="m", dispatch="concurrent")), Scope.SERVICE, "ttft_attainment_ratio"
    )

    assert [len(candidate.expressions) for candidate in sequential] == [2, 1]
    assert [len(candidate.expressions) for candidate in concurrent] == [1]
    assert "decode alone" in sequential[1].note


def test_an_expression_of_the_policy_replaces_all_candidates_of_its_signal() -> None:
    resolved = queries(overrides={Scope.SERVICE: {"ttft_s": "gateway_ttft{$service} or old{x=~'a$'}"}})

    assert [candidate.expressions[0].text for candidate in candidates(resolved, Scope.SERVICE, "ttft_s")] == [
        'gateway_ttft{namespace="serving",model_name="llama"} or old{x=~\'a$\'}'
    ]


def test_a_signal_that_the_stack_does_not_have_can_be_added() -> None:
    resolved = queries(overrides={Scope.AGGREGATED: {"queue_depth": "sum(waiting)"}})

    assert candidates(resolved, Scope.AGGREGATED, "queue_depth")[0].expressions[0].text == "sum(waiting)"


def test_a_scalar_expression_becomes_a_vector() -> None:
    resolved = queries(overrides={Scope.SERVICE: {"input_tokens_mean": "2 * (500 + scalar(x))"}})

    (candidate,) = candidates(resolved, Scope.SERVICE, "input_tokens_mean")
    assert candidate.expressions[0].text == "vector(2 * (500 + scalar(x))\n)"


def test_two_dollar_signs_are_one() -> None:
    resolved = queries(overrides={Scope.SERVICE: {"ttft_s": 'x{a=~"b$$"}'}})

    assert candidates(resolved, Scope.SERVICE, "ttft_s")[0].expressions[0].text == 'x{a=~"b$"}'


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({Scope.SERVICE: {"ttft": "x"}}, "signals.service.ttft is no signal; did you mean ttft_s?"),
        ({Scope.SERVICE: {"ttft_s": "x{$prefil}"}}, "$prefil is no placeholder; did you mean prefill?"),
        ({Scope.SERVICE: {"ttft_s": "sum(x"}}, "signals.service.ttft_s[0]: no PromQL"),
        (
            {Scope.SERVICE: {"ttft_s": "x{$prefill} offset 99999999999999999999999"}},
            "signals.service.ttft_s[0]: no PromQL",
        ),
        ({Scope.SERVICE: {"ttft_s": "x[2m]"}}, "signals.service.ttft_s[0]: gives a range vector"),
        ({Scope.SERVICE: {"ttft_s": "(x[2m:10s])"}}, "gives a range vector"),
        ({Scope.SERVICE: {"ttft_s": '"x"'}}, "gives a string"),
        ({Scope.SERVICE: {"ttft_s": ""}}, "no PromQL"),
    ],
)
def test_a_wrong_expression_of_the_policy_is_refused_with_its_place(overrides: Overrides, words: str) -> None:
    with pytest.raises(StackError) as caught:
        queries(overrides=overrides)

    assert words in str(caught.value)


def test_the_age_of_an_expression_comes_from_its_bare_selectors() -> None:
    text = 'max_over_time(sum(a{x="1"} offset 5m)[1m:5s]) + on() rate({__name__=~"b|c",y!~"2",z!="\\n"}[2m]) + a{x="1"}'
    resolved = queries(overrides={Scope.SERVICE: {"ttft_s": text}})

    (candidate,) = candidates(resolved, Scope.SERVICE, "ttft_s")
    assert candidate.expressions[0].selectors == ('a{x="1"}', '{__name__=~"b|c",y!~"2",z!="\\n"}')


def test_a_pod_that_one_scrapes_oneself_gets_the_labels_that_the_queries_look_for() -> None:
    by_job = {Role.DECODE: (Matcher("job", "decode"), Matcher("env", "prod|live", "=~"))}
    labels = ServiceLabels(selector=(Matcher("namespace", "serving"),), roles=by_job)

    assert series_labels(STACKS["vllm"], labels, Role.PREFILL) == {"namespace": "serving", "role": "prefill"}
    assert series_labels(STACKS["vllm"], labels, Role.DECODE) == {"namespace": "serving", "job": "decode"}
