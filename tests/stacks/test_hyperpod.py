from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.policy import Role
from autoscaler.core.signals import Signals
from tests.sources.chat import DECODE, PREFILL
from tests.sources.chat import EXPECTED as AT_THE_ENGINES
from tests.stacks.services import FROM_S, NOW_S, check, fill, pick, read, service
from tests.support.distributions import below, quantile
from tests.support.prometheus import Prometheus
from tests.support.series_kit import Counter, Gauge, Histogram, Page
from tests.support.vllm_series import Engine, Fleet

NAMESPACE = "hyperpod"
TTFB_BOUNDS_MS = (50, 100, 250, 500, 1000, 2500, 5000)
TTFB_MS = (300.0, 800.0, 1500.0)


def on_lmcache(engine: Engine, **observed_s: tuple[float, ...]) -> Engine:
    """vLLM 0.19 with LMCache instead of NIXL's connector."""
    latencies_s = {name: cycle for name, cycle in engine.latencies_s.items() if "nixl" not in name}
    lmcache = {f"lmcache:{name}": cycle for name, cycle in observed_s.items()}
    return replace(engine, version=(0, 19), expired=None, latencies_s={**latencies_s, **lmcache})


SENDER = on_lmcache(PREFILL, store_put_time=(0.02, 0.03, 0.1))
RECEIVER = on_lmcache(DECODE, time_to_retrieve=(0.01, 0.02, 0.03))
ENGINES = (
    SENDER,
    replace(SENDER, engine="1", kv_usage=0.4),
    replace(SENDER, pod="p-1", kv_usage=0.6),
    RECEIVER,
    replace(RECEIVER, pod="d-1", kv_usage=0.9, blocks="3000"),
)
EXPECTED: dict[str, float | str] = {
    **AT_THE_ENGINES,
    "decode.waiting_for_kv": "no series match vllm:num_requests_kv_fetch_by_stage",
    "service.kv_transfer_time_s": 0.05,
    "service.kv_expired_rate": "LMCache pushes KV to decode while it prefills",
}


def proxy() -> Page:
    labels = {"resource_name": "chat", "model_name": "llama", "cluster_name": "hyperpod"}
    return Page(
        {"namespace": NAMESPACE, "pod": "proxy-0", "container": "sidecar-reverse-proxy"},
        [
            Counter("model_invocations_total", 6.5, labels),
            Gauge("model_concurrent_requests", 40.0, labels),
            Histogram("model_ttfb_milliseconds", TTFB_BOUNDS_MS, TTFB_MS, 6.5, labels, whole_as_int=True),
        ],
    )


@pytest.fixture(scope="module")
def signals(server: Prometheus) -> Signals:
    by_role = {role: {"container": f"{role}-chat"} for role in ("prefill", "decode")}
    server.write(Fleet(ENGINES, "llama", {"namespace": NAMESPACE}, by_role=by_role).time_series(FROM_S, NOW_S))
    fill(server, [proxy()])
    return read(server, service("hyperpod", selector={"namespace": NAMESPACE}, targets=("chat", "chat")))


@pytest.mark.parametrize("path", AT_THE_ENGINES)
def test_containers_tell_the_roles_and_lmcache_the_transfer(signals: Signals, path: str) -> None:
    check(signals, path, EXPECTED[path])


def test_the_transfer_time_says_whose_it_is(signals: Signals) -> None:
    assert "LMCache put on prefill" in pick(signals, "service.kv_transfer_time_s").detail


def test_without_the_engines_metrics_the_endpoints_proxy_tells_what_it_can(server: Prometheus) -> None:
    fill(server, [Page({**proxy().target, "namespace": "hyperpod-bare"}, proxy().rows)])

    signals = read(server, service("hyperpod", selector={"namespace": "hyperpod-bare"}))

    bounds_s = [bound / 1000 for bound in TTFB_BOUNDS_MS]
    observed_s = [value / 1000 for value in TTFB_MS]
    check(signals, "service.request_rate", 6.5)
    check(signals, "service.ttft_s", quantile(0.95, observed_s, bounds_s))
    check(signals, "service.ttft_attainment_ratio", below(0.9, observed_s, bounds_s))


def test_the_deployments_below_an_endpoint_are_called_after_role_and_endpoint() -> None:
    of = service("hyperpod", selector={"namespace": NAMESPACE}, targets=("chat", "chat"))

    asked_for = {role: query.asked_for[0].expressions[0].text for role, query in of.replicas.items()}
    assert asked_for == {
        Role.PREFILL: 'max(kube_deployment_spec_replicas{deployment="prefill-chat",namespace="hyperpod"})',
        Role.DECODE: 'max(kube_deployment_spec_replicas{deployment="decode-chat",namespace="hyperpod"})',
    }
