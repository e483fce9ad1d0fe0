from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoscaler.core.policy import Role
from autoscaler.daemon.pod_pages import PodPages
from autoscaler.sources.endpoints import Endpoint, EndpointsError
from autoscaler.targets.kubernetes.aim import Service, aim
from autoscaler.targets.kubernetes.client import KubeClient
from autoscaler.targets.kubernetes.connection import connect
from autoscaler.targets.kubernetes.specs.load import load_spec
from tests.support.kube import FakeCluster, fake_kube_api
from tests.support.kube_api import DeploymentController, Fault
from tests.support.kube_api.manifests import deployment

__all__ = ["fake_kube_api"]


@pytest.fixture
def client(fake_kube_api: FakeCluster, tmp_path: Path) -> Iterator[KubeClient]:
    made = connect(kubeconfig=str(fake_kube_api.kubeconfig(tmp_path / "kubeconfig")), environ={})
    yield made
    made.close()


@pytest.fixture
def cluster(fake_kube_api: FakeCluster) -> FakeCluster:
    """Two pods of one Deployment: one with an address, one that has none yet."""
    DeploymentController(fake_kube_api.api, time.time)
    fake_kube_api.create("deployments", deployment("chat-decode", replicas=2))
    give_address(fake_kube_api, pods(fake_kube_api)[0], "10.0.0.7")
    return fake_kube_api


def pods(cluster: FakeCluster) -> list[str]:
    items = cluster.request("GET", cluster.path("v1", "pods"))[1]["items"]
    return [item["metadata"]["name"] for item in items]


def give_address(cluster: FakeCluster, pod: str, address: str) -> None:
    cluster.patch("v1", "pods", pod, {"status": {"podIP": address}}, "status")


def decode_pages(client: KubeClient, pods: str = "") -> PodPages:
    where = Service("serving", "chat-decode", pods=pods)
    aims = {Role.DECODE: aim(load_spec("deployment"), where, Role.DECODE)}
    return PodPages(client, aims, {Role.DECODE: {"role": "decode"}}, "pod", 8000, "/metrics")


def test_the_page_of_a_pod_that_serves_carries_the_labels_of_its_role(cluster: FakeCluster, client: KubeClient) -> None:
    labels = {"pod": pods(cluster)[0], "instance": "10.0.0.7:8000", "role": "decode"}

    assert decode_pages(client)() == [Endpoint("http://10.0.0.7:8000/metrics", labels)]


def test_pods_may_be_told_by_labels_of_their_own(cluster: FakeCluster, client: KubeClient) -> None:
    mark = {"metadata": {"labels": {"serves": "decode"}}}
    cluster.patch("v1", "pods", pods(cluster)[0], mark)

    assert [page.url for page in decode_pages(client, "serves=decode")()] == ["http://10.0.0.7:8000/metrics"]
    assert decode_pages(client, "serves=prefill")() == []


def test_an_ipv6_address_stands_in_brackets(cluster: FakeCluster, client: KubeClient) -> None:
    give_address(cluster, pods(cluster)[0], "fd00::7")

    assert decode_pages(client)()[0].url == "http://[fd00::7]:8000/metrics"


def test_a_pod_that_is_not_ready_is_left_alone(fake_kube_api: FakeCluster, client: KubeClient) -> None:
    DeploymentController(fake_kube_api.api, time.time, startup_time_s=float("inf"))
    fake_kube_api.create("deployments", deployment("chat-decode", replicas=1))
    give_address(fake_kube_api, pods(fake_kube_api)[0], "10.0.0.7")

    assert decode_pages(client)() == []


def test_a_cluster_that_does_not_tell_is_an_error_with_its_words(cluster: FakeCluster, client: KubeClient) -> None:
    cluster.api.faults.add(Fault(verb="list", resource="pods", code=503))

    with pytest.raises(EndpointsError, match="503"):
        decode_pages(client)()


def test_a_missing_object_is_named(cluster: FakeCluster, client: KubeClient) -> None:
    cluster.delete("apps/v1", "deployments", "chat-decode")

    with pytest.raises(EndpointsError, match="chat-decode"):
        decode_pages(client)()
