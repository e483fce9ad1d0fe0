from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

from autoscaler.core.policy import Role
from autoscaler.core.signals import Scope, Signals, SignalState, measured
from autoscaler.core.snapshot import PoolState
from autoscaler.sources.http import Connection
from autoscaler.sources.prometheus import PrometheusSource
from autoscaler.sources.query_client import FailureKind
from autoscaler.sources.readings import ReplicaCounts
from autoscaler.stacks.placeholders import Matcher
from tests.sources.chat import DECODE, ENGINES, EXPECTED, FROM_S, NOW_S, PREFILL, fill, pick, queries, read
from tests.support.prometheus import Prometheus, TimeSeries
from tests.support.vllm_series import STEP_S, Fleet


def test_an_idle_service_has_queues_and_rates_of_zero_and_no_latencies(server: Prometheus) -> None:
    idle = [replace(engine, finished=0, preempted=0, waiting=lambda _: 0.0, running=0.0) for engine in ENGINES]
    fill(server, "idle", *idle)

    signals = read(server, queries("idle"))

    for path in ("prefill.queue_depth", "prefill.offered_tokens_per_s", "service.request_rate", "decode.running"):
        assert pick(signals, path).usable == 0.0, path
    for path in ("service.ttft_s", "service.tpot_s", "prefill.queue_time_s", "service.input_tokens_mean"):
        assert pick(signals, path).state is SignalState.ABSENT
        assert pick(signals, path).detail.startswith("its series are there but give no value: no traffic"), path
    assert pick(signals, "service.ttft_attainment_ratio").detail.startswith("no request finished in the window")


def test_a_draining_queue_is_not_offered_again(server: Prometheus) -> None:
    draining = replace(PREFILL, waiting=lambda at_s: 0.5 * (NOW_S - at_s))
    fill(server, "draining", draining)

    assert pick(read(server, queries("draining")), "prefill.offered_tokens_per_s").value == pytest.approx(
        2.0 * 1200 - 0.5 * 1200
    )


def test_a_queue_that_shrinks_faster_than_prefill_serves_is_no_negative_demand(server: Prometheus) -> None:
    cancelled = replace(PREFILL, waiting=lambda at_s: 10.0 * (NOW_S - at_s))
    fill(server, "cancelled", cancelled)

    assert pick(read(server, queries("cancelled")), "prefill.offered_tokens_per_s").value == 0.0
    assert pick(read(server, queries("cancelled")), "prefill.request_rate").value == 0.0


def test_a_growing_queue_of_unknown_length_counts_as_nothing(server: Prometheus) -> None:
    stuck = replace(PREFILL, finished=0)
    fill(server, "stuck", stuck)

    assert pick(read(server, queries("stuck")), "prefill.offered_tokens_per_s").value == 0.0
    assert pick(read(server, queries("stuck")), "prefill.request_rate").value == pytest.approx(0.05)


def test_a_service_that_nobody_scrapes_any_more_is_stale_and_then_absent(server: Prometheus) -> None:
    fill(server, "dead", *ENGINES)

    soon = read(server, queries("dead"), NOW_S + 90.0)
    late = read(server, queries("dead"), NOW_S + 600.0)

    for path in ("prefill.queue_depth", "service.request_rate", "service.ttft_s", "decode.kv_capacity_tokens"):
        assert pick(soon, path).state is SignalState.STALE, path
        assert "newest sample is 90 s old, allowed are 60 s" in pick(soon, path).detail
        assert pick(late, path).state is SignalState.ABSENT
        assert pick(late, path).detail.startswith("no series match vllm:"), path


def test_series_that_have_ended_are_stale_although_a_window_still_holds_samples(server: Prometheus) -> None:
    fill(server, "ended", *(replace(engine, until_s=NOW_S - 45.0) for engine in ENGINES))

    rate = pick(read(server, queries("ended")), "service.request_rate")

    assert (rate.state, rate.age_s) == (SignalState.STALE, None)
    assert rate.detail == "its series have ended: their pods are gone, or their scrape fails"


def test_one_dead_leg_makes_the_sum_stale_instead_of_too_small(server: Prometheus) -> None:
    fill(server, "half-dead", *(engine for engine in ENGINES if engine.role == "decode"))
    prefill = [replace(engine, until_s=NOW_S - 90.0) for engine in ENGINES if engine.role == "prefill"]
    lingering = [
        TimeSeries(series.labels, [sample for sample in series.samples if sample[1] is not None])
        for series in Fleet(tuple(prefill), "llama", {"namespace": "half-dead"}).time_series(FROM_S, NOW_S)
    ]
    server.write(lingering)

    ttft = pick(read(server, queries("half-dead")), "service.ttft_s")

    assert ttft.state is SignalState.STALE
    assert "newest sample is 90 s old" in ttft.detail


@pytest.mark.parametrize("namespace", ['a"b', "a\\b", "a{b}", "a\nb", "a'b`", "ünï", '"} or vector(1) #'])
def test_labels_with_any_character_find_their_series_and_no_other(server: Prometheus, namespace: str) -> None:
    fill(server, namespace, *ENGINES, model=namespace)

    signals = read(server, queries(namespace, model=namespace))

    assert pick(signals, "decode.running").usable == EXPECTED["decode.running"]
    assert pick(signals, "service.ttft_s").usable == pytest.approx(EXPECTED["service.ttft_s"])


def kube(server: Prometheus, namespace: str, **samples: tuple[float, ...]) -> None:
    """Series of kube-state-metrics; several values are those of several replicas of it."""
    server.write(
        TimeSeries(
            {"__name__": name, kind: f"chat-{role}", "namespace": namespace, "instance": str(index)},
            [(NOW_S - STEP_S, value), (NOW_S, value)],
        )
        for key, values in samples.items()
        for name, kind, role in [key.split("__")]
        for index, value in enumerate(values)
    )


