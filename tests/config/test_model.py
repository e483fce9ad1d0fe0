from __future__ import annotations

from typing import Any

import pytest

from autoscaler.config.model import Dispatch, ScalingPolicy
from autoscaler.core import policy as plain
from autoscaler.core.signals import Scope
from tests.config.builders import REMOVED, error, errors, policy

HPA_BEHAVIOR = {  # as `kubectl get hpa -o yaml` prints one
    "scaleUp": {
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "tolerance": "50m",
        "policies": [
            {"type": "Percent", "value": 100, "periodSeconds": 15},
            {"type": "Pods", "value": 4, "periodSeconds": 15},
        ],
    },
    "scaleDown": {
        "stabilizationWindowSeconds": 300,
        "selectPolicy": "Min",
        "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
    },
}


def test_a_minimal_policy_only_recommends() -> None:
    assert policy().core().mode is plain.Mode.RECOMMEND


def test_a_policy_becomes_what_deciding_needs() -> None:
    core = policy(
        {
            "spec.mode": "enforce",
            "spec.interval": "20s",
            "spec.staleAfter": "90s",
            "spec.fallbackAfter": "15m",
            "spec.objectives": {
                "ttft": {"percentile": "p99", "target": "1.5s"},
                "tpot": {"percentile": 90, "target": "40ms"},
                "attainment": "99.5%",
            },
            "spec.roles.prefill.min": 0,
            "spec.roles.decode": {
                "target": {"name": "d"},
                "min": 2,
                "max": 6,
                "gpusPerReplica": 0.5,
                "startupTime": "4m",
                "fallbackReplicas": 3,
                "behavior": HPA_BEHAVIOR,
            },
        }
    ).core()

    assert core.service == "llama-70b"
    assert core.mode is plain.Mode.ENFORCE
    assert (core.interval_s, core.stale_after_s, core.fallback_after_s) == (20.0, 90.0, 900.0)
    assert core.objectives.ttft == plain.LatencyObjective(0.99, 1.5)
    assert core.objectives.tpot == plain.LatencyObjective(0.9, 0.04)
    assert core.objectives.attainment_ratio == pytest.approx(0.995)
    assert core.roles[plain.Role.PREFILL].min_replicas == 0
    assert core.roles[plain.Role.DECODE] == plain.RolePolicy(
        min_replicas=2,
        max_replicas=6,
        gpus_per_replica=0.5,
        startup_time_s=240.0,
        behavior=plain.Behavior(
            up=plain.DirectionBehavior(
                0.0,
                (
                    plain.RateRule(plain.RuleKind.PERCENT, 100, 15.0),
                    plain.RateRule(plain.RuleKind.PODS, 4, 15.0),
                ),
                plain.SelectPolicy.MAX,
                0.05,
            ),
            down=plain.DirectionBehavior(
                300.0, (plain.RateRule(plain.RuleKind.PERCENT, 100, 15.0),), plain.SelectPolicy.MIN, 0.1
            ),
        ),
        fallback_replicas=3,
    )


def test_both_windows_follow_what_is_known_by_default() -> None:
    behavior = policy().core().roles[plain.Role.DECODE].behavior

    assert behavior.up.window_s is None
    assert behavior.down.window_s is None


def test_a_target_without_namespace_lives_in_that_of_the_policy() -> None:
    targets = policy({"spec.roles.decode.target.namespace": "other"}).targets()

    assert targets[plain.Role.PREFILL].namespace == "serving"
    assert targets[plain.Role.DECODE].namespace == "other"
    assert targets[plain.Role.DECODE].api_version == "apps/v1"
    assert targets[plain.Role.DECODE].kind == "Deployment"


def test_a_policy_without_any_connection_waits_for_one_from_the_command_line() -> None:
    spec = policy({"spec.prometheus": REMOVED}).spec

    assert spec.prometheus is not None
    assert spec.prometheus.url is None
    assert spec.scrape is None


