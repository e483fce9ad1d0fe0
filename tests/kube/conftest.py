"""A cluster, and our own connection to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autoscaler.kube.api import KubeApi
from autoscaler.targets.kubernetes.connection import configure
from tests.support.kube import Cluster, fake_kube_api, kube_api, real_kube_api

__all__ = ["fake_kube_api", "kube_api", "real_kube_api"]

Connect = Callable[..., KubeApi]


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Connect]:
    """Connects to a cluster, as the administrator unless a token is given."""
    made: list[KubeApi] = []

    def make(cluster: Cluster, *, token: str = "", timeout_s: float = 5.0) -> KubeApi:
        kubeconfig = cluster.kubeconfig(tmp_path / f"kubeconfig-{len(made)}", token=token)
        made.append(KubeApi(configure(kubeconfig=str(kubeconfig)), timeout_s=timeout_s))
        return made[-1]

    yield make
    for api in made:
        api.close()
