"""A cluster for each test that wants one."""

from __future__ import annotations

from tests.support.kube import fake_kube_api, kube_api, real_kube_api

__all__ = ["fake_kube_api", "kube_api", "real_kube_api"]