def test_scraping_replaces_prometheus() -> None:
    endpoints = {"prefill": ["http://127.0.0.1:8001/metrics"], "decode": ["http://127.0.0.1:8002/metrics"]}
    spec = policy({"spec.prometheus": REMOVED, "spec.scrape": {"endpoints": endpoints}}).spec

    assert spec.prometheus is None
    assert spec.scrape is not None
    assert (spec.scrape.port, spec.scrape.path, spec.scrape.interval_s) == (8000, "/metrics", 5.0)
    assert spec.scrape.endpoints is not None
    assert spec.scrape.endpoints.decode == ("http://127.0.0.1:8002/metrics",)


def test_an_address_loses_its_last_slash() -> None:
    spec = policy({"spec.prometheus.url": "https://metrics.example/prom/"}).spec

    assert spec.prometheus is not None
    assert spec.prometheus.url == "https://metrics.example/prom"


def test_queries_are_known_by_scope() -> None:
    spec = policy({"spec.signals": {"service": {"ttft_s": "max(ttft)"}}, "spec.dispatch": "concurrent"}).spec

    assert spec.signals.by_scope()[Scope.SERVICE] == {"ttft_s": "max(ttft)"}
    assert spec.dispatch is Dispatch.CONCURRENT


@pytest.mark.parametrize("query", ["sum(queue{$prefill})", "rate(x_total[$window])", 'sum(q{pod=~"a$$"})', "1"])
def test_a_query_may_use_the_placeholders_of_its_stack(query: str) -> None:
    assert policy({"spec.signals": {"prefill": {"queue_depth": query}}}).spec.signals.prefill["queue_depth"] == query


def test_a_policy_written_out_reads_back_the_same() -> None:
    original = policy({"spec.roles.prefill.behavior": HPA_BEHAVIOR, "spec.objectives.attainment": "99.9%"})

    again = ScalingPolicy.model_validate(original.model_dump(mode="json", by_alias=True, exclude_none=True))

    assert again == original


