from __future__ import annotations

from typing import Any

import pytest

from autoscaler.core.policy import Mode
from tests.adopt.conftest import Import, add_scaled_object, engine
from tests.support.kube import Cluster

TRIGGER = {
    "type": "prometheus",
    "metadata": {"serverAddress": "http://thanos.monitoring:9090", "query": "sum(\n  queue)", "threshold": "5"},
    "authenticationRef": {"name": "token"},
}
CRON = {
    "type": "cron",
    "metadata": {"timezone": "Europe/Berlin", "start": "0 8 * * 1-5", "end": "0 18 * * 1-5", "desiredReplicas": "6"},
}


def asking(**metadata: str) -> dict[str, object]:
    """A Prometheus trigger that says more of its server."""
    return {"type": "prometheus", "metadata": {"serverAddress": "http://prom:9090", "query": "sum(queue)", **metadata}}


@pytest.fixture
def decode(kube_api: Cluster) -> None:
    kube_api.create("deployments", engine("chat-decode", replicas=3))


@pytest.mark.usefixtures("decode")
def test_bounds_fallback_and_server_are_carried_over(kube_api: Cluster, import_of: Import) -> None:
    add_scaled_object(
        kube_api,
        "theirs",
        "chat-decode",
        minReplicaCount=2,
        maxReplicaCount=8,
        pollingInterval=20,
        fallback={"failureThreshold": 6, "replicas": 4},
        triggers=[TRIGGER],
    )

    spec = import_of("keda", "theirs").policy.spec

    decode = spec.roles.decode
    assert (spec.mode, decode.min_replicas, decode.max_replicas, decode.fallback_replicas) == (Mode.RECOMMEND, 2, 8, 4)
    assert spec.fallback_after_s == 120.0
    assert spec.prometheus is not None
    assert spec.prometheus.url == "http://thanos.monitoring:9090"


@pytest.mark.usefixtures("decode")
def test_kedas_defaults_are_named_and_decode_keeps_one_replica(kube_api: Cluster, import_of: Import) -> None:
    add_scaled_object(kube_api, "theirs", "chat-decode")

    done = import_of("keda", "theirs")

    decode = done.policy.spec.roles.decode
    assert (decode.min_replicas, decode.max_replicas) == (1, 100)
    assert "# 0 before; without decode nothing is served" in done.out
    assert "# KEDA's default for minReplicaCount and maxReplicaCount" in done.out


@pytest.mark.usefixtures("decode")
def test_the_behavior_of_its_hpa_is_carried_over(kube_api: Cluster, import_of: Import) -> None:
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 900, "selectPolicy": "Disabled"}}
    add_scaled_object(
        kube_api, "theirs", "chat-decode", advanced={"horizontalPodAutoscalerConfig": {"behavior": behavior}}
    )

    down = import_of("keda", "theirs").policy.spec.roles.decode.behavior.scale_down
    assert (down.window_s, down.select) == (900.0, "Disabled")


@pytest.mark.usefixtures("decode")
@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"triggers": [TRIGGER]}, "trigger prometheus, sum( queue), threshold 5: the objectives decide instead"),
        ({"triggers": [TRIGGER]}, "authenticationRef token: put its token or password into a file"),
        ({"triggers": [TRIGGER]}, "ignoreNullValues: an empty answer was read as 0"),
        (
            {"triggers": [CRON]},
            "trigger cron, 6 replicas from 0 8 * * 1-5 to 0 18 * * 1-5 in Europe/Berlin: say it by min",
        ),
        (
            {"triggers": [asking(customHeaders="X-Scope-OrgID=a,X-B=b")]},
            "customHeaders X-Scope-OrgID, X-B: put them into",
        ),
        ({"triggers": [asking(namespace="serving")]}, "namespace: was sent with each query"),
        ({"triggers": [asking(unsafeSsl="true")]}, "unsafeSsl: the server's certificate was not checked"),
        ({"triggers": [asking(serverAddress="http://me:secret@prom:9090")]}, "serverAddress: is no address for"),
        ({"fallback": {"failureThreshold": 3, "replicas": 2}}, "fallbackReplicas only grow a pool"),
        ({"cooldownPeriod": 300}, "cooldownPeriod 300: about scaling to zero only"),
        ({"idleReplicaCount": 0}, "idleReplicaCount 0: about scaling to zero only"),
        ({"advanced": {"scalingModifiers": {"formula": "a + b"}}}, "the objectives decide instead of a formula"),
        ({"advanced": {"restoreToOriginalReplicaCount": True}}, "would set the count back"),
        ({"fallback": {"failureThreshold": 3, "replicas": 2, "behavior": "currentReplicas"}}, "the count is held"),
        ({"metadata": {"annotations": {"autoscaling.keda.sh/paused": "true"}}}, "it is paused"),
        ({"metadata": {"annotations": {"autoscaling.keda.sh/paused-scale-in": "true"}}}, "set selectPolicy: Disabled"),
    ],
)
def test_what_cannot_be_carried_over_is_said(
    kube_api: Cluster, import_of: Import, spec: dict[str, Any], said: str
) -> None:
    add_scaled_object(kube_api, "theirs", "chat-decode", **spec)

    done = import_of("keda", "theirs")

    assert said in " ".join(line.lstrip("# ") for line in done.out.splitlines())
    assert done.policy.spec.mode is Mode.RECOMMEND


