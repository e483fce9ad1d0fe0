"""The fixtures of a cluster, and clients on it."""

from __future__ import annotations

from tests.support.kube import fake_kube_api, kube_api, real_kube_api
from tests.targets.kubernetes.conftest import client_on

__all__ = ["client_on", "fake_kube_api", "kube_api", "real_kube_api"]
