"""Metrics pages of Moreh MIF 0.5 for tests: an AIGateway, and the pod labels that tell the roles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.support.series_kit import Counter, Gauge, Histogram, Page, Row

LATENCY_BOUNDS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
TOKEN_BOUNDS = (10, 100, 1000, 10000)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What the gateway knows of one endpoint, which is a pod."""

    pod: str
    role: str
    waiting: float
    running: float
    kv_percent: float


@dataclass(frozen=True, slots=True)
class Gateway:
    """What passes through the gateway."""

    endpoints: Sequence[Endpoint]
    requests_per_s: float = 6.0
    ttft_s: Sequence[float] = (0.3, 0.8, 1.5)
    itl_s: Sequence[float] = (0.02, 0.03, 0.07)
    input_tokens: Sequence[float] = (800.0, 1500.0)
    output_tokens: Sequence[float] = (150.0, 350.0)
    duration_s: Sequence[float] = (4.0, 6.0, 9.0)
    model: str = "llama"


def pages(gateway: Gateway, namespace: str, name: str = "chat") -> list[Page]:
    """The gateway's page, and those of two replicas of kube-state-metrics."""
    own = {"namespace": namespace, "aigateway": name}
    of_model = {**own, "model": gateway.model}
    rate = gateway.requests_per_s
    rows: list[Row] = [
        Counter("aigateway_requests_total", rate, of_model),
        Counter("aigateway_requests_total", 40.0, {**own, "model": "another"}),
        Gauge("aigateway_inflight_requests", 90.0, of_model),
    ]
    for what, bounds, cycle in (
        ("ttft_seconds", LATENCY_BOUNDS_S, gateway.ttft_s),
        ("itl_seconds", LATENCY_BOUNDS_S, gateway.itl_s),
        ("request_duration_seconds", LATENCY_BOUNDS_S, gateway.duration_s),
        ("input_tokens", TOKEN_BOUNDS, gateway.input_tokens),
        ("output_tokens", TOKEN_BOUNDS, gateway.output_tokens),
    ):
        rows.append(Histogram(f"aigateway_{what}", bounds, cycle, rate, of_model, whole_as_int=True))
    for endpoint in gateway.endpoints:
        labels = {**own, "endpoint": endpoint.pod}
        rows += [
            Gauge("inference_service_waiting_requests", endpoint.waiting, labels),
            Gauge("inference_service_running_requests", endpoint.running, labels),
            Gauge("inference_service_kv_cache_usage_percent", endpoint.kv_percent, labels),
        ]
    # The gateway's chart keeps its labels (honorLabels), so they stand as they are.
    found = [Page({"pod": "gateway-0"}, rows)]
    for replica in ("ksm-0", "ksm-1"):
        labelled: list[Row] = [
            Gauge(
                "kube_pod_labels",
                1.0,
                {"namespace": namespace, "pod": endpoint.pod, "label_mif_moreh_io_role": endpoint.role},
            )
            for endpoint in gateway.endpoints
        ]
        found.append(Page({"instance": replica, "job": "kube-state-metrics"}, labelled))
    return found
