"""Clusters, and targets on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autoscaler.core.policy import Role
from autoscaler.targets.kubernetes.build import role_target
from autoscaler.targets.kubernetes.client import KubeClient
from autoscaler.targets.kubernetes.connection import connect
from autoscaler.targets.kubernetes.refs import ObjectRef
from autoscaler.targets.kubernetes.specs.load import load_spec
from autoscaler.targets.role import RoleTarget
from tests.support.kube import Cluster, fake_kube_api, kube_api, real_kube_api
from tests.support.scale_target import ScaledPool, ScaleTarget
from tests.targets.kubernetes.objects import Case, set_up

__all__ = ["fake_kube_api", "kube_api", "real_kube_api"]

ClientOn = Callable[..., KubeClient]
DecodeOn = Callable[..., ScaleTarget]
Make = Callable[..., RoleTarget]


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


@pytest.fixture
def target_of(kube_api: Cluster, client_on: ClientOn) -> Make:
    """Creates a case's objects and makes its target."""

    def make(case: Case, *, cluster: Cluster = kube_api, token: str = "") -> RoleTarget:
        set_up(cluster, case)
        client = client_on(cluster, token=token)
        return role_target(client, load_spec(case.spec), case.service(cluster.namespace), case.role)

    return make
