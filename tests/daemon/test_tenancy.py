"""What a tenant's policy may not do: read or scale elsewhere, or reach through the daemon what is hidden from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler.config.load import parse
from autoscaler.daemon.tenancy import Tenancy, is_hidden
from tests.e2e.stage import policy_document

OWN = {"service": "chat", "namespace": "tenant"}


def problems(tenancy: Tenancy | None = None, **spec: Any) -> dict[str, str]:
    """What is refused, by path."""
    document = policy_document("chat", "tenant", "http://prometheus.monitoring:9090", **{"selector": OWN, **spec})
    if "scrape" in spec:
        del document["spec"]["prometheus"]
    report = parse(yaml.safe_dump(document).encode(), Path("scalingpolicy/tenant/chat"))
    assert report.errors == ()
    return {one.path: str(one) for one in (tenancy or Tenancy()).problems(report.policies[0])}


def signal(expr: str) -> dict[str, Any]:
    return {"prefill": {"queue_depth": expr}}


def test_a_policy_that_keeps_to_its_namespace_is_fine() -> None:
    assert problems() == {}


@pytest.mark.parametrize(
    "spec",
    [
        {"selector": {"service": "chat"}},
        {"selector": {**OWN, "namespace": "other"}},
        {"signals": signal("sum(secrets_total)")},
        {"signals": signal('sum(secrets_total{namespace="other"})')},
        {"signals": signal('sum(secrets_total{namespace=~"tenant|other"})')},
        {"signals": signal('sum(secrets_total{namespace!="x"})')},
        {"signals": signal('sum(secrets_total{exported_namespace="tenant"})')},
        {"signals": signal('sum(a{namespace="tenant"}) + sum(max_over_time(b{}[5m]))')},
        {"signals": signal('sum({__name__="a",namespace="tenant" or __name__="b"})')},
        {"signals": signal('sum(a{namespace="tenant"}) + vector(scalar(sum(b offset 5m)))')},
    ],
    ids=str,
)
def test_series_of_other_namespaces_cannot_be_read(spec: dict[str, Any]) -> None:
    found = problems(**spec)

    assert list(found) == ["spec.selector.namespace"]
    assert "allowed: tenant" in found["spec.selector.namespace"]
    assert problems(Tenancy(cross_namespace=True), **spec) == {}


def test_a_query_of_its_own_that_keeps_to_its_namespace_is_fine() -> None:
    assert problems(signals=signal('sum(my_queue{namespace="tenant"})')) == {}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (
            {
                "roles": {
                    one: {"target": {"name": one, "namespace": "other"}, "max": 4} for one in ("prefill", "decode")
                }
            },
            "spec.roles.prefill.target.namespace",
        ),
        (
            {"stack": "llm-d", "switch": {"target": {"name": "epp", "namespace": "other"}}},
            "spec.switch.target.namespace",
        ),
    ],
)
def test_nothing_of_another_namespace_is_scaled_or_switched(spec: dict[str, Any], path: str) -> None:
    found = problems(**spec)

    assert path in found
    assert "an object in the cluster scales no other" in found[path]
    assert path not in problems(Tenancy(cross_namespace=True), **spec)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest",
        "http://[fe80::1]:9090",
        "http://[fd00:ec2::254]",
        "http://[::ffff:169.254.169.254]",
        "http://100.100.100.200",
        "http://metadata.google.internal",
        "http://METADATA.google.internal.",
        "http://127.0.0.1:9090",
        "http://127.1:9090",
        "http://2130706433",
        "http://0x7f000001",
        "http://0177.0.0.1",
        "http://0.0.0.0:10250",
        "http://[::]:9090",
        "http://[::1]:9090",
        "https://localhost:6443",
        "https://a.localhost",
        "https://kubernetes.default.svc",
        "https://kubernetes.default.svc.cluster.local",
    ],
)
def test_addresses_that_only_the_node_or_its_cloud_sees_are_refused(url: str) -> None:
    found = problems(prometheus={"url": url})

    assert list(found) == ["spec.prometheus.url"]
    assert problems(Tenancy(cross_namespace=True), prometheus={"url": url}) == {}


@pytest.mark.parametrize(
    "url",
    [
        "http://prometheus.monitoring:9090",
        "https://prom.example.com/tenant",
        "http://10.1.2.3:9090",
        "http://[2001:db8::1]:9090",
        "http://localhost.example.com",
        "http://kubernetes-metrics.monitoring",
    ],
)
def test_other_addresses_are_not(url: str) -> None:
    assert not is_hidden(url)


def test_an_address_that_is_none_is_hidden() -> None:
    assert is_hidden("http://[::1")
    assert is_hidden("http://")


def test_pages_of_a_scrape_are_addresses_too() -> None:
    pages = {"prefill": ["http://10.0.0.1:8000/metrics"], "decode": ["http://169.254.169.254/metrics"]}

    assert list(problems(scrape={"endpoints": pages})) == ["spec.scrape.endpoints.decode[0]"]


@pytest.mark.parametrize("scheme", ["file:///etc/shadow", "gopher://h/x", "ftp://h", "unix:///var/run/docker.sock"])
def test_schemes_other_than_http_are_refused_for_everyone(scheme: str) -> None:
    document = policy_document("chat", "tenant", scheme)

    (error,) = parse(yaml.safe_dump(document).encode(), Path("chat.yaml")).errors

    assert error.path == "spec.prometheus.url"
