from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

from autoscaler.core.signals import Scope
from autoscaler.sources.findings import Findings, SignalFinding, Verdict, examine
from autoscaler.sources.http import Connection
from autoscaler.sources.prometheus import PrometheusSource
from autoscaler.stacks.queries import ServiceQueries
from tests.sources.chat import DECODE, ENGINES, NOW_S, PREFILL, fill, queries
from tests.support.loopback import Reply, running_loopback
from tests.support.prometheus import Prometheus
from tests.support.vllm_series import Fleet


def look(server: Prometheus, of: ServiceQueries, at_s: float = NOW_S) -> Findings:
    with closing(PrometheusSource(of, Connection(server.url))) as source:
        return examine(of, source.ask, at_s)


def pick(findings: Findings, path: str) -> SignalFinding:
    scope, name = path.split(".")
    return next(found for found in findings.signals if (found.scope, found.name) == (scope, name))


@pytest.fixture(scope="module")
def healthy(server: Prometheus) -> Findings:
    fill(server, "findings", *ENGINES)
    return look(server, queries("findings"))


def test_of_a_healthy_service_every_signal_is_there(healthy: Findings) -> None:
    assert {found.verdict for found in healthy.signals} == {Verdict.OK}
    assert (healthy.dialect, healthy.heard, healthy.versions) == ("vllm:", True, ">=0.32")


def test_it_is_told_which_way_a_signal_was_measured_and_how_many_series_are_behind_it(healthy: Findings) -> None:
    waiting, ready = pick(healthy, "decode.waiting_for_kv"), pick(healthy, "decode.ready_replicas")

    assert (waiting.way, waiting.ways, waiting.versions, waiting.series) == (1, 2, ">=0.32", 4)
    assert (ready.way, ready.ways, ready.series) == (3, 3, 2)


def test_an_objective_between_two_bounds_of_its_histogram_is_pointed_out(healthy: Findings) -> None:
    assert pick(healthy, "service.tpot_attainment_ratio").remedy == (
        "the target of 0.06 s lies between the bounds 0.05 and 0.075 of the histogram, so the share is a guess: "
        "put the target on a bound, or a bound on the target by --custom-histogram-buckets of vLLM, from 0.32 on"
    )


def test_an_older_engine_is_known_by_its_series(server: Prometheus) -> None:
    fill(server, "findings-old", *(replace(engine, version=(0, 20)) for engine in ENGINES))

    findings = look(server, queries("findings-old"))

    assert findings.versions == "0.20 to 0.31"
    assert pick(findings, "decode.waiting_for_kv").way == 2


@pytest.mark.usefixtures("healthy")
def test_labels_that_match_one_by_one_but_not_together_are_named(server: Prometheus) -> None:
    fill(server, "findings-model", replace(PREFILL, role="p"), DECODE)

    findings = look(server, queries("findings-model"))

    remedy = pick(findings, "prefill.queue_depth").remedy
    assert pick(findings, "prefill.queue_depth").verdict is Verdict.MISSING
    # Other services have prefill in their label role, so only all labels together match nothing.
    assert 'no series has all of namespace="findings-model", role="prefill", model_name="llama" at once' in remedy
    assert pick(findings, "decode.running").verdict is Verdict.OK


def test_a_namespace_that_does_not_exist_is_named_with_those_that_do(server: Prometheus) -> None:
    fill(server, "findings-there", *ENGINES)

    remedy = pick(look(server, queries("findings-not-there")), "prefill.queue_depth").remedy

    assert 'no series has namespace="findings-not-there"; namespace is ' in remedy


def test_a_label_that_no_series_has_is_named_with_those_that_they_have(server: Prometheus) -> None:
    of = queries("findings-label", overrides={Scope.SERVICE: {"ttft_s": 'vllm_only_here{pool="a"}'}})
    fleet = Fleet((PREFILL,), "llama", {"namespace": "findings-label"}, by_role={"prefill": {}}, prefix="vllm_only_")
    server.write(
        replace(series, labels={**series.labels, "__name__": "vllm_only_here"})
        for series in fleet.time_series(NOW_S - 30.0, NOW_S)
        if series.labels["__name__"] == "vllm_only_num_requests_waiting"
    )

    assert pick(look(server, of), "service.ttft_s").remedy == (
        "no series has the label pool; their labels are engine, instance, model_name, namespace, pod"
    )


def test_a_metric_that_does_not_exist_is_named(server: Prometheus) -> None:
    of = queries("findings-name", overrides={Scope.SERVICE: {"ttft_s": "nothing_like_it"}})

    ttft = pick(look(server, of), "service.ttft_s")

    assert (ttft.metric, ttft.remedy) == (
        "nothing_like_it",
        "no series is called so: is it scraped, and does this version export it?",
    )


def test_a_service_without_traffic_is_idle_and_not_missing(server: Prometheus) -> None:
    fill(server, "findings-idle", *(replace(engine, finished=0) for engine in ENGINES))

    ttft = pick(look(server, queries("findings-idle")), "service.ttft_s")

    assert (ttft.verdict, ttft.remedy) == (Verdict.IDLE, "send a request and look again")


def test_series_that_have_ended_are_stale(server: Prometheus) -> None:
    fill(server, "findings-ended", *ENGINES)

    depth = pick(look(server, queries("findings-ended"), NOW_S + 120.0), "prefill.queue_depth")

    assert depth.verdict is Verdict.STALE
    assert "whether Prometheus still scrapes it" in depth.remedy


def test_an_expression_with_several_series_has_failed(server: Prometheus) -> None:
    fill(server, "findings-many", *ENGINES)
    of = queries("findings-many", overrides={Scope.DECODE: {"running": "vllm:num_requests_running{$decode}"}})

    running = pick(look(server, of), "decode.running")

    assert running.verdict is Verdict.FAILED
    assert "2 series where one was meant" in running.signal.detail


def test_a_signal_that_the_stack_does_not_have_is_no_fault(server: Prometheus) -> None:
    of = queries("findings")
    declared = tuple(
        replace(signal, candidates=(), missing="no gauge") if signal.name == "in_flight" else signal
        for signal in of.signals
    )

    found = pick(look(server, replace(of, signals=declared)), "prefill.in_flight")

    assert (found.verdict, found.signal.detail, found.remedy) == (Verdict.DECLARED, "no gauge", "")


def test_names_in_another_spelling_with_other_labels_are_still_recognised(server: Prometheus) -> None:
    fleet = Fleet(ENGINES, "a-model-of-its-own", {"namespace": "findings-spelling"}, prefix="kserve_vllm:")
    server.write(fleet.time_series(NOW_S - 60.0, NOW_S))
    of = queries("findings-spelling", model="wanted")
    lone = replace(of, alternatives=tuple(one for one in of.alternatives if one.dialect.startswith("kserve")))
    strange = replace(lone, probe="nothing_here{}")

    findings = look(server, strange)

    assert (findings.dialect, findings.heard) == ("kserve_vllm:", False)
    remedy = pick(findings, "prefill.queue_depth").remedy
    assert 'no series has model_name="wanted"; model_name is a-model-of-its-own' in remedy


def test_a_server_that_refuses_is_no_missing_metric() -> None:
    with running_loopback(lambda _: Reply(status=503, body=b"starting")) as broken:
        findings = look(Prometheus(broken.url, 0), queries("findings"))

    assert {found.verdict for found in findings.signals} == {Verdict.FAILED}
    assert "503" in pick(findings, "prefill.queue_depth").signal.detail