def test_secrets_show_in_no_representation() -> None:
    secret = "hunter2"
    found = policy(
        {
            "spec.prometheus.basicAuth": {"username": "me", "password": secret},
            "spec.prometheus.headers": {"X-Scope-OrgID": secret},
        }
    )

    assert secret not in repr(found) + str(found) + found.model_dump_json()
    assert found.spec.prometheus is not None
    assert found.spec.prometheus.basic_auth is not None
    assert found.spec.prometheus.basic_auth.password is not None
    assert found.spec.prometheus.basic_auth.password.get_secret_value() == secret


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"spec.roles.prefill.min": 9}, "spec.roles.prefill.min", "is more than max, 8"),
        ({"spec.roles.prefill.min": -1}, "spec.roles.prefill.min", "out of range"),
        ({"spec.roles.prefill.max": 0}, "spec.roles.prefill.max", "out of range"),
        ({"spec.roles.prefill.max": 10_001}, "spec.roles.prefill.max", "out of range"),
        ({"spec.roles.decode.min": 0}, "spec.roles.decode.min", "nothing would be served"),
        ({"spec.roles.decode.fallbackReplicas": 9}, "spec.roles.decode.fallbackReplicas", "outside of min and max"),
        ({"spec.roles.decode.gpusPerReplica": 0}, "spec.roles.decode.gpusPerReplica", "out of range"),
        ({"spec.roles.decode.target.name": "vllm-prefill"}, "spec.roles.decode.target", "target of prefill too"),
        ({"spec.objectives.tpot.target": "0s"}, "spec.objectives.tpot.target", "out of range"),
        ({"spec.objectives.attainment": "100%"}, "spec.objectives.attainment", "out of range"),
        ({"spec.scrape": {}}, "spec.scrape", "does not go with prometheus"),
        (
            {"spec.prometheus.bearerToken": "t", "spec.prometheus.bearerTokenFile": "f"},
            "spec.prometheus.bearerTokenFile",
            "does not go with bearerToken",
        ),
        (
            {"spec.prometheus.bearerToken": "t", "spec.prometheus.headers": {"authorization": "x"}},
            "spec.prometheus.headers.authorization",
            "which sets the same header",
        ),
        ({"spec.prometheus.basicAuth": {"username": "u"}}, "spec.prometheus.basicAuth", "needs one password"),
        ({"spec.prometheus.tls": {"certFile": "c"}}, "spec.prometheus.tls.certFile", "of no use without keyFile"),
        ({"spec.prometheus.tls": {"keyFile": "c"}}, "spec.prometheus.tls.keyFile", "of no use without certFile"),
        ({"spec.prometheus.url": "prometheus:9090"}, "spec.prometheus.url", "is no http address"),
        ({"spec.prometheus.url": "http://"}, "spec.prometheus.url", "wants a host"),
        ({"spec.prometheus.url": "http://h:x"}, "spec.prometheus.url", "is no address"),
        ({"spec.prometheus.url": "http://[::1"}, "spec.prometheus.url", "is no address"),
        ({"spec.prometheus.url": "http://h/?q=1"}, "spec.prometheus.url", "no query or fragment"),
        ({"spec.prometheus.url": "http://a b"}, "spec.prometheus.url", "has a space"),
        ({"spec.prometheus.headers": {"X-A": "b\nc"}}, "spec.prometheus.headers.X-A", "line break"),
        ({"spec.prometheus.bearerToken": ""}, "spec.prometheus.bearerToken", "is empty"),
        ({"spec.signals": {"prefill": {"queue_depth": "sum(x"}}}, "spec.signals.prefill.queue_depth", "is no PromQL"),
        (
            {"spec.signals": {"prefill": {"queue_depth": "x offset 99999999999999999999999"}}},
            "spec.signals.prefill.queue_depth",
            "is no PromQL",
        ),
        ({"spec.signals": {"prefill": {"queue_depth": "x[5m]"}}}, "spec.signals.prefill.queue_depth", "gives a range"),
        ({"spec.signals": {"prefill": {"queue_depth": "('x')"}}}, "spec.signals.prefill.queue_depth", "gives a text"),
        (
            {"spec.signals": {"prefill": {"queue_depth": "(" * 20_000 + "x" + ")" * 20_000}}},
            "spec.signals.prefill.queue_depth",
            "recording rule",
        ),
        (
            {"spec.roles.decode.behavior": {"scaleDown": {"policies": []}}},
            "spec.roles.decode.behavior.scaleDown.policies",
            "is empty",
        ),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_where_it_stands(changes: dict[str, Any], path: str, words: str) -> None:
    found = error(changes)

    assert found.path == path
    assert words in found.message


@pytest.mark.parametrize(
    ("url", "meant"), [("prometheus:9090", "http://prometheus:9090"), ("https//p:9090", "https://p:9090")]
)
def test_an_address_without_a_whole_scheme_is_told_with_one(url: str, meant: str) -> None:
    assert error({"spec.prometheus.url": url}).nearest == meant


def test_the_two_pools_may_share_an_object_that_counts_them_apart() -> None:
    target = {"apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoGraphDeployment", "name": "graph"}

    assert errors({"spec.roles.prefill.target": target, "spec.roles.decode.target": target}) == []


def test_all_that_is_wrong_is_reported_at_once() -> None:
    found = errors(
        {
            "spec.mode": "enforced",
            "spec.interval": 15,
            "spec.roles.prefill.min": 9,
            "spec.roles.decode.max": REMOVED,
            "spec.prometheus.tls": {"certFile": "c"},
        }
    )

    assert {problem.path for problem in found} == {
        "spec.mode",
        "spec.interval",
        "spec.roles.prefill.min",
        "spec.roles.decode.max",
        "spec.prometheus.tls.certFile",
    }
