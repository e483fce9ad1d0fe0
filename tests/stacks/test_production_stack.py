from __future__ import annotations

import pytest

from autoscaler.core.policy import Role
from autoscaler.core.signals import Signals
from tests.sources.chat import ENGINES, EXPECTED
from tests.stacks.services import FROM_S, NOW_S, check, fill, read, service
from tests.support.prometheus import Prometheus
from tests.support.series_kit import Counter, Gauge, Page
from tests.support.vllm_series import Fleet

NAMESPACE = "prod"


def labels_of(role: str) -> dict[str, str]:
    name = f"vllm-llama-{role}-engine-service"
    return {"service": name, "job": name, "container": "vllm", "endpoint": "service-port"}


def router() -> Page:
    """The router's page in disaggregated mode: names of the engines', a label `server`, and nothing that moves."""
    rows: list[Gauge | Counter] = []
    for server in ("http://10.0.0.1:8000", "http://10.0.0.2:8000"):
        labels = {"server": server}
        rows += [
            Gauge("vllm:num_requests_running", 40.0, labels),
            Gauge("vllm:num_requests_waiting", 0.0, labels),
            Gauge("vllm:num_prefill_requests", 9.0, labels),
            Gauge("vllm:current_qps", -1.0, labels),
            Gauge("vllm:avg_latency", -1.0, labels),
            Gauge("vllm:avg_itl", -1.0, labels),
            Gauge("vllm:gpu_prefix_cache_hits_total", 0.0, labels),
            Gauge("vllm:gpu_prefix_cache_queries_total", 0.0, labels),
            Gauge("vllm:healthy_pods_total", 1.0, labels),
        ]
    rows.append(Counter("vllm:num_incoming_requests_total", 0.0, {"model": "llama"}))
    # A release whose name holds the name of a role puts the router among the services that look like it.
    target = {"namespace": NAMESPACE, "pod": "router-0", "service": "llm-prefill-router-service", "job": "router"}
    return Page(target, rows)


@pytest.fixture(scope="module")
def signals(server: Prometheus) -> Signals:
    by_role = {role: labels_of(role) for role in ("prefill", "decode")}
    fleet = Fleet(ENGINES, "llama", {"namespace": NAMESPACE}, by_role=by_role)
    server.write(fleet.time_series(FROM_S, NOW_S))
    fill(server, [router()])
    targets = ("vllm-llama-prefill-deployment-vllm", "vllm-llama-decode-deployment-vllm")
    return read(server, service("production-stack", selector={"namespace": NAMESPACE}, targets=targets))


@pytest.mark.parametrize("path", EXPECTED)
def test_a_signal_is_that_of_the_engines_and_not_of_the_router_beside_them(signals: Signals, path: str) -> None:
    check(signals, path, EXPECTED[path])


def test_a_service_without_a_model_name_does_not_count_the_routers_copies_of_metrics(server: Prometheus) -> None:
    of = service("production-stack", selector={"namespace": NAMESPACE}, model=None)

    check(read(server, of), "prefill.in_flight", EXPECTED["prefill.in_flight"])


def test_the_replica_counts_are_those_of_the_charts_deployments() -> None:
    of = service("production-stack", selector={"namespace": NAMESPACE}, targets=("a-deployment-vllm", "b"))

    assert of.replicas[Role.PREFILL].asked_for[0].expressions[0].text == (
        'max(kube_deployment_spec_replicas{deployment="a-deployment-vllm",namespace="prod"})'
    )
