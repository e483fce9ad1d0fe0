"""Clusters, and targets on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autoscaler.core.policy import Role
from autoscaler.targets.kubernetes.client import KubeClient
from autoscaler.targets.kubernetes.connection import connect
from autoscaler.targets.kubernetes.refs import ObjectRef
from tests.support.kube import Cluster, fake_kube_api, kube_api, real_kube_api
from tests.support.scale_target import ScaledPool, ScaleTarget

__all__ = ["fake_kube_api", "kube_api", "real_kube_api"]

ClientOn = Callable[..., KubeClient]
DecodeOn = Callable[..., ScaleTarget]


@pytest.fixture
def client_on(tmp_path: Path) -> Iterator[ClientOn]:
    """Makes a client of a cluster, with a token or as its administrator; closed at the end."""
    clients: list[KubeClient] = []

    def make(cluster: Cluster, *, token: str = "", timeout_s: float = 5.0) -> KubeClient:
        kubeconfig = cluster.kubeconfig(tmp_path / f"kubeconfig-{len(clients)}", token=token)
        clients.append(connect(kubeconfig=str(kubeconfig), timeout_s=timeout_s, environ={}))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def decode_on(client_on: ClientOn) -> DecodeOn:
    """Makes a target whose decode pool is the Deployment `decode` of a cluster, or another object of its namespace."""

    def make(
        cluster: Cluster, pool: ScaledPool | None = None, *, token: str = "", timeout_s: float = 5.0
    ) -> ScaleTarget:
        deployment = ScaledPool(ObjectRef.deployment(cluster.namespace, "decode"))
        client = client_on(cluster, token=token, timeout_s=timeout_s)
        return ScaleTarget(client, {Role.DECODE: pool or deployment})

    return make
