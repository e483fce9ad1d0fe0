"""What `doctor` tells of signals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoscaler.cli.examination import Examination
from autoscaler.sources.findings import Verdict
from tests.cli.doctoring import examine, server, text
from tests.sources.chat import DECODE, ENGINES, NOW_S, PREFILL, fill
from tests.support.loopback import Reply, Request, running_loopback
from tests.support.prometheus import Prometheus, TimeSeries
from tests.support.vllm_series import STEP_S, Fleet

__all__ = ["server"]


def test_of_a_healthy_service_all_is_well_and_what_would_be_decided_is_told(server: Prometheus, tmp_path: Path) -> None:
    fill(server, "healthy", *ENGINES)

    found = examine(server, tmp_path, "healthy")

    assert found.inert == {}
    assert found.held == {}
    assert {signal.verdict for signal in found.signals.signals} == {Verdict.OK}
    shown = text(found)
    assert "ok       metric names begin with vllm:, versions >=0.32" in shown
    assert "ok       decode.running: 100 requests, 0 s old, 2 series" in shown
    assert "ok       prefill: 2 of 2 replicas serve" in shown
    assert "ok       prefill: 2 to " in shown


def test_without_a_cluster_counts_come_from_metrics_and_it_is_said_why(server: Prometheus, tmp_path: Path) -> None:
    fill(server, "no-cluster", *ENGINES)

    found = examine(server, tmp_path, "no-cluster")

    assert found.cluster is None
    assert "targets, from metrics because no cluster is configured" in text(found)
    assert "pass --kubeconfig" in text(found)


def test_wrong_labels_make_a_policy_inert_and_those_that_exist_are_told_once(
    server: Prometheus, tmp_path: Path
) -> None:
    fill(server, "there", *ENGINES)

    found = examine(server, tmp_path, "not-there")

    assert set(found.inert) == {"prefill", "decode"}
    shown = text(found)
    assert "missing  no series of the service is there; its names would begin with vllm:" in shown
    assert "missing  prefill.queue_depth: vllm:num_requests_waiting" in shown
    assert shown.count('signals: no series has namespace="not-there"; namespace is ') == 1
    assert "the stack tells roles by role: prefill prefill, decode decode" in " ".join(shown.split())
    assert "inert    prefill: " in shown


def test_a_single_missing_metric_is_told_where_it_is_missing(server: Prometheus, tmp_path: Path) -> None:
    fill(server, "older", *(replace(engine, version=(0, 19)) for engine in ENGINES))

    shown = text(examine(server, tmp_path, "older"))

    assert "missing  decode.waiting_for_kv: vllm:num_requests_kv_fetch_by_stage" in shown


@pytest.mark.parametrize("preempted", [0, DECODE.preempted], ids=["calm", "out-of-blocks"])
def test_a_pool_that_lacks_what_a_shrink_needs_is_told_before_anybody_waits_for_one(
    server: Prometheus, tmp_path: Path, preempted: int
) -> None:
    service = f"grows-{preempted}"
    fill(server, service, PREFILL, replace(DECODE, preempted=preempted))

    found = examine(server, tmp_path, service, signals={"decode": {"waiting": "sum(no_such_series)"}})

    assert found.inert == {}
    assert set(found.held) == {"decode"}
    shown = " ".join(text(found).split())
    assert "grows decode: it grows and never shrinks while waiting is " in shown


def test_a_service_that_is_idle_is_not_inert(server: Prometheus, tmp_path: Path) -> None:
    fill(server, "idle", *(replace(engine, finished=0, waiting=lambda _: 0.0, running=0.0) for engine in ENGINES))

    found = examine(server, tmp_path, "idle")

    assert found.inert == {}
    assert "idle     service.ttft_s: " in text(found)
    assert "-> send a request and look again" in text(found)


def test_bounds_that_the_stack_does_not_bear_are_named(server: Prometheus, tmp_path: Path) -> None:
    fill(server, "limit", *ENGINES)
    roles = {
        "prefill": {"target": {"name": "p"}, "selector": {"role": "prefill"}, "min": 0, "max": 4},
        "decode": {"target": {"name": "d"}, "selector": {"role": "decode"}, "max": 4},
    }

    shown = text(examine(server, tmp_path, "limit", stack="production-stack", roles=roles))

    said = "limit    spec.roles.prefill.min: stack production-stack: min of prefill is 0, at least 1 is needed."
    assert f"{said} The router sends every prompt to prefill" in " ".join(shown.split()).replace("limit ", "limit    ")


def test_pods_that_are_scraped_directly_are_examined_too(server: Prometheus, tmp_path: Path) -> None:
    found = scraped(tmp_path, server)

    assert found.signals.heard
    assert "ok       decode.running: 50 requests" in text(found)


def scraped(folder: Path, server: Prometheus, **spec: Any) -> Examination:
    fleet = Fleet((PREFILL, DECODE), "llama", {"namespace": "pages"})

    def answer(request: Request) -> Reply:
        return Reply(body=fleet.page(request.path.split("/")[1], NOW_S - 600.0, NOW_S).encode())

    with running_loopback(answer) as pods:
        endpoints = {engine.role: [f"{pods.url}/{engine.pod}/metrics"] for engine in fleet.engines}
        scrape = {"interval": "1s", "endpoints": endpoints}
        return examine(server, folder, "pages", scrape=scrape, prometheus=None, **spec)


def test_labels_that_do_not_fit_are_diagnosed_on_pages_scraped_directly_too(server: Prometheus, tmp_path: Path) -> None:
    shown = " ".join(text(scraped(tmp_path, server, model="lama")).split())

    assert 'no series has model_name="lama"; model_name is llama' in shown
    assert "inert prefill: " in shown


@pytest.mark.parametrize(
    ("copies", "told", "remedy"),
    [
        (
            [{"job": "by-annotation"}, {"job": "by-monitor", "endpoint": "http"}],
            "job alone, so all counts double: by-annotation, by-monitor",
            "-> scrape them once, or put job into spec.selector",
        ),
        (
            [{"instance": "10.0.0.1:8000"}, {"instance": "10.0.0.1:8200"}],
            "instance alone, so all counts double: 10.0.0.1:8000, 10.0.0.1:8200",
            "-> scrape one port of each pod",
        ),
        (
            [{"prometheus_replica": "prometheus-0"}, {"prometheus_replica": "prometheus-1"}],
            "prometheus_replica alone, so all counts double: prometheus-0, prometheus-1",
            "-> ask a server that drops the copies of a pair, as Thanos does by its replica labels",
        ),
        (
            [{"cluster": "east"}, {}],
            "cluster alone, so all counts double: none, east",
            "-> the service is in several clusters: put cluster into spec.selector",
        ),
    ],
)
def test_series_that_are_there_twice_are_told_for_they_count_twice(
    server: Prometheus, tmp_path: Path, copies: list[dict[str, str]], told: str, remedy: str
) -> None:
    namespace = f"twice-{'-'.join(copies[0]).replace('_', '-')}"
    for added in copies:
        fleet = Fleet(ENGINES, "llama", {"namespace": namespace, **added})
        server.write(fleet.time_series(NOW_S - 330.0, NOW_S))

    shown = " ".join(text(examine(server, tmp_path, namespace)).split())
    assert f"twice series of the same pods differ by {told} {remedy}" in shown


def test_engines_of_one_pod_are_no_copies_of_one_another(server: Prometheus, tmp_path: Path) -> None:
    fill(server, "once", *ENGINES)

    assert len({engine.pod for engine in ENGINES}) < len(ENGINES)
    assert "counts double" not in text(examine(server, tmp_path, "once"))


def test_replicas_that_serve_without_being_scraped_are_told(server: Prometheus, tmp_path: Path) -> None:
    fill(server, "partly", *ENGINES)
    for name in ("kube_deployment_spec_replicas", "kube_deployment_status_replicas_ready"):
        labels = {"__name__": name, "deployment": "chat-decode", "namespace": "partly"}
        server.write([TimeSeries(labels, [(NOW_S - STEP_S, 5.0), (NOW_S, 5.0)])])

    found = examine(server, tmp_path, "partly")

    assert found.held == {"decode": "of 5 replicas that serve 2 report: what the others do is not counted"}
