"""A stateful Kubernetes API server in memory, for tests.

It behaves like a 1.36 server in what the project uses: resource versions and conflicts, dry run, scale subresources,
custom resources, RBAC, managed fields, server-side apply and watches. It has no admission webhooks, quotas, pagination,
finalizers or garbage collection, and no controllers but the ones that a test adds.
"""

from __future__ import annotations

from tests.support.kube_api.controllers import DeploymentController, RevertingOperator
from tests.support.kube_api.faults import Fault, Request
from tests.support.kube_api.server import FakeKubeApi

__all__ = ["DeploymentController", "FakeKubeApi", "Fault", "Request", "RevertingOperator"]