def replicas(server: Prometheus, namespace: str) -> ReplicaCounts:
    source = PrometheusSource(queries(namespace), Connection(server.url))
    try:
        return source.read_replicas(NOW_S)
    finally:
        source.close()


def test_replicas_are_those_of_kube_state_metrics_counted_once_although_it_runs_twice(server: Prometheus) -> None:
    fill(server, "kube", *ENGINES)
    kube(
        server,
        "kube",
        kube_deployment_spec_replicas__deployment__prefill=(5.0, 5.0),
        kube_deployment_status_replicas_ready__deployment__prefill=(4.0, 4.0),
        kube_statefulset_replicas__statefulset__decode=(3.0, 3.0),
        kube_statefulset_status_replicas_ready__statefulset__decode=(1.0, 1.0),
    )

    counts = replicas(server, "kube")

    assert counts.pools == {Role.PREFILL: PoolState(5, 4), Role.DECODE: PoolState(3, 1)}
    assert pick(read(server, queries("kube")), "prefill.ready_replicas").value == 4.0


def test_replicas_of_a_workload_of_the_same_name_in_another_cluster_are_not_counted(server: Prometheus) -> None:
    for cluster, count in (("here", 2.0), ("there", 9.0)):
        for name in ("kube_deployment_spec_replicas", "kube_deployment_status_replicas_ready"):
            labels = {"deployment": "chat-prefill", "namespace": "clusters", "cluster": cluster}
            server.write([TimeSeries({"__name__": name, **labels}, [(NOW_S - STEP_S, count), (NOW_S, count)])])
    of = queries("clusters", Matcher("cluster", "here"))

    with closing(PrometheusSource(of, Connection(server.url))) as source:
        assert source.read_replicas(NOW_S).pools[Role.PREFILL] == PoolState(2, 2)


def test_without_kube_state_metrics_replicas_are_the_pods_that_report(server: Prometheus) -> None:
    fill(server, "no-kube", *ENGINES)

    assert replicas(server, "no-kube").pools == {Role.PREFILL: PoolState(2, 2), Role.DECODE: PoolState(2, 2)}


def test_replicas_that_nothing_counts_are_unknown_with_the_reason(server: Prometheus) -> None:
    counts = replicas(server, "nobody")

    assert counts.pools == {}
    assert counts.errors[Role.DECODE].startswith("no series match kube_deployment_spec_replicas{")


def test_a_tick_of_a_large_fleet_takes_as_many_requests_as_one_of_a_small(server: Prometheus) -> None:
    fill(server, "large", *(replace(DECODE, pod=f"d-{index}") for index in range(25)))
    costs = []
    for namespace in ("no-prefill", "large"):
        source = PrometheusSource(queries(namespace), Connection(server.url))
        source.read(NOW_S)
        costs.append((source.last_read.requests, dict(source.last_read.errors)))
        source.close()

    assert costs[0] == costs[1]
    assert costs[0][0] <= 5


def test_an_expression_that_the_server_refuses_costs_only_its_own_signal(server: Prometheus, chat: Signals) -> None:
    ambiguous = 'vllm:num_requests_running{namespace="chat"} + on() vllm:num_requests_waiting{namespace="chat"}'
    source = PrometheusSource(queries("chat", overrides={Scope.SERVICE: {"tpot_s": ambiguous}}), Connection(server.url))

    signals, first = source.read(NOW_S), source.last_read
    again, second = source.read(NOW_S), source.last_read
    source.close()

    assert pick(signals, "service.tpot_s").state is SignalState.ABSENT
    assert (
        "refused the query (422): found duplicate series for the match group" in pick(signals, "service.tpot_s").detail
    )
    for path in EXPECTED.keys() - {"service.tpot_s"}:
        assert pick(signals, path) == pick(again, path) == pick(chat, path)
    assert first.errors == {FailureKind.EXPRESSION: 2}
    assert second.errors == {FailureKind.EXPRESSION: 1}
    assert second.requests < first.requests


def test_several_series_where_one_was_meant_are_no_value_and_the_labels_are_named(
    server: Prometheus,
) -> None:
    fill(server, "two", *ENGINES)
    expression = "max by (pod) (vllm:kv_cache_usage_perc{$decode}) # fullest"
    signals = read(server, queries("two", overrides={Scope.DECODE: {"kv_utilization_max": expression}}))

    signal = pick(signals, "decode.kv_utilization_max")
    assert signal.state is SignalState.ABSENT
    assert signal.detail == ('2 series where one was meant: {pod="d-0"}, {pod="d-1"}; aggregate them, as in sum(…)')


@pytest.mark.parametrize(("expression", "words"), [("vector(0) / 0", "nan"), ("vector(1) / 0", "inf")])
def test_what_is_no_number_is_absent(server: Prometheus, expression: str, words: str) -> None:
    signals = read(server, queries("chat", overrides={Scope.SERVICE: {"input_tokens_mean": expression}}))

    assert pick(signals, "service.input_tokens_mean").state is SignalState.ABSENT
    assert f"the query answered {words}" in pick(signals, "service.input_tokens_mean").detail


def test_a_constant_has_no_age(server: Prometheus) -> None:
    signals = read(server, queries("chat", overrides={Scope.SERVICE: {"input_tokens_mean": "1500"}}))

    assert pick(signals, "service.input_tokens_mean") == measured(1500.0, "tokens", 0.0)