@pytest.mark.usefixtures("decode")
def test_handing_over_pauses_and_handing_back_resumes(kube_api: Cluster, import_of: Import) -> None:
    add_scaled_object(kube_api, "theirs", "chat-decode")

    out = import_of("keda", "theirs").out

    annotate = f"#   kubectl -n {kube_api.namespace} annotate scaledobject theirs"
    assert f'{annotate} --overwrite autoscaling.keda.sh/paused="true"\n' in out
    assert f"{annotate} autoscaling.keda.sh/paused-\n" in out


@pytest.mark.usefixtures("decode")
@pytest.mark.parametrize(
    ("name", "value", "paused"),
    [
        ("paused", "yes", True),
        ("paused", "False", False),
        ("paused", "0", False),
        ("paused-replicas", "4", True),
        ("paused-replicas", "0", True),
    ],
)
def test_what_is_paused_already_stays_so_and_a_pause_is_read_as_keda_reads_it(
    kube_api: Cluster, import_of: Import, name: str, value: str, *, paused: bool
) -> None:
    annotations = {f"autoscaling.keda.sh/{name}": value}
    add_scaled_object(kube_api, "theirs", "chat-decode", metadata={"annotations": annotations})

    out = import_of("keda", "theirs").out

    assert ("annotate scaledobject theirs" not in out) is paused
    assert (f"it is paused (autoscaling.keda.sh/{name}: {value})" in out) is paused


@pytest.mark.usefixtures("decode")
@pytest.mark.parametrize(
    ("fallback", "replicas", "after_s"),
    [
        ({"failureThreshold": 0, "replicas": 2}, 2, 1.0),
        ({"failureThreshold": 9000, "replicas": 2}, 2, 86_400.0),
        ({"failureThreshold": 3, "replicas": 0}, 1, 90.0),
        ({"failureThreshold": 3, "replicas": 7, "behavior": "currentReplicasIfHigher"}, 7, 90.0),
    ],
)
def test_a_fallback_that_a_policy_cannot_hold_is_brought_to_the_nearest_that_it_can(
    kube_api: Cluster, import_of: Import, fallback: dict[str, object], replicas: int, after_s: float
) -> None:
    add_scaled_object(kube_api, "theirs", "chat-decode", fallback=fallback)

    spec = import_of("keda", "theirs").policy.spec

    assert (spec.roles.decode.fallback_replicas, spec.fallback_after_s) == (replicas, after_s)


def test_of_two_servers_the_other_one_is_named(kube_api: Cluster, import_of: Import) -> None:
    for role in ("prefill", "decode"):
        kube_api.create("deployments", engine(f"chat-{role}"))
        trigger = asking(serverAddress=f"http://{role}:9090")
        add_scaled_object(kube_api, role, f"chat-{role}", triggers=[trigger])

    out = import_of("keda", "prefill", "decode").out

    assert "url: http://prefill:9090" in out
    assert "the other pool's has http://decode:9090" in out
