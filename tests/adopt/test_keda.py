from __future__ import annotations

import pytest

from autoscaler.core.policy import Mode
from tests.adopt.conftest import Import, add_scaled_object, engine
from tests.support.kube import Cluster

TRIGGER = {
    "type": "prometheus",
    "metadata": {"serverAddress": "http://thanos.monitoring:9090", "query": "sum(\n  queue)", "threshold": "5"},
    "authenticationRef": {"name": "token"},
}


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
    kube_api: Cluster, import_of: Import, spec: dict[str, object], said: str
) -> None:
    add_scaled_object(kube_api, "theirs", "chat-decode", **spec)  # type: ignore[arg-type]

    done = import_of("keda", "theirs")

    assert said in " ".join(line.lstrip("# ") for line in done.out.splitlines())
    assert done.policy.spec.mode is Mode.RECOMMEND


@pytest.mark.usefixtures("decode")
def test_handing_over_pauses_and_handing_back_resumes(kube_api: Cluster, import_of: Import) -> None:
    add_scaled_object(kube_api, "theirs", "chat-decode")

    out = import_of("keda", "theirs").out

    annotate = f"#   kubectl -n {kube_api.namespace} annotate scaledobject theirs autoscaling.keda.sh/paused"
    assert f'{annotate}="true"\n' in out
    assert f"{annotate}-\n" in out
